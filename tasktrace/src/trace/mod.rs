//! Traces as plain data: addresses until somebody looks, then a tree of frames.
//!
//! * [`frame`]: the tree that users inspect.
//! * [`build`]: merging stacks into a tree.
//! * [`tidy`], [`full`]: the two ways to make frames of a stack.
//! * [`live`]: the frames that are known without a stack.
//! * [`kind`]: which traces are the same, before symbols are looked up.
//! * [`resource`]: what to call the thing that a leaf waits for.
#![forbid(unsafe_code)]

mod build;
mod frame;
mod full;
mod kind;
mod live;
mod notes;
mod resource;
#[cfg(test)]
mod sample;
mod tidy;

use std::fmt;
use std::sync::{Arc, OnceLock};

pub use frame::{Frame, Wait};
pub(crate) use kind::Kind;

use crate::capture::RawTrace;
pub(crate) use notes::{Missing, Notes};

/// Where a task waits: a tree of the functions that lead from the task to everything that it has
/// registered a waker with.
///
/// A trace is cheap to clone and to keep. It consists of addresses until it is printed or
/// inspected for the first time, which is when symbols are looked up: do that outside of what must
/// not be delayed.
///
/// * `{}` prints the functions of the program and what they wait for.
/// * `{:#}` prints everything that is on the stack.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// async fn listen() {
///     let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
///     listener.accept().await.unwrap();
/// }
///
/// let (future, handle) = tasktrace::traced(listen());
/// tokio::spawn(future);
/// # tokio::task::yield_now().await;
/// let trace = handle.backtrace().await.unwrap();
///
/// println!("{trace}");
/// assert!(trace.contains("listen"));
/// for leaf in trace.leaves() {
///     println!("waits for {}", leaf.name());
/// }
/// # }
/// ```
#[derive(Clone)]
pub struct Trace {
    inner: Arc<Inner>,
}

struct Inner {
    raw: Arc<RawTrace>,
    /// The tasks that are awaited by their handles, by their numbers.
    awaited: Vec<(u64, Trace)>,
    tidy: OnceLock<Tree>,
    full: OnceLock<Tree>,
}

/// The frames without labels and times: those that differ by them only are one.
pub(crate) fn anonymous(frames: &[Frame]) -> Vec<Frame> {
    let mut builder = build::Builder::default();
    builder.add_anonymous(frames);
    builder.finish()
}

/// All frames of a tree, each before its children.
pub(crate) fn all(frames: &[Frame]) -> impl Iterator<Item = &Frame> {
    frame::walk(frames)
}

/// A tree, and what is to be said about it.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) frames: Vec<Frame>,
    pub(crate) notes: Notes,
}

impl Trace {
    pub(crate) fn new(raw: RawTrace) -> Self {
        Self::of(Arc::new(raw), Vec::new())
    }

    /// The same, with the traces of tasks that are awaited by their handles.
    pub(crate) fn with_awaited(self, awaited: Vec<(u64, Trace)>) -> Self {
        match awaited.is_empty() {
            true => self,
            false => Self::of(Arc::clone(&self.inner.raw), awaited),
        }
    }

    fn of(raw: Arc<RawTrace>, awaited: Vec<(u64, Trace)>) -> Self {
        Self {
            inner: Arc::new(Inner {
                raw,
                awaited,
                tidy: OnceLock::new(),
                full: OnceLock::new(),
            }),
        }
    }

    /// The functions of the program as a tree, the outermost first: what `{}` prints.
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

    /// Everything that is on the stack as a tree, the outermost first: what `{:#}` prints.
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

    /// The waiting points: the frames of [`frames`](Self::frames) that have no children.
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

    /// Whether the function with this path is in [`frames`](Self::frames): for assertions.
    ///
    /// The path may leave out segments at its start, and a method may be that of any type:
    /// `serve` is in `app::http::serve`, as is `http::serve`. It also finds the names given to
    /// `#[traced(name = "…")]`.
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

    /// Tells it from others, but for labels and times, without looking up symbols.
    pub(crate) fn kind(&self) -> Kind {
        kind::of(&self.inner.raw)
    }

    /// The numbers of the tasks whose handles are awaited, each once.
    pub(crate) fn awaits(&self) -> Vec<u64> {
        let live = self.inner.raw.live.iter();
        let mut awaits: Vec<u64> = live.flat_map(|live| live.identity.awaits()).collect();
        awaits.sort_unstable();
        awaits.dedup();
        awaits
    }

    fn awaited_trees(&self, tree: fn(&Self) -> &Tree) -> Vec<(u64, &Tree)> {
        let awaited = self.inner.awaited.iter();
        awaited.map(|(task, trace)| (*task, tree(trace))).collect()
    }

    /// What `{}` prints.
    pub(crate) fn tidy(&self) -> &Tree {
        self.inner.tidy.get_or_init(|| {
            let awaited = self.awaited_trees(Self::tidy);
            tidy::tree(&self.inner.raw, &awaited)
        })
    }

    /// What `{:#}` prints.
    pub(crate) fn full(&self) -> &Tree {
        self.inner.full.get_or_init(|| {
            let awaited = self.awaited_trees(Self::full);
            full::tree(&self.inner.raw, &awaited)
        })
    }
}

impl fmt::Debug for Trace {
    /// Does not look up symbols.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace")
            .field("stacks", &self.inner.raw.stacks.len())
            .finish_non_exhaustive()
    }
}
