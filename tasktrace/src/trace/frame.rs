//! Defines the frames of a trace.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A function in a [`Trace`](crate::Trace), or the resource that a function waits for.
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
    pub(super) place: FramePlace,
    pub(super) wait: Option<Wait>,
    pub(super) count: usize,
    /// `true` if the parent frame waits for this resource, `false` if the parent called this function.
    pub(super) is_resource: bool,
    pub(super) times: FrameTimes,
    pub(super) children: Vec<Frame>,
}

/// The times of a live frame. They are not part of the identity of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FrameTimes {
    pub(super) age: Option<Duration>,
    pub(super) not_polled_for: Option<Duration>,
}

/// The identity of a frame. Frames are ordered by their place in the source.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct FramePlace {
    pub(super) file: Option<Arc<str>>,
    pub(super) line: Option<u32>,
    pub(super) column: Option<u32>,
    pub(super) name: Arc<str>,
    pub(super) label: Option<Arc<str>>,
    /// `true` if the function belongs to a library, not to the program.
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
    /// The line that is being executed, which in an async function is the line of an `.await`. A trace prints it as
    /// `app::serve at src/main.rs:10:5`.
    #[default]
    Current,
    /// The line of the `fn`, because there is no stack that shows where in the function the task is. A trace prints it
    /// as `app::serve (fn at src/main.rs:8)`.
    Definition,
    /// The line that traced or spawned a future that is not a function, or that made the set of tasks that it waits
    /// for. A trace prints it as `app::serve (made at src/main.rs:20)`.
    Creation,
}

/// How a leaf waits.
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
    /// The leaf has registered a waker, and waits to be woken.
    Registered,
    /// The leaf has woken its own task, which will be polled again at once.
    Yielded,
    /// The task has used up its budget of tokio (`tokio::task::coop`), and will be polled again after other tasks.
    OutOfBudget,
    /// The leaf waits, but registered no waker in the captured poll. Nothing can wake it, unless it kept the waker of
    /// an earlier poll.
    NoWaker,
    /// The frame has not finished. Nothing more is known, because the trace is a snapshot, for which no task was
    /// polled.
    Suspended,
    /// The future is alive, but its task does not poll it. Whatever the future holds, such as a lock, stays held. See
    /// [`Frame::not_polled_for`](crate::Frame::not_polled_for).
    NotPolled,
    /// The leaf does not wait. It called [`Trace::here`](crate::Trace::here) for its own stack.
    Running,
}

impl Frame {
    /// Returns the path of the function, such as `app::http::serve`, or of the resource, such as `tokio::time::sleep`.
    /// It is empty if there is no symbol.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.place.name
    }

    /// Returns the label that `#[traced("…")]` or `#[traced(name = "…")]` gave.
    #[must_use]
    pub fn label(&self) -> Option<&str> {
        self.place.label.as_deref()
    }

    /// Returns the source file, relative to the workspace, or to the root of a dependency's package.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        self.place.file.as_deref()
    }

    /// Returns the line, counted from 1. [`line_is`](Self::line_is) tells which line it is.
    ///
    /// Usually it is the line that is being executed, which in an async function is the line of an `.await`. If that is
    /// not known, it is the line of the `fn`.
    #[must_use]
    pub fn line(&self) -> Option<u32> {
        self.place.line
    }

    /// Returns the meaning of [`line`](Self::line). A snapshot knows only where a function is defined, and so does a
    /// capture for a function that was not polled.
    #[must_use]
    pub fn line_is(&self) -> LineIs {
        self.place.line_is
    }

    /// Returns the column, counted from 1.
    #[must_use]
    pub fn column(&self) -> Option<u32> {
        self.place.column
    }

    /// Returns `true` if the function belongs to a dependency or to the standard library, and `false` if it belongs to
    /// the program: to its workspace, or to a path dependency.
    ///
    /// The source file decides. Files that cargo took from a registry or from git, or put into a `vendor` folder,
    /// belong to dependencies. Without debug information, well-known libraries are recognised by name.
    #[must_use]
    pub fn is_dependency(&self) -> bool {
        self.place.is_library
    }

    /// Returns how the frame waits, if it is a leaf.
    #[must_use]
    pub fn wait(&self) -> Option<Wait> {
        self.wait
    }

    /// Returns the number of leaves that share this place and this call path. It is 1 except for futures that were made
    /// in a loop, and 0 if the frame is not a leaf.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Returns the time since the first suspension of the frame, if it is a `#[traced]` function.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        self.times.age
    }

    /// Returns the time since the last poll of the frame, if its task was polled since without polling the frame. See
    /// [`Wait::NotPolled`].
    #[must_use]
    pub fn not_polled_for(&self) -> Option<Duration> {
        self.times.not_polled_for
    }

    /// Returns the functions and resources that this function waits for.
    #[must_use]
    pub fn children(&self) -> &[Frame] {
        &self.children
    }

    /// Returns `true` if the frame is the resource that its parent waits for, or is blocked in.
    pub(crate) fn is_resource(&self) -> bool {
        self.is_resource
    }

    /// Returns `true` if both frames are the same function at the same line.
    pub(crate) fn is_same_place(&self, other: &Self) -> bool {
        self.place == other.place
    }

    /// Returns `true` if `path` is the path of this frame, the end of that path, or the label.
    pub(super) fn is(&self, path: &str) -> bool {
        let rest = self.name().strip_suffix(path);
        rest.is_some_and(|rest| rest.is_empty() || rest.ends_with("::")) && !path.is_empty()
            || self.label() == Some(path)
    }
}

impl fmt::Debug for Frame {
    /// Prints the number of children instead of the children, of which there may be very many.
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
    /// Drops the tree without recursion, because it can be deeper than the stack.
    fn drop(&mut self) {
        let mut pending = std::mem::take(&mut self.children);
        while let Some(mut frame) = pending.pop() {
            pending.append(&mut frame.children);
        }
    }
}

/// Copies a tree without recursion. `change` changes the copy of each frame, and gets its position in the order of
/// [`frames_in`].
pub(super) fn copy(frames: &[Frame], change: impl Fn(usize, &mut Frame)) -> Vec<Frame> {
    // In reverse, so that the copies of children are made before the copies of their parents.
    let all: Vec<&Frame> = frames_in(frames).collect();
    let mut copies: Vec<Frame> = Vec::new();
    for (at, frame) in all.into_iter().enumerate().rev() {
        let mut children = copies.split_off(copies.len() - frame.children.len());
        children.reverse();
        let mut copy = Frame {
            place: frame.place.clone(),
            wait: frame.wait,
            count: frame.count,
            is_resource: frame.is_resource,
            times: frame.times,
            children,
        };
        change(at, &mut copy);
        copies.push(copy);
    }
    copies.reverse();
    copies
}

/// Returns all frames of a tree, each before its children.
pub(super) fn frames_in(frames: &[Frame]) -> impl Iterator<Item = &Frame> {
    let mut pending: Vec<&Frame> = frames.iter().rev().collect();
    std::iter::from_fn(move || {
        let frame = pending.pop()?;
        pending.extend(frame.children.iter().rev());
        Some(frame)
    })
}
