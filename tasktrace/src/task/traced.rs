//! The function `traced`, and the future that it returns.

use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::frame::{self, Head};
use super::handle::TraceHandle;
use super::link::Owner;
use super::record::{About, RecordRef};
use super::{drive, scope};
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
        body: Body<F>,
        // What it is to a task that polls it, if one does.
        head: Option<Head>,
    }
}

pin_project! {
    #[derive(Debug)]
    struct Body<F> {
        #[pin]
        future: F,
        // The last field: the task is finished when the future has been dropped.
        owner: Owner,
    }
}

impl<F: Future> TracedTask<F> {
    pub(crate) fn new(about: About, future: F) -> Self {
        Self {
            body: Body {
                future,
                owner: Owner::new(about),
            },
            head: None,
        }
    }

    /// A handle to it, before it is polled.
    pub(crate) fn handle(&self) -> TraceHandle {
        let record = self.body.owner.link().task();
        TraceHandle::new(RecordRef::of(record.expect("it has not been polled")))
    }
}

impl<F: Future> Future for TracedTask<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if !scope::is_in_task() {
            let body = this.body.project();
            return drive::enter(body.owner.link(), None, body.future, cx);
        }
        let Some(record) = this.body.owner.link().task() else {
            return this.body.poll(cx);
        };
        let head = this.head.get_or_insert_with(|| {
            let about = record.about();
            let (label, id) = (about.label.clone(), about.id.get());
            Head::new(Identity::new(about.origin, label, Some(id)))
        });
        frame::poll(head, this.body, cx)
    }
}

/// Inside of another task.
impl<F: Future> Future for Body<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        drive::poll(this.owner.link(), true, this.future, cx)
    }
}
