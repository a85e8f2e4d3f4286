//! Defines the function `traced` and the future that it returns.

use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::erased_future::ErasedFuture;
use super::finish::finish_dropped;
use super::frame::FrameOwner;
use super::handle::TraceHandle;
use super::metadata::Metadata;
use super::registration::Registration;
use super::thread_state::ThreadState;
use super::{ended, erased_future, poll, scope};
use crate::origin::{Identity, Origin};

/// Makes a future a task. Returns a future to use in its place, and a handle that requests traces of the task.
///
/// The handle can be used at any time and from any thread, also before the future is first polled. Until a trace is
/// requested, nothing is recorded but the frames of the task, and the cost is next to nothing.
///
/// The task is named after the type of the future, which for an `async fn` is the path of the function.
///
/// The attribute [`#[traced]`](macro@crate::traced) does the same for functions.
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
        Metadata {
            spawned_at: Some(location),
            parent: scope::current_task(),
            ..Metadata::of(origin)
        },
        future,
    );
    let handle = task.handle();
    (task, handle)
}

pin_project! {
    /// The future returned by [`traced`]. It resolves to the output of the future that it was made of.
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
        // After the future, so that the task finishes after the future has been dropped.
        owner: TaskOwner,
    }
}

/// Owns a future that was registered as a task when it was created. Dropping it finishes the task.
#[derive(Debug)]
pub(super) struct TaskOwner {
    registration: Registration,
    /// The frame in the task that polls this one, or did. `None` if no task has.
    frame: Option<(Identity, FrameOwner)>,
}

impl TaskOwner {
    pub(super) fn new(metadata: Metadata) -> Self {
        Self {
            registration: Registration::to_task(metadata),
            frame: None,
        }
    }

    /// Polls the task: as a frame too, if another task polls it.
    ///
    /// Polls `future` once at most, and returns `Ready` only if that poll has.
    fn poll(&mut self, future: &mut dyn ErasedFuture, cx: &mut Context<'_>) -> Poll<()> {
        let Self {
            registration,
            frame,
        } = self;
        if !scope::is_in_task() {
            if let Some((_, frame)) = frame {
                frame.state().leave_task();
            }
            return poll_registered(registration, false, future, cx);
        }
        let Some(header) = registration.header() else {
            return future.poll(cx);
        };
        let (identity, frame) = frame.get_or_insert_with(|| {
            let (label, id) = (header.label().cloned(), header.id().get());
            let identity = Identity::new(header.origin(), label, Some(id));
            (identity, FrameOwner::new())
        });
        poll::poll_traced(
            frame.state(),
            identity,
            &mut TaskInFrame {
                registration,
                future,
            },
            cx,
        )
    }
}

impl Drop for TaskOwner {
    #[inline]
    fn drop(&mut self) {
        // A future that has resolved has finished its task already.
        if let Some(header) = self.registration.header() {
            ended::note_drop(header);
            finish_dropped(&mut self.registration);
        }
    }
}

impl<F: Future> TracedTask<F> {
    pub(crate) fn new(metadata: Metadata, future: F) -> Self {
        Self {
            future,
            owner: TaskOwner::new(metadata),
        }
    }

    /// Returns a handle to the task.
    ///
    /// # Panics
    ///
    /// If the future has been polled, because the task may have finished.
    pub(crate) fn handle(&self) -> TraceHandle {
        let task = self.owner.registration.task();
        TraceHandle::new(task.expect("it has not been polled"))
    }
}

impl<F: Future> Future for TracedTask<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let owner = this.owner;
        // SAFETY: `TaskOwner::poll` polls the erased future once at most, and returns `Ready` only if that poll has.
        // On its way to `poll_task` or `poll_traced`, which promise the same, it polls only through `TaskInFrame`,
        // which passes the poll on.
        unsafe { erased_future::poll_erased(this.future, |future| owner.poll(future, cx)) }
    }
}

/// A task whose poll is the poll of a frame of another task.
struct TaskInFrame<'a> {
    registration: &'a Registration,
    future: &'a mut dyn ErasedFuture,
}

impl ErasedFuture for TaskInFrame<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        poll_registered(self.registration, true, self.future, cx)
    }

    #[cfg(feature = "inspect")]
    fn address(&self) -> *const () {
        self.future.address()
    }
}

/// Polls the task of this registration, which may be a frame of another task at the same time.
fn poll_registered(
    registration: &Registration,
    is_also_frame: bool,
    future: &mut dyn ErasedFuture,
    cx: &mut Context<'_>,
) -> Poll<()> {
    match ThreadState::get() {
        Some(thread_state) => {
            poll::poll_task(thread_state, registration, is_also_frame, future, cx)
        }
        None => future.poll(cx),
    }
}
