//! Traces and dumps as text: data in, [`fmt::Write`] out. Nothing is captured here.
//!
//! * [`text`]: the tree of one trace, for traces and for dumps, which [`fold`] it.
//! * [`dump`], [`forest`]: the tasks of a dump, made of [`group`]s, [`header`]s and trees.
//! * [`verdict`], [`summary`]: the problems that [`diagnosis`](crate::diagnosis) found; [`untraced`]: the untraced
//!   tasks.
//! * [`serial`]: the same data as JSON and `Serialize`.
//! * [`weigh`]: adds up tasks, for [`folded`] stacks, flamegraphs and pprof.
//! * [`go`]: the formats of Go's profiling tools.
//! * [`stall`]: the reports of a watchdog.
#![forbid(unsafe_code)]

mod dump;
mod duration;
mod ended;
#[cfg(feature = "flamegraph")]
mod flamegraph;
mod fold;
mod folded;
mod forest;
#[cfg(feature = "http")]
mod go;
mod group;
mod hang;
mod header;
mod known;
mod out;
mod outline;
mod place;
#[cfg(feature = "pprof")]
mod pprof;
mod profile;
mod serial;
mod shape;
mod stall;
mod summary;
mod text;
mod untraced;
mod verdict;
mod weigh;
mod weight;

use std::fmt;

use crate::dump::{Dump, Forest, StallReport};
#[cfg(feature = "http")]
pub(crate) use crate::symbol::forget_debug_info;
use crate::trace::{Trace, Tree, walk};
use fold::Telling;
#[cfg(feature = "http")]
pub(crate) use go::GoProfile;
use out::{Detail, Out, Style};
#[cfg(feature = "http")]
pub(crate) use pprof::GoEmpty;
#[cfg(feature = "http")]
pub(crate) use serial::{About, Process};
pub use weight::{UnknownWeight, Weight};

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let detail = Detail::of(f);
        write_trace(self, detail, &mut Out::new(Style::Plain, f))
    }
}

impl fmt::Display for Dump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let detail = Detail::of(f);
        dump::write(self, detail, &mut Out::new(Style::Plain, f))
    }
}

impl fmt::Display for Forest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let detail = Detail::of(f);
        forest::write(self, detail, &mut Out::new(Style::Plain, f))
    }
}

impl fmt::Display for StallReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let detail = Detail::of(f);
        stall::write(self, detail, &mut Out::new(Style::Plain, f))
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
        Ansi(|out: &mut Out<'_, '_>| write_trace(self, Detail::Tidy, out))
    }
}

impl Dump {
    /// Returns the text of `{}` with ANSI colours, for terminals.
    ///
    /// ```
    /// println!("{}", tasktrace::snapshot().ansi());
    /// ```
    pub fn ansi(&self) -> impl fmt::Display + '_ {
        Ansi(|out: &mut Out<'_, '_>| dump::write(self, Detail::Tidy, out))
    }
}

/// Writes in colour.
struct Ansi<F>(F);

impl<F: Fn(&mut Out<'_, '_>) -> fmt::Result> fmt::Display for Ansi<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0(&mut Out::new(Style::Ansi, f))
    }
}

fn write_trace(trace: &Trace, detail: Detail, out: &mut Out<'_, '_>) -> fmt::Result {
    let tree = tree(trace, detail);
    let telling = Telling::without_times(&tree.frames, detail);
    text::frames(out, "", &tree.frames, telling)?;
    text::notes(out, "", &tree.notes)?;
    match tree.notes.missing {
        Some(missing) => text::missing(out, missing),
        None => Ok(()),
    }
}

fn tree(trace: &Trace, detail: Detail) -> &Tree {
    match detail {
        Detail::Tidy => trace.tidy(),
        Detail::Full => trace.full(),
    }
}

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;
