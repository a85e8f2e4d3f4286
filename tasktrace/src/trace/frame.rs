//! A frame of a trace.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A function in a [`Trace`](crate::Trace), or the thing that it waits for.
///
/// ```
/// # #[tasktrace::traced]
/// # async fn serve() {
/// let trace = tasktrace::Trace::here().unwrap();
/// for frame in trace.leaves() {
///     println!("{}:{}", frame.file().unwrap_or("?"), frame.line().unwrap_or(0));
/// }
/// # }
/// # fn main() {}
/// ```
pub struct Frame {
    pub(super) place: Place,
    pub(super) wait: Option<Wait>,
    pub(super) count: usize,
    /// Whether it is what the function that it is below waits for, not one that this has called.
    pub(super) is_resource: bool,
    pub(super) times: Times,
    pub(super) children: Vec<Frame>,
}

/// What is known of the times of a live frame. It tells no frame from another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) age: Option<Duration>,
    pub(super) not_polled_for: Option<Duration>,
}

/// What makes two frames the same. Frames are ordered by their place in the source.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    pub(super) file: Option<Arc<str>>,
    pub(super) line: Option<u32>,
    pub(super) column: Option<u32>,
    pub(super) name: Arc<str>,
    pub(super) label: Option<Arc<str>>,
    /// The function is a library's, and not the program's own.
    pub(super) is_library: bool,
    pub(super) line_is: LineIs,
}

/// The meaning of a frame's line: see [`Frame::line_is`].
///
/// ```
/// # #[tasktrace::traced]
/// # async fn serve() {
/// use tasktrace::LineIs;
///
/// let trace = tasktrace::current().unwrap().snapshot();
/// for frame in trace.frames() {
///     match frame.line_is() {
///         LineIs::Current => println!("{} is at line {:?}", frame.name(), frame.line()),
///         LineIs::Definition => println!("{} begins at line {:?}", frame.name(), frame.line()),
///         _ => println!("{} was made at line {:?}", frame.name(), frame.line()),
///     }
/// }
/// # }
/// # fn main() {}
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum LineIs {
    /// The line that is being executed, which in an async function is that of an `.await`. A trace
    /// prints it as `app::serve at src/main.rs:10:5`.
    #[default]
    Current,
    /// The line of the `fn`: no stack has told where in the function the task is. A trace prints it as
    /// `app::serve (fn at src/main.rs:8)`.
    Definition,
    /// The line at which a future that is no function was traced or spawned, or at which the set of
    /// tasks that it waits for was made. A trace prints it as `app::serve (made at src/main.rs:20)`.
    Creation,
}

/// How a leaf is waited for.
///
/// ```
/// # #[tasktrace::traced]
/// # async fn serve() {
/// let trace = tasktrace::Trace::here().unwrap();
/// for frame in trace.leaves() {
///     match frame.wait() {
///         Some(tasktrace::Wait::NoWaker) => println!("{} will never be woken", frame.name()),
///         _ => println!("{}", frame.name()),
///     }
/// }
/// # }
/// # fn main() {}
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Wait {
    /// It has registered a waker, and waits to be woken.
    Registered,
    /// It has woken its own task, which will be polled again at once.
    Yielded,
    /// It has used up what tokio lets a task do before it is the turn of others
    /// (`tokio::task::coop`), and will be polled again after them.
    OutOfBudget,
    /// It waits, but has registered no waker in the poll that was captured: nothing can wake it, unless
    /// it kept that of an earlier poll.
    NoWaker,
    /// It is a live frame of which nothing more is known than that it has not finished: the trace is
    /// a snapshot, for which nothing was polled.
    Suspended,
    /// It is alive, but its task does not poll it: the future is held, and nothing drives it. What
    /// it holds in turn, such as a lock, stays held. See
    /// [`Frame::not_polled_for`](crate::Frame::not_polled_for).
    NotPolled,
    /// It does not wait: it asked for its own stack with [`Trace::here`](crate::Trace::here).
    Running,
}

