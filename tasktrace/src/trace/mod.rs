//! Traces as plain data: addresses until the first inspection, then a tree of frames.
//!
//! * [`frame`]: the tree that users inspect.
//! * [`build`]: merging stacks into a tree.
//! * [`tidy`], [`full`]: convert a stack to frames, with or without simplification; [`shared`]: finds where a stack
//!   parts from the previous one.
//! * [`live`]: the live frames, which need no stack.
//! * [`pattern`]: the interned tree that equal traces share.
//! * [`kind`]: compares traces before symbols are looked up.
//! * [`resource`]: names the resource that a leaf waits for.
#![forbid(unsafe_code)]

mod build;
mod frame;
mod full;
mod hidden;
mod kind;
pub(crate) mod libraries;
mod live;
mod notes;
mod pattern;
mod resource;
#[cfg(test)]
mod sample;
mod shared;
mod tidy;
pub(crate) mod walk;

use std::fmt;
use std::sync::{Arc, OnceLock};

pub use frame::{Frame, LineIs, Wait};
pub(crate) use kind::Kind;

use crate::capture::{Now, RawTrace};
use crate::sync::fork::get_or_init;
use crate::sync::is_unwanted;
pub(crate) use notes::{Missing, Notes};
use pattern::{Detail, Making};
pub(crate) use pattern::{Own, Pattern};
pub(crate) use resource::{PANIC_HOOK, public_name};

/// Shows where a task waits, as a tree of functions.
///
/// The tree leads from the task to each leaf that has registered a waker. A trace is cheap to clone and to keep. It
/// consists of addresses until it is first printed or inspected. Only then are symbols looked up, so do not do that in
/// code that must not be delayed.
///
/// * `{}` prints the functions of the program and what they wait for. Three or more nested functions of dependencies
///   share one line, which names the first and counts the others: `reqwest::get at … (… 9 frames in reqwest, tower,
///   hyper_util)`. The functions of the program are always printed: see [`Frame::is_dependency`].
/// * `{:#}` prints the whole stack.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// async fn tick() {
///     tokio::time::sleep(std::time::Duration::from_secs(3600)).await;
/// }
///
/// let (future, handle) = tasktrace::traced(tick());
/// tokio::spawn(future);
/// # tokio::task::yield_now().await;
/// let trace = handle.backtrace().await.unwrap();
///
/// println!("{trace}");
/// assert!(trace.contains("tick"));
/// for leaf in trace.leaves() {
///     println!("waits for {}", leaf.name());
/// }
/// # }
/// ```
#[derive(Clone)]
pub struct Trace {
    inner: Arc<Inner>,
    awaited: Option<Arc<WithAwaited>>,
}

struct Inner {
    raw: RawTrace,
    tidy: OnceLock<Made>,
    full: OnceLock<Box<Made>>,
}

/// The tree of a trace, made on first use.
enum Made {
    Alone(Box<Tree>),
    /// Other traces share the tree, except for labels and times.
    Alike(Arc<Pattern>, OnceLock<Box<Tree>>),
}

/// The traces of the tasks whose handles a trace awaits, by number.
struct WithAwaited {
    awaited: Vec<(u64, Trace)>,
    tidy: OnceLock<Tree>,
    full: OnceLock<Tree>,
}

/// Returns the frames without labels and times, and merges frames that differ only in these.
pub(crate) fn anonymous(frames: &[Frame]) -> Vec<Frame> {
    let mut builder = build::Builder::default();
    builder.add_anonymous(frames);
    builder.finish().frames
}

/// Returns all frames of a tree, each before its children.
pub(crate) fn all(frames: &[Frame]) -> impl Iterator<Item = &Frame> {
    frame::walk(frames)
}

/// A tree of frames, and the notes to print with it.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) frames: Vec<Frame>,
    pub(crate) notes: Notes,
}

