//! Writes a tree of frames, one frame a line.
//!
//! ```text
//! ╼ app::serve at src/main.rs:10:5
//!  ├╼ app::listen at src/main.rs:20:9
//!  │  └╼ tokio::net::TcpListener::accept at tokio-1.40.0/src/net/tcp/listener.rs:167:14
//!  └╼ app::tick at src/main.rs:30:9
//!     └╼ tokio::time::sleep at tokio-1.40.0/src/time/sleep.rs:447:22
//! ```

use std::fmt::{self, Write};

use super::frame_summary::FrameSummary;
use super::line_writer::LineWriter;
use super::place;
use super::siblings::{FoldedFrame, SiblingFolder};
use crate::trace::library_runs::{self, HiddenRun};
use crate::trace::{Frame, LineIs, Missing, Notes, Wait};

/// The largest indented depth. Deeper lines are not indented any further.
const DEEPEST_INDENT: usize = 24;

/// The minimal length of a run of recursive calls that is folded. Shorter runs are shown in full.
const MIN_FOLDED_RUN: usize = 4;

/// The note on a combinator that hides its children.
pub(super) const HIDDEN_CHILDREN: &str =
    "its children have wakers of their own: #[traced] shows them";

/// A frame that is not written yet.
struct PendingFrame<'a> {
    folded: FoldedFrame<'a>,
    depth: usize,
    last: bool,
}

/// Writes a tree, one frame a line. Each line begins with `indent`.
pub(super) fn frames(
    out: &mut LineWriter<'_, '_>,
    indent: &str,
    roots: &[Frame],
    mut folder: SiblingFolder<'_>,
) -> fmt::Result {
    let mut pending: Vec<PendingFrame<'_>> = Vec::new();
    extend(&mut pending, folder.siblings(roots, 0), 0);
    // For each depth: `true` if a vertical line leads down to another sibling.
    let mut open = Vec::new();
    while let Some(PendingFrame {
        folded,
        depth,
        last,
    }) = pending.pop()
    {
        open.truncate(depth);
        start(out, indent, &open, depth, last)?;
        write_frame(out, &folded, folder.summary(&folded))?;
        open.push(!last);

        if let Some(hidden) = folder.hidden_below(folded.frame) {
            write_hidden(out, folded.frame, &hidden)?;
            let first = folded.at + hidden.count + 1;
            let children = folder.siblings(hidden.last.children(), first);
            extend(&mut pending, children, depth + 1);
            continue;
        }
        let (skipped, frame) = end_of_run(folded.frame);
        if skipped > 0 {
            open.push(false);
            start(out, indent, &open[..depth + 1], depth + 1, true)?;
            write!(out, "… {skipped} more nested calls of the same function")?;
        }
        let depth = depth + usize::from(skipped > 0);
        let children = folder.siblings(frame.children(), folded.at + skipped + 1);
        extend(&mut pending, children, depth + 1);
    }
    Ok(())
}

/// Begins the line of a frame: writes the indent and the branches of the tree.
fn start(
    out: &mut LineWriter<'_, '_>,
    indent: &str,
    open: &[bool],
    depth: usize,
    last: bool,
) -> fmt::Result {
    out.line(indent)?;
    if depth == 0 {
        return out.write_str("╼ ");
    }
    out.dim()?;
    if depth > DEEPEST_INDENT {
        // The number of the depth replaces the vertical lines.
        let number = format!("(depth {depth})");
        let width = 3 * DEEPEST_INDENT;
        let branch = if last { "└╼ " } else { "├╼ " };
        write!(out, " {number:>width$} {branch}")?;
    } else {
        out.write_str(" ")?;
        for leads_on in &open[1..] {
            out.write_str(if *leads_on { "│  " } else { "   " })?;
        }
        out.write_str(if last { "└╼ " } else { "├╼ " })?;
    }
    out.normal()
}

fn write_frame(
    out: &mut LineWriter<'_, '_>,
    folded: &FoldedFrame<'_>,
    summary: FrameSummary<'_>,
) -> fmt::Result {
    let frame = folded.frame;
    out.bold()?;
    match frame.name() {
        "" => out.write_str("(unknown function)")?,
        name => out.write_str(name)?,
    }
    write_labels(out, folded, summary)?;
    out.normal()?;
    place::write(out, frame)?;
    if let Some(age) = summary.age {
        write!(out, " ({age})")?;
    }
    write_wait(out, frame, summary)?;
    // Frames that are no leaves have the count 0.
    let count = frame.count().max(1) * folded.count;
    if count > 1 {
        write!(out, " (×{count})")?;
    }
    Ok(())
}

/// Writes the number of hidden frames and their crates: ` (… 9 frames in reqwest, tower, hyper_util)`.
fn write_hidden(
    out: &mut LineWriter<'_, '_>,
    first: &Frame,
    hidden: &HiddenRun<'_>,
) -> fmt::Result {
    out.dim()?;
    write!(out, " (… {} frames", hidden.count)?;
    match &*library_runs::crates(first, hidden) {
        "" => {}
        crates => write!(out, " in {crates}")?,
    }
    out.write_str(")")?;
    out.normal()
}

