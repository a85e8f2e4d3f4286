//! Converts captures to trees of frames, on the first inspection of a trace. Until then a trace consists of addresses.
//!
//! * [`frame`]: the tree that users inspect; [`walk`]: lists the frames of a tree; [`library_call`]: names the
//!   functions of libraries; [`library_runs`]: finds those that text leaves out.
//! * [`tree_builder`]: merges stacks into a tree.
//! * [`simplify`], [`full`]: convert a stack to frames, with or without simplification; [`shared_prefix`]: finds where
//!   a stack parts from the previous one.
//! * [`live_frames`]: adds the live frames, which need no stack; [`notes`]: collects the gaps of a trace.
//! * [`interned_tree`]: the tree that equal traces share.
//! * [`fingerprint`]: compares traces before symbols are looked up.
//! * [`resource`]: names the resource that a leaf waits for; [`opaque_combinators`]: recognises leaves that have
//!   children which are not in the trace.
#![forbid(unsafe_code)]

mod fingerprint;
#[cfg(test)]
mod fixture;
mod frame;
mod full;
mod interned_tree;
pub(crate) mod library_call;
pub(crate) mod library_runs;
mod live_frames;
mod notes;
mod opaque_combinators;
mod resource;
mod shared_prefix;
mod simplify;
mod tree_builder;
pub(crate) mod walk;

use std::fmt;
use std::sync::{Arc, OnceLock};

pub(crate) use fingerprint::Fingerprint;
pub use frame::{Frame, LineIs, Wait};

use crate::capture::{RawTrace, SnapshotTime};
use crate::sync::fork::get_or_init;
use crate::sync::is_cancelled;
pub(crate) use interned_tree::{InternedTree, LabelAndTimes};
use interned_tree::{TreeKind, TreeMaker};
pub(crate) use notes::{Missing, Notes};
pub(crate) use resource::PANIC_HOOK;
use resource::public_name;

/// Shows where a task waits, as a tree of functions.
///
/// The tree leads from the task to each leaf that has registered a waker. In a sample, it leads to the function in
/// which the thread was interrupted, and in [`here`](Self::here) to the caller. A trace is cheap to clone and to keep.
/// It consists of addresses until it is first printed or inspected. Only then are symbols looked up, so do not do that
/// in code that must not be delayed.
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
    inner: Arc<TraceInner>,
    awaited: Option<Arc<WithAwaited>>,
}

struct TraceInner {
    raw: RawTrace,
    simplified: OnceLock<TraceTree>,
    full: OnceLock<Box<TraceTree>>,
}

/// The tree of a trace, made on first use.
enum TraceTree {
    /// The tree belongs to this trace.
    Unshared(Box<Tree>),
    /// Other traces share the tree, except for labels and times. The second field is a copy of the tree with the labels
    /// and times of this trace, made on first use.
    Shared(Arc<InternedTree>, OnceLock<Box<Tree>>),
}

/// The traces of the tasks whose handles a trace awaits, and the trees that include them.
struct WithAwaited {
    /// The numbers and the traces of the tasks.
    awaited: Vec<(u64, Trace)>,
    simplified: OnceLock<Tree>,
    full: OnceLock<Tree>,
}

/// A tree of frames, and the notes to print with it.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) frames: Vec<Frame>,
    pub(crate) notes: Notes,
}

impl Trace {
    /// Creates a trace of a capture. Looks up no symbols.
    pub(crate) fn new(raw: RawTrace) -> Self {
        Self {
            inner: Arc::new(TraceInner {
                raw,
                simplified: OnceLock::new(),
                full: OnceLock::new(),
            }),
            awaited: None,
        }
    }