impl Trace {
    pub(crate) fn new(raw: RawTrace) -> Self {
        Self {
            inner: Arc::new(Inner {
                raw,
                tidy: OnceLock::new(),
                full: OnceLock::new(),
            }),
            awaited: None,
        }
    }

    /// Converts the times of the trace to another moment, unless the trace is already shared.
    pub(crate) fn told_at(mut self, moment: Now) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.inner) {
            inner.raw.tell_as_of(moment);
        }
        self
    }

    /// Returns the age of the oldest live frame, or zero if there are none.
    pub(crate) fn oldest(&self) -> std::time::Duration {
        let raw = &self.inner.raw;
        let ages = (0..raw.frames.len()).map(|frame| raw.age(frame));
        ages.max().unwrap_or_default()
    }

    /// Makes a trace like [`new`](Self::new), or returns the previous trace if it is equal and has no times.
    pub(crate) fn new_or_same(raw: RawTrace, before: &mut Option<Self>) -> Self {
        if !raw.frames.is_empty() {
            return Self::new(raw);
        }
        match before {
            Some(before) if before.inner.raw.is_same(&raw) => before.clone(),
            before => before.insert(Self::new(raw)).clone(),
        }
    }

    /// Returns the empty trace.
    pub(crate) fn empty() -> Self {
        static EMPTY: OnceLock<Trace> = OnceLock::new();
        get_or_init(&EMPTY, || Self::new(RawTrace::default())).clone()
    }

    /// Adds the traces of the tasks whose handles the trace awaits.
    pub(crate) fn with_awaited(self, awaited: Vec<(u64, Trace)>) -> Self {
        if awaited.is_empty() {
            return self;
        }
        Self {
            inner: self.inner,
            awaited: Some(Arc::new(WithAwaited {
                awaited,
                tidy: OnceLock::new(),
                full: OnceLock::new(),
            })),
        }
    }

    /// Returns the functions of the program as a tree, the outermost first. These are the frames that `{}` prints.
    ///
    /// ```
    /// # #[tasktrace::traced]
    /// # async fn serve() {
    /// let trace = tasktrace::Trace::here().unwrap();
    /// for frame in trace.frames() {
    ///     println!("{} has {} children", frame.name(), frame.children().len());
    /// }
    /// # }
    /// # fn main() {}
    /// ```
    #[must_use]
    pub fn frames(&self) -> &[Frame] {
        &self.tidy().frames
    }

    /// Returns the whole stack as a tree, the outermost frame first. These are the frames that `{:#}` prints.
    ///
    /// ```
    /// # #[tasktrace::traced]
    /// # async fn serve() {
    /// let trace = tasktrace::Trace::here().unwrap();
    /// println!("{} roots", trace.all_frames().len());
    /// # }
    /// # fn main() {}
    /// ```
    #[must_use]
    pub fn all_frames(&self) -> &[Frame] {
        &self.full().frames
    }

    /// Returns the leaves, which are the frames of [`frames`](Self::frames) without children.
    ///
    /// ```
    /// # #[tasktrace::traced]
    /// # async fn serve() {
    /// let trace = tasktrace::Trace::here().unwrap();
    /// assert_eq!(trace.leaves().len(), 1);
    /// # }
    /// # fn main() {}
    /// ```
    #[must_use]
    pub fn leaves(&self) -> Vec<&Frame> {
        frame::walk(self.frames())
            .filter(|frame| frame.children().is_empty())
            .collect()
    }

    /// Returns `true` if [`frames`](Self::frames) contains the function with this path. Use it in assertions.
    ///
    /// The path may omit its first segments: both `serve` and `http::serve` find `app::http::serve`, and the name of a
    /// method finds it on any type. The method also finds the names of `#[traced(name = "…")]`.
    ///
    /// ```
    /// # mod http {
    /// #[tasktrace::traced]
    /// pub async fn serve() {
    ///     let trace = tasktrace::Trace::here().unwrap();
    ///     assert!(trace.contains("http::serve"));
    ///     assert!(trace.contains("serve"));
    ///     assert!(!trace.contains("erve"));
    /// }
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() { http::serve().await }
    /// ```
    #[must_use]
    pub fn contains(&self, path: &str) -> bool {
        frame::walk(self.frames()).any(|frame| frame.is(path))
    }

    /// Returns a fingerprint of the trace, without labels and times. It looks up no symbols.
    pub(crate) fn kind(&self) -> Kind {
        kind::of(&self.inner.raw)
    }

    /// Returns the numbers of the tasks whose handles the task awaits, without duplicates.
    pub(crate) fn awaits(&self) -> Vec<u64> {
        let live = self.inner.raw.frames.iter();
        if live.clone().all(|live| live.identity.is_plain()) {
            return Vec::new();
        }
        let mut awaits: Vec<u64> = live.flat_map(|live| live.identity.awaits()).collect();
        awaits.sort_unstable();
        awaits.dedup();
        awaits
    }

    /// Returns the tree that `{}` prints.
    pub(crate) fn tidy(&self) -> &Tree {
        if let Some(with) = &self.awaited {
            return with.tidy.get_or_init(|| {
                let awaited = with.trees(Self::tidy);
                tidy::tree(&self.inner.raw, &awaited).tree
            });
        }
        let made = self.inner.tidy.get_or_init(|| {
            let making = &mut Making::new();
            making.make(Detail::Tidy, &self.inner.raw)
        });
        made.tree(&self.inner.raw)
    }

    /// Returns the tree that `{:#}` prints.
    pub(crate) fn full(&self) -> &Tree {
        if let Some(with) = &self.awaited {
            return with.full.get_or_init(|| {
                let awaited = with.trees(Self::full);
                full::tree(&self.inner.raw, &awaited).tree
            });
        }
        let made = self.inner.full.get_or_init(|| {
            let making = &mut Making::new();
            Box::new(making.make(Detail::Full, &self.inner.raw))
        });
        made.tree(&self.inner.raw)
    }

    /// Prepares the trees that `{}` prints, for many traces.
    pub(crate) fn tidy_all<'a>(traces: impl Iterator<Item = &'a Self>) {
        let mut making = Making::new();
        let traces = traces.take_while(|_| !is_unwanted());
        for trace in traces.filter(|trace| trace.awaited.is_none()) {
            let Inner { raw, tidy, .. } = &*trace.inner;
            tidy.get_or_init(|| making.make(Detail::Tidy, raw));
        }
    }

    /// Returns the tree that `{}` prints, without labels and times, if this trace shares it with others. Returns `None`
    /// if it does not share it, or if the tree is not prepared.
    pub(crate) fn pattern(&self) -> Option<&Arc<Pattern>> {
        match (&self.awaited, self.inner.tidy.get()) {
            (None, Some(Made::Alike(pattern, _))) => Some(pattern),
            _ => None,
        }
    }

    /// Calls [`Pattern::each_own`], if the trace shares its tree.
    pub(crate) fn each_own<'a>(&'a self, each: impl FnMut(usize, Own<'a>)) {
        if let Some(pattern) = self.pattern() {
            pattern.each_own(&self.inner.raw, each);
        }
    }
}

impl WithAwaited {
    fn trees(&self, tree: fn(&Trace) -> &Tree) -> Vec<(u64, &Tree)> {
        let awaited = self.awaited.iter();
        awaited.map(|(task, trace)| (*task, tree(trace))).collect()
    }
}

impl Made {
    fn tree(&self, raw: &RawTrace) -> &Tree {
        match self {
            Self::Alone(tree) => tree,
            Self::Alike(pattern, tree) => tree.get_or_init(|| Box::new(pattern.tree_of(raw))),
        }
    }
}

impl fmt::Debug for Trace {
    /// Does not look up symbols.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace")
            .field("stacks", &self.inner.raw.stacks().len())
            .finish_non_exhaustive()
    }
}