impl Frame {
    /// The path of the function, such as `app::http::serve`, or of what it waits for, such as
    /// `tokio::time::sleep`. Empty if there is no symbol.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.place.name
    }

    /// The label given with `#[traced("…")]` or `#[traced(name = "…")]`.
    #[must_use]
    pub fn label(&self) -> Option<&str> {
        self.place.label.as_deref()
    }

    /// The source file: relative to the workspace, or to the root of a dependency's package.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        self.place.file.as_deref()
    }

    /// The line that is being executed, which in an async function is that of an `.await`, or where
    /// that is not known the line of the `fn`: [`line_is`](Self::line_is) tells. Counted from 1.
    #[must_use]
    pub fn line(&self) -> Option<u32> {
        self.place.line
    }

    /// The meaning of [`line`](Self::line): a snapshot knows of a function only where it is defined,
    /// and so does a capture of a function that was not polled.
    #[must_use]
    pub fn line_is(&self) -> LineIs {
        self.place.line_is
    }

    /// The column, counted from 1.
    #[must_use]
    pub fn column(&self) -> Option<u32> {
        self.place.column
    }

    /// Returns `true` if the function is a dependency's or the standard library's, and `false` if it
    /// is the program's own: that of its workspace, or of a package that it names by a path.
    ///
    /// The source file tells: what cargo took from a registry or from git, or has put into a
    /// `vendor` folder, is a dependency's. Without debug information the best-known libraries are
    /// known by their names.
    #[must_use]
    pub fn is_dependency(&self) -> bool {
        self.place.is_library
    }

    /// How it waits, if it is a leaf.
    #[must_use]
    pub fn wait(&self) -> Option<Wait> {
        self.wait
    }

    /// How many leaves there are at this very place, all with the same way to them: 1 but for
    /// loops over futures. 0 if the frame is no leaf.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// How long ago it was first suspended, if it is a `#[traced]` function.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        self.times.age
    }

    /// How long ago it was last polled, if its task has been polled since without polling it:
    /// see [`Wait::NotPolled`].
    #[must_use]
    pub fn not_polled_for(&self) -> Option<Duration> {
        self.times.not_polled_for
    }

    /// The functions that this one has called, and is waiting for.
    #[must_use]
    pub fn children(&self) -> &[Frame] {
        &self.children
    }

    /// Whether it is what the function that it is below waits for, or is blocked in.
    pub(crate) fn is_resource(&self) -> bool {
        self.is_resource
    }

    /// Whether it is the same function at the same line.
    pub(crate) fn is_same_place(&self, other: &Self) -> bool {
        self.place == other.place
    }

    /// Whether `path` is the path of this frame, its end, or its label.
    pub(super) fn is(&self, path: &str) -> bool {
        let rest = self.name().strip_suffix(path);
        rest.is_some_and(|rest| rest.is_empty() || rest.ends_with("::")) && !path.is_empty()
            || self.label() == Some(path)
    }
}

impl fmt::Debug for Frame {
    /// Without the children, of which there may be very many.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame")
            .field("name", &self.name())
            .field("label", &self.label())
            .field("file", &self.file())
            .field("line", &self.line())
            .field("column", &self.column())
            .field("line_is", &self.line_is())
            .field("wait", &self.wait)
            .field("count", &self.count)
            .field("children", &self.children.len())
            .finish()
    }
}

impl Drop for Frame {
    /// Trees can be deeper than the stack: takes them apart instead of recursing.
    fn drop(&mut self) {
        let mut pending = std::mem::take(&mut self.children);
        while let Some(mut frame) = pending.pop() {
            pending.append(&mut frame.children);
        }
    }
}

/// All frames of a tree, each before its children.
pub(super) fn walk(frames: &[Frame]) -> impl Iterator<Item = &Frame> {
    let mut pending: Vec<&Frame> = frames.iter().rev().collect();
    std::iter::from_fn(move || {
        let frame = pending.pop()?;
        pending.extend(frame.children.iter().rev());
        Some(frame)
    })
}
