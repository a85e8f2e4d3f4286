//! The function `traced`, and the future that it returns.

use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::handle::TraceHandle;
use super::{Owner, Task, drive};
use crate::origin::Origin;

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
    let origin = Origin::Call {
        future: std::any::type_name::<F>(),
        location: Location::caller(),
    };
    let task = Task::new(origin);
    let handle = TraceHandle::new(Arc::clone(&task));
    let task = TracedTask {
        future,
        origin,
        owner: Owner(task),
    };
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
        origin: Origin,
        // The last field: the task is finished when the future has been dropped.
        owner: Owner,
    }
}

impl<F: Future> Future for TracedTask<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        drive::poll_recorded(this.owner, *this.origin, this.future, cx)
    }
}
