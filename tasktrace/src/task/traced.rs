//! The function `traced`, and the future that it returns.

use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::about::About;
use super::body::Body;
use super::finish::finish_dropped;
use super::frame::FrameOwner;
use super::handle::TraceHandle;
use super::link::Link;
use super::local::Local;
use super::{body, drive, ended, scope};
use crate::origin::{Identity, Origin};

/// Makes a task of a future: returns a future to use in its place, and a handle to ask for traces
/// of it.
///
/// The handle can be asked at any time, from any thread, also before the future is first polled.
/// Nothing is recorded, and next to nothing paid, until it is.
///
/// The task is named after the type of the future, which for an `async fn` is its path.
///
/// There is an attribute of the same name for functions: [`#[traced]`](macro@crate::traced).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// async fn work() {
///     tokio::time::sleep(std::time::Duration::from_secs(3600)).await;
/// }
///
/// let (future, handle) = tasktrace::traced(work());
/// tokio::spawn(future);
///
/// let trace = handle.backtrace().await.expect("it still sleeps");
/// assert!(trace.contains("work"));
/// println!("{trace}");
/// # }
/// ```
#[track_caller]
#[must_use = "the future does nothing unless it is polled"]
pub fn traced<F: Future>(future: F) -> (TracedTask<F>, TraceHandle) {
    let location = Location::caller();
    let origin = Origin::Call {
        future: std::any::type_name::<F>(),
        location,
    };
    let task = TracedTask::new(
        About {
            spawned_at: Some(location),
            parent: scope::current_task(),
            ..About::of(origin)
        },
        future,
    );
    let handle = task.handle();
    (task, handle)
}

pin_project! {
    /// The future returned by [`traced`]: resolves to what the future it was made of resolves to.
    ///
    /// ```
    /// let (future, handle) = tasktrace::traced(async { 7 });
    /// let future: tasktrace::TracedTask<_> = future;
    /// drop(future);
    /// assert!(handle.is_finished());
    /// ```
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct TracedTask<F> {
        #[pin]
        future: F,
        // After the future: the task is finished when that has been dropped.
        owner: TaskOwner,
    }
}

/// Of a task from the beginning, which finishes when this is dropped.
#[derive(Debug)]
pub(super) struct TaskOwner {
    link: Link,
    /// Its frame in the task that polls it, if one does, or did.
    frame: Option<(Identity, FrameOwner)>,
}

impl TaskOwner {
    pub(super) fn new(about: About) -> Self {
        Self {
            link: Link::to_task(about),
            frame: None,
        }
    }

    /// Polls the task. Returns `Ready` only if the body has, which is polled once at most.
    fn poll(&mut self, body: &mut dyn Body, cx: &mut Context<'_>) -> Poll<()> {
        let Self { link, frame } = self;
        if !scope::is_in_task() {
            if let Some((_, frame)) = frame {
                frame.head().leave_task();
            }
            return poll(link, false, body, cx);
        }
        let Some(record) = link.record() else {
            return body.poll(cx);
        };
        let (identity, frame) = frame.get_or_insert_with(|| {
            let (label, id) = (record.label().cloned(), record.id().get());
            let identity = Identity::new(record.origin(), label, Some(id));
            (identity, FrameOwner::new())
        });
        drive::enter(frame.head(), identity, &mut Both { link, body }, cx)
    }
}

impl Drop for TaskOwner {
    #[inline]
    fn drop(&mut self) {
        // One that has resolved has finished.
        if let Some(record) = self.link.record() {
            ended::note_drop(record);
            finish_dropped(&mut self.link);
        }
    }
}

impl<F: Future> TracedTask<F> {
    pub(crate) fn new(about: About, future: F) -> Self {
        Self {
            future,
            owner: TaskOwner::new(about),
        }
    }

    /// A handle to it, before it is polled.
    pub(crate) fn handle(&self) -> TraceHandle {
        let task = self.owner.link.task();
        TraceHandle::new(task.expect("it has not been polled"))
    }
}

impl<F: Future> Future for TracedTask<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let owner = this.owner;
        // SAFETY: it is polled once at most, and what that has returned is returned.
        unsafe { body::poll(this.future, |body| owner.poll(body, cx)) }
    }
}

/// A task, inside of its frame.
struct Both<'a> {
    link: &'a Link,
    body: &'a mut dyn Body,
}

impl Body for Both<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        poll(self.link, true, self.body, cx)
    }
}

/// Polls the task of this link, which may be a frame of another task at the same time.
fn poll(link: &Link, is_also_frame: bool, body: &mut dyn Body, cx: &mut Context<'_>) -> Poll<()> {
    match Local::get() {
        Some(local) => drive::enter_task(local, link, is_also_frame, body, cx),
        None => body.poll(cx),
    }
}