    /// Recomputes the ages of the trace as of another moment, unless the trace is already shared.
    pub(crate) fn at_moment(mut self, moment: SnapshotTime) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.inner) {
            inner.raw.set_time(moment);
        }
        self
    }

    /// Returns the age of the oldest live frame, or zero if there are none.
    pub(crate) fn oldest(&self) -> std::time::Duration {
        let raw = &self.inner.raw;
        let ages = (0..raw.frames.len()).map(|frame| raw.age(frame));
        ages.max().unwrap_or_default()
    }

    /// Returns `before` if it is a trace of an equal `raw`. Otherwise creates a trace like [`new`](Self::new), and puts
    /// it into `before`. So consecutive tasks share a trace if they wait alike and were suspended at the same time.
    pub(crate) fn new_or_same(raw: RawTrace, before: &mut Option<Self>) -> Self {
        match before {
            Some(before) if before.inner.raw == raw => before.clone(),
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
                simplified: OnceLock::new(),
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
        &self.simplified().frames
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
        frame::frames_in(self.frames())
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
        frame::frames_in(self.frames()).any(|frame| frame.is(path))
    }

    /// Returns a fingerprint of the trace, without labels and times. It looks up no symbols.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        fingerprint::of(&self.inner.raw)
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
    pub(crate) fn simplified(&self) -> &Tree {
        if let Some(with) = &self.awaited {
            return with.simplified.get_or_init(|| {
                let awaited = with.trees(Self::simplified);
                simplify::tree(&self.inner.raw, &awaited).tree
            });
        }
        let made = self.inner.simplified.get_or_init(|| {
            let maker = &mut TreeMaker::new();
            maker.make(TreeKind::Simplified, &self.inner.raw)
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
            let maker = &mut TreeMaker::new();
            Box::new(maker.make(TreeKind::Full, &self.inner.raw))
        });
        made.tree(&self.inner.raw)
    }

    /// Prepares the trees that `{}` prints, for many traces.
    pub(crate) fn simplify_all<'a>(traces: impl Iterator<Item = &'a Self>) {
        let mut maker = TreeMaker::new();
        let traces = traces.take_while(|_| !is_cancelled());
        for trace in traces.filter(|trace| trace.awaited.is_none()) {
            let TraceInner {
                raw, simplified, ..
            } = &*trace.inner;
            simplified.get_or_init(|| maker.make(TreeKind::Simplified, raw));
        }
    }

    /// Returns the tree that `{}` prints, without labels and times, if this trace shares it with others. Returns `None`
    /// if it does not share it, or if the tree is not prepared.
    pub(crate) fn interned_tree(&self) -> Option<&Arc<InternedTree>> {
        match (&self.awaited, self.inner.simplified.get()) {
            (None, Some(TraceTree::Shared(interned, _))) => Some(interned),
            _ => None,
        }
    }

    /// Calls [`InternedTree::each_label_and_times`] with the labels and times of this trace, if it shares its tree.
    pub(crate) fn each_label_and_times<'a>(&'a self, each: impl FnMut(usize, LabelAndTimes<'a>)) {
        if let Some(interned) = self.interned_tree() {
            interned.each_label_and_times(&self.inner.raw, each);
        }
    }
}

impl WithAwaited {
    /// Returns the number and the tree of each awaited task.
    fn trees(&self, tree: fn(&Trace) -> &Tree) -> Vec<(u64, &Tree)> {
        let awaited = self.awaited.iter();
        awaited.map(|(task, trace)| (*task, tree(trace))).collect()
    }
}

impl TraceTree {
    /// Returns the tree with the labels and times of `raw`.
    fn tree(&self, raw: &RawTrace) -> &Tree {
        match self {
            Self::Unshared(tree) => tree,
            Self::Shared(interned, tree) => tree.get_or_init(|| Box::new(interned.tree_of(raw))),
        }
    }
}

impl fmt::Debug for Trace {
    /// Prints no frames, because that would look up symbols.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace")
            .field("stacks", &self.inner.raw.stacks().len())
            .finish_non_exhaustive()
    }
}

/// Returns the frames without labels and times, and merges frames that differ only in these.
pub(crate) fn anonymous(frames: &[Frame]) -> Vec<Frame> {
    let mut builder = tree_builder::TreeBuilder::default();
    builder.add_anonymous(frames);
    builder.finish().frames
}

/// Returns all frames of a tree, each before its children.
pub(crate) fn all_frames_of(frames: &[Frame]) -> impl Iterator<Item = &Frame> {
    frame::frames_in(frames)
}
