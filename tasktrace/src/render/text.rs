//! A tree of frames as lines of text.
//!
//! ```text
//! ╼ app::serve at src/main.rs:10:5
//!  ├╼ app::listen at src/main.rs:20:9
//!  │  └╼ tokio::net::TcpListener::accept at tokio-1.40.0/src/net/tcp/listener.rs:167:14
//!  └╼ app::tick at src/main.rs:30:9
//!     └╼ tokio::time::sleep at tokio-1.40.0/src/time/sleep.rs:447:22
//! ```

use std::fmt;

use crate::trace::{Frame, Missing, Notes, Tree, Wait};

/// Whether to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Ansi,
}

/// From this depth on lines are not indented any further.
const DEEPEST_INDENT: usize = 24;

/// A run of the same frame is shown in full up to this length.
const LONGEST_RUN: usize = 4;

/// Writes a tree, one frame a line, without a line feed at its end.
pub(super) fn write(tree: &Tree, style: Style, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut lines = Lines {
        style,
        empty: true,
        f,
    };
    lines.frames(&tree.frames)?;
    lines.notes(&tree.notes)
}

struct Lines<'a, 'b> {
    style: Style,
    empty: bool,
    f: &'a mut fmt::Formatter<'b>,
}

/// A frame that is still to be written.
struct Pending<'a> {
    frame: &'a Frame,
    depth: usize,
    last: bool,
}

impl Lines<'_, '_> {
    fn frames(&mut self, roots: &[Frame]) -> fmt::Result {
        let mut pending: Vec<Pending<'_>> = Vec::new();
        extend(&mut pending, roots, 0);
        // For each depth, whether a line leads down to another sibling.
        let mut open = Vec::new();
        while let Some(Pending { frame, depth, last }) = pending.pop() {
            open.truncate(depth);
            self.start(&open, depth, last)?;
            self.frame(frame)?;
            open.push(!last);

            let (skipped, frame) = end_of_run(frame);
            if skipped > 0 {
                open.push(false);
                self.start(&open[..depth + 1], depth + 1, true)?;
                write!(
                    self.f,
                    "… {skipped} more calls of the same function, one in the other"
                )?;
            }
            let depth = depth + usize::from(skipped > 0);
            extend(&mut pending, frame.children(), depth + 1);
        }
        Ok(())
    }

    /// Begins a line, up to where the frame is.
    fn start(&mut self, open: &[bool], depth: usize, last: bool) -> fmt::Result {
        self.line()?;
        if depth == 0 {
            return self.f.write_str("╼ ");
        }
        self.dim(true)?;
        if depth > DEEPEST_INDENT {
            // The depth stands where the lines would.
            let number = format!("(depth {depth})");
            let width = 3 * DEEPEST_INDENT;
            let branch = if last { "└╼ " } else { "├╼ " };
            write!(self.f, " {number:>width$} {branch}")?;
        } else {
            self.f.write_str(" ")?;
            for leads_on in &open[1..] {
                self.f.write_str(if *leads_on { "│  " } else { "   " })?;
            }
            self.f.write_str(if last { "└╼ " } else { "├╼ " })?;
        }
        self.dim(false)
    }

    fn frame(&mut self, frame: &Frame) -> fmt::Result {
        self.bold(true)?;
        match frame.name() {
            "" => self.f.write_str("(unknown function)")?,
            name => self.f.write_str(name)?,
        }
        if let Some(label) = frame.label() {
            write!(self.f, " {label:?}")?;
        }
        self.bold(false)?;
        if let Some(file) = frame.file() {
            write!(self.f, " at {file}")?;
            for number in [frame.line(), frame.column()].into_iter().flatten() {
                write!(self.f, ":{number}")?;
            }
        }
        match frame.wait() {
            Some(Wait::NoWaker) => {
                self.f
                    .write_str(": no waker registered: nothing can wake this task")?;
            }
            Some(Wait::OutOfBudget) => {
                self.f
                    .write_str(" (coop budget exhausted: polled again after other tasks)")?;
            }
            Some(Wait::Yielded) => self.f.write_str(" (woken again at once)")?,
            Some(Wait::NotPolled) => {
                self.f.write_str(": held, but not polled by its task")?;
            }
            _ => {}
        }
        if frame.count() > 1 {
            write!(self.f, " (×{})", frame.count())?;
        }
        Ok(())
    }

    fn notes(&mut self, notes: &Notes) -> fmt::Result {
        if notes.dropped > 0 {
            let dropped = notes.dropped;
            self.line()?;
            write!(
                self.f,
                "note: {dropped} more leaves were not recorded: the trace is too large"
            )?;
        }
        if notes.elsewhere > 0 {
            let elsewhere = notes.elsewhere;
            self.line()?;
            write!(
                self.f,
                "note: {elsewhere} wakers were registered by other threads, of whom there is no stack"
            )?;
        }
        match notes.missing {
            None => Ok(()),
            Some(Missing::DebugInfo) => {
                self.line()?;
                self.f.write_str(
                    "note: built without debug information, so inlined functions and lines are \
                     missing: set `debug = \"line-tables-only\"` in the profile",
                )
            }
            Some(Missing::Symbols) => {
                self.line()?;
                self.f.write_str(
                    "note: built without symbols, so only traced functions have names: set \
                     `debug = \"line-tables-only\"` and `strip = \"none\"` in the profile",
                )
            }
        }
    }

    fn line(&mut self) -> fmt::Result {
        if std::mem::take(&mut self.empty) {
            return Ok(());
        }
        self.f.write_str("\n")
    }

    fn bold(&mut self, on: bool) -> fmt::Result {
        self.escape(if on { "\x1b[1m" } else { "\x1b[0m" })
    }

    fn dim(&mut self, on: bool) -> fmt::Result {
        self.escape(if on { "\x1b[2m" } else { "\x1b[0m" })
    }

    fn escape(&mut self, sequence: &str) -> fmt::Result {
        match self.style {
            Style::Plain => Ok(()),
            Style::Ansi => self.f.write_str(sequence),
        }
    }
}

/// Adds siblings, so that the first is taken first.
fn extend<'a>(pending: &mut Vec<Pending<'a>>, frames: &'a [Frame], depth: usize) {
    let last = frames.len().saturating_sub(1);
    pending.extend(frames.iter().enumerate().rev().map(|(at, frame)| Pending {
        frame,
        depth,
        last: at == last,
    }));
}

/// How many frames below this one are the same call again, and the last of them. Short runs are
/// none.
fn end_of_run(frame: &Frame) -> (usize, &Frame) {
    let mut length = 0;
    let mut end = frame;
    while let [only] = end.children() {
        if !only.is_same_place(frame) || only.wait().is_some() {
            break;
        }
        length += 1;
        end = only;
    }
    match length {
        0..LONGEST_RUN => (0, frame),
        _ => (length, end),
    }
}
