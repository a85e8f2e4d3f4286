//! Renders traces, dumps, profiles and reports as text, JSON and the formats of profiling tools. Captures nothing.
//!
//! * [`text`]: writes the tree of one trace; [`siblings`]: folds many similar siblings of a tree into one line.
//! * [`dump`], [`forest`]: write the tasks of a dump: [`group`]s of tasks, each with a [`header`] and a tree.
//! * [`verdict`], [`summary`]: word the problems that [`diagnosis`](crate::diagnosis) found; [`untraced`]: counts the
//!   untraced tasks.
//! * [`inspected`]: words what was read from memory (feature `inspect`).
//! * [`serial`]: describes the same data as JSON and for `Serialize`.
//! * [`attribution`]: attributes tasks to their call paths, for [`folded`] stacks, flamegraphs and pprof.
//! * [`go`]: writes the text formats of Go's profiling tools.
//! * [`hang`], [`stall`]: write the reports about hung tests and those of a watchdog.
#![forbid(unsafe_code)]

mod attribution;
mod dump;
mod duration;
mod ended;
#[cfg(feature = "flamegraph")]
mod flamegraph;
mod folded;
mod forest;
mod frame_summary;
#[cfg(feature = "http")]
mod go;
mod group;
mod hang;
mod header;
#[cfg_attr(not(feature = "inspect"), path = "no_inspected.rs")]
mod inspected;
mod line_writer;
mod place;
#[cfg(feature = "pprof")]
mod pprof;
mod profile;
mod serial;
mod shape;
mod shape_key;
mod siblings;
mod stall;
mod summary;
mod text;
mod untraced;
mod verdict;
mod weight;

use std::fmt;

use crate::dump::{Dump, Forest, StallReport};
#[cfg(feature = "http")]
pub(crate) use crate::symbol::forget_debug_info;
use crate::trace::{Trace, Tree, walk};
use line_writer::{DetailLevel, LineWriter, Style};
#[cfg(feature = "http")]
pub(crate) use pprof::write_empty_go_pprof;
#[cfg(feature = "http")]
pub(crate) use serial::{Process, ViewHeader};
use siblings::SiblingFolder;
pub use weight::{UnknownWeight, Weight};

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let detail = DetailLevel::of(f);
        write_trace(self, detail, &mut LineWriter::new(Style::Plain, f))
    }
}

impl fmt::Display for Dump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let detail = DetailLevel::of(f);
        dump::write(self, detail, &mut LineWriter::new(Style::Plain, f))
    }
}

impl fmt::Display for Forest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let detail = DetailLevel::of(f);
        forest::write(self, detail, &mut LineWriter::new(Style::Plain, f))
    }
}

impl fmt::Display for StallReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let detail = DetailLevel::of(f);
        stall::write(self, detail, &mut LineWriter::new(Style::Plain, f))
    }
}

impl Trace {
    /// Returns the text of `{}` with ANSI colours, for terminals.
    ///
    /// ```
    /// # #[tasktrace::traced]
    /// # async fn serve() {
    /// let trace = tasktrace::Trace::here().unwrap();
    /// println!("{}", trace.ansi());
    /// # }
    /// # fn main() {}
    /// ```
    pub fn ansi(&self) -> impl fmt::Display + '_ {
        ansi(|out| write_trace(self, DetailLevel::Simplified, out))
    }
}

impl Dump {
    /// Returns the text of `{}` with ANSI colours, for terminals.
    ///
    /// ```
    /// println!("{}", tasktrace::snapshot().ansi());
    /// ```
    pub fn ansi(&self) -> impl fmt::Display + '_ {
        ansi(|out| dump::write(self, DetailLevel::Simplified, out))
    }
}

/// Displays the text that a function writes. Newer versions of the standard library have this as `fmt::from_fn`.
fn from_fn(write: impl Fn(&mut fmt::Formatter<'_>) -> fmt::Result) -> impl fmt::Display {
    struct FromFn<F>(F);

    impl<F: Fn(&mut fmt::Formatter<'_>) -> fmt::Result> fmt::Display for FromFn<F> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0(f)
        }
    }

    FromFn(write)
}

/// Displays the text that a function writes, with ANSI colours.
fn ansi(write: impl Fn(&mut LineWriter<'_, '_>) -> fmt::Result) -> impl fmt::Display {
    from_fn(move |f| write(&mut LineWriter::new(Style::Ansi, f)))
}

fn write_trace(trace: &Trace, detail: DetailLevel, out: &mut LineWriter<'_, '_>) -> fmt::Result {
    let tree = tree(trace, detail);
    let folder = SiblingFolder::without_times(&tree.frames, detail);
    text::frames(out, "", &tree.frames, folder)?;
    text::notes(out, "", &tree.notes)?;
    match tree.notes.missing {
        Some(missing) => text::missing(out, missing),
        None => Ok(()),
    }
}

fn tree(trace: &Trace, detail: DetailLevel) -> &Tree {
    match detail {
        DetailLevel::Simplified => trace.simplified(),
        DetailLevel::Full => trace.full(),
    }
}

#[cfg(test)]
mod tests;
