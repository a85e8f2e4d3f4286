//! Awaits a spawned task, and records that it is awaited.

use std::fmt;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::task::{self, JoinError};

use crate::origin::{Identity, Origin};
use crate::task::{TraceHandle, WaitFrame};

/// Awaits a task that was [spawned](crate::spawn), like tokio's [`JoinHandle`](task::JoinHandle).
///
/// It derefs to tokio's handle, and also holds a [`TraceHandle`]. The trace of a task that awaits it names the awaited
/// task, and dumps show who awaits whom.
///
/// Dropping the handle detaches the task.
///
/// # Errors
///
/// Resolves to a [`JoinError`] if the task panicked or was aborted.
///
/// # Cancel safety
///
/// The handle is cancel safe. If it is polled by reference in a `select!` and another branch completes first, it can be
/// awaited again.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let answer: tasktrace::JoinHandle<u32> = tasktrace::spawn(async { 42 });
/// assert_eq!(answer.await.unwrap(), 42);
///
/// let forever = tasktrace::spawn(std::future::pending::<()>());
/// println!("{}", forever.trace_handle().backtrace().await.unwrap());
/// forever.abort();
/// assert!(forever.await.unwrap_err().is_cancelled());
/// # }
/// ```
pub struct JoinHandle<T> {
    inner: task::JoinHandle<T>,
    awaiting: WaitFrame,
    trace: TraceHandle,
    spawned_at: &'static Location<'static>,
}

impl<T> JoinHandle<T> {
    #[track_caller]
    pub(super) fn new(inner: task::JoinHandle<T>, trace: TraceHandle) -> Self {
        Self {
            inner,
            awaiting: WaitFrame::new(),
            trace,
            spawned_at: Location::caller(),
        }
    }

    /// Returns the handle that asks for traces of the task.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let task = tasktrace::spawn(std::future::pending::<()>());
    /// let handle = task.trace_handle().clone();
    /// println!("task {} was spawned at {}", handle.id(), handle.spawned_at().unwrap());
    /// # }
    /// ```
    #[must_use]
    pub fn trace_handle(&self) -> &TraceHandle {
        &self.trace
    }

    /// Returns tokio's handle. Traces do not show which task awaits that handle.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let task: tokio::task::JoinHandle<()> = tasktrace::spawn(async {}).into_inner();
    /// task.await.unwrap();
    /// # }
    /// ```
    #[must_use]
    pub fn into_inner(self) -> task::JoinHandle<T> {
        self.inner
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let identity = || identity(&this.trace, this.spawned_at);
        this.awaiting.poll(identity, Pin::new(&mut this.inner), cx)
    }
}

/// Returns the identity of a frame that awaits the task.
fn identity(task: &TraceHandle, spawned_at: &'static Location<'static>) -> Identity {
    let origin = Origin::Wait {
        path: "tasktrace::JoinHandle",
        location: spawned_at,
    };
    let name = task.label().unwrap_or_else(|| task.name());
    let label = format!("task {} {name}", task.id());
    Identity::new(origin, Some(label.into()), Some(task.id().get()))
}

impl<T> Deref for JoinHandle<T> {
    type Target = task::JoinHandle<T>;

    fn deref(&self) -> &Self::Target {
        &self.inner
    }
}

impl<T> DerefMut for JoinHandle<T> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.inner
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle")
            .field("id", &self.inner.id())
            .field("trace", &self.trace)
            .finish()
    }
}