/// Writes labels: `"one"`, `"one" and others`, or `"one", "two", "three" and 4 more`.
fn write_labels(
    out: &mut LineWriter<'_, '_>,
    folded: &FoldedFrame<'_>,
    summary: FrameSummary<'_>,
) -> fmt::Result {
    if folded.count > 1 {
        let mut before = " ";
        for label in &folded.labels {
            write!(out, "{before}{label:?}")?;
            before = ", ";
        }
        return match folded.count - folded.labels.len() {
            more if more > 0 && !folded.labels.is_empty() => write!(out, " and {more} more"),
            _ => Ok(()),
        };
    }
    match folded.frame.label() {
        Some(label) if summary.labels_differ => write!(out, " {label:?} and others"),
        Some(label) => write!(out, " {label:?}"),
        None => Ok(()),
    }
}

fn write_wait(
    out: &mut LineWriter<'_, '_>,
    frame: &Frame,
    summary: FrameSummary<'_>,
) -> fmt::Result {
    let note = note(frame);
    match frame.wait() {
        Some(Wait::NoWaker) => out.write_str(
            ": no waker registered in this poll: nothing can wake it, unless it kept the waker of an earlier poll",
        ),
        Some(Wait::OutOfBudget) => {
            out.write_str(" (coop budget exhausted: polled again after other tasks)")
        }
        Some(Wait::Yielded) if note.is_none() => out.write_str(" (woken again at once)"),
        Some(Wait::NotPolled) => {
            out.write_str(": ")?;
            out.red()?;
            out.write_str("held, but not polled")?;
            if let Some(time) = summary.not_polled_for {
                write!(out, " for {time}")?;
            }
            out.normal()?;
            out.write_str(": its task polls something else")
        }
        Some(Wait::Registered | Wait::Yielded | Wait::Suspended | Wait::Running) | None => {
            note.map_or(Ok(()), |note| write!(out, " ({note})"))
        }
    }
}

/// Returns a note on what the frame waits for, if the frames below do not show all of that.
pub(super) fn note(frame: &Frame) -> Option<&'static str> {
    if frame.hides_children() {
        return Some(HIDDEN_CHILDREN);
    }
    // A closure in the function has registered the waker, such as that of a `poll_fn`, or functions of which no names
    // are known. A wait for tasks may have their trees as its children.
    let is_function = !frame.is_resource() && frame.line_is() != LineIs::Creation;
    let waits_itself = frame.wait() == Some(Wait::Registered) && !frame.children().is_empty();
    (is_function && waits_itself).then_some("also waits for something without a name")
}

/// Writes the notes on one trace, except the note on missing symbols: see [`missing`].
pub(super) fn notes(out: &mut LineWriter<'_, '_>, indent: &str, notes: &Notes) -> fmt::Result {
    if notes.dropped > 0 {
        let dropped = notes.dropped;
        let leaves = if dropped == 1 {
            "leaf was"
        } else {
            "leaves were"
        };
        out.line(indent)?;
        write!(
            out,
            "note: {dropped} more {leaves} not recorded: the trace is too large"
        )?;
    }
    if notes.remote_clones > 0 {
        let remote = notes.remote_clones;
        let noun = if remote == 1 { "waker" } else { "wakers" };
        out.line(indent)?;
        write!(
            out,
            "note: other threads registered {remote} {noun}, and their stacks are not known"
        )?;
    }
    Ok(())
}

/// Writes the note that names or lines are missing, with the reason.
pub(super) fn missing(out: &mut LineWriter<'_, '_>, missing: Missing) -> fmt::Result {
    out.line("")?;
    let text = match missing {
        Missing::DebugInfo => {
            "note: built without debug information, so inlined functions and lines are \
             missing: set `debug = \"line-tables-only\"` in the profile"
        }
        Missing::Symbols => {
            "note: built without symbols, so only traced functions have names: set \
             `debug = \"line-tables-only\"` and `strip = \"none\"` in the profile"
        }
        Missing::FileGone => {
            "note: names and lines are missing, because the program's file was removed or replaced since the program \
             was started"
        }
        Missing::File(error) => {
            let error = std::io::Error::from_raw_os_error(error);
            return write!(
                out,
                "note: names and lines are missing, because the program's file could not be opened: {error}"
            );
        }
    };
    out.write_str(text)
}

/// Pushes siblings in reverse, so that the first is popped first.
fn extend<'a>(pending: &mut Vec<PendingFrame<'a>>, siblings: Vec<FoldedFrame<'a>>, depth: usize) {
    let last = siblings.len().saturating_sub(1);
    let siblings = siblings.into_iter().enumerate().rev();
    pending.extend(siblings.map(|(at, folded)| PendingFrame {
        folded,
        depth,
        last: at == last,
    }));
}

/// Returns the number of frames below `frame` that are the same call again, and the last of these frames.
///
/// A run shorter than [`MIN_FOLDED_RUN`] counts as no run.
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
        0..MIN_FOLDED_RUN => (0, frame),
        _ => (length, end),
    }
}
