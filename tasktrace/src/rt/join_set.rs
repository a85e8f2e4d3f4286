//! Awaits a set of tasks together.
//!
//! * [`members`]: the tasks of a set.
//! * [`join_next`]: the future that awaits the next finished task.
//! * [`builder`]: a builder for a task of a set.

mod builder;
mod join_next;
mod members;

use std::fmt;
use std::future::Future;
use std::panic::{self, Location};
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::runtime::Handle;
use tokio::task::{self, AbortHandle, Id, JoinError, LocalSet};

use crate::task::TraceHandle;
pub use builder::JoinSetTaskBuilder;
use join_next::JoinNext;
use members::Members;

/// A set of traced tasks, like tokio's [`JoinSet`](task::JoinSet).
///
/// Dumps show that a task that awaits the set awaits all unfinished tasks in it.
///
/// Dropping the set aborts all tasks in it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let mut set = tasktrace::JoinSet::new();
/// for number in 0..3 {
///     set.spawn(async move { number });
/// }
/// let mut sum = 0;
/// while let Some(number) = set.join_next().await {
///     sum += number.unwrap();
/// }
/// assert_eq!(sum, 3);
/// # }
/// ```
pub struct JoinSet<T> {
    inner: task::JoinSet<T>,
    members: Arc<Members>,
    made_at: &'static Location<'static>,
}

impl<T> JoinSet<T> {
    /// Returns an empty set.
    ///
    /// ```
    /// let set = tasktrace::JoinSet::<u32>::new();
    /// assert!(set.is_empty());
    /// ```
    #[must_use]
    #[track_caller]
    pub fn new() -> Self {
        Self {
            inner: task::JoinSet::new(),
            members: Arc::default(),
            made_at: Location::caller(),
        }
    }

    /// Returns the number of tasks in the set, which are those not joined yet.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let mut set = tasktrace::JoinSet::new();
    /// set.spawn(async {});
    /// assert_eq!(set.len(), 1);
    /// # }
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.len()
    }

    /// Returns `true` if the set has no tasks.
    ///
    /// ```
    /// assert!(tasktrace::JoinSet::<u32>::new().is_empty());
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.inner.is_empty()
    }

    /// Returns the trace handles of the tasks in the set, in the order in which they were spawned.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let mut set = tasktrace::JoinSet::new();
    /// set.spawn(std::future::pending::<()>());
    /// for task in set.trace_handles() {
    ///     println!("{}", task.backtrace().await.unwrap());
    /// }
    /// # }
    /// ```
    pub fn trace_handles(&self) -> impl Iterator<Item = TraceHandle> + use<T> {
        self.members.handles().into_iter()
    }
}

impl<T: 'static> JoinSet<T> {
    /// Returns a builder for a named task in the set.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let mut set = tasktrace::JoinSet::new();
    /// set.build_task().name("answer").spawn(async { 42 });
    /// assert_eq!(set.trace_handles().next().unwrap().label(), Some("answer"));
    /// # }
    /// ```
    pub fn build_task(&mut self) -> JoinSetTaskBuilder<'_, T> {
        JoinSetTaskBuilder::new(self)
    }

    /// Spawns a task into the set, like [`spawn`](crate::spawn), and returns its abort handle.
    ///
    /// # Panics
    ///
    /// Panics outside a tokio runtime.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let mut set = tasktrace::JoinSet::new();
    /// set.spawn(async { 42 });
    /// assert_eq!(set.join_next().await.unwrap().unwrap(), 42);
    /// # }
    /// ```
    #[track_caller]
    pub fn spawn<F>(&mut self, future: F) -> AbortHandle
    where
        F: Future<Output = T> + Send + 'static,
        T: Send,
    {
        self.build_task().spawn(future)
    }

    /// Spawns a task into the set on the given runtime, like [`spawn_on`](crate::spawn_on), and returns its abort
    /// handle.
    ///
    /// ```
    /// let runtime = tokio::runtime::Runtime::new().unwrap();
    /// let mut set = tasktrace::JoinSet::new();
    /// set.spawn_on(async { 42 }, runtime.handle());
    /// assert_eq!(runtime.block_on(set.join_next()).unwrap().unwrap(), 42);
    /// ```
    #[track_caller]
    pub fn spawn_on<F>(&mut self, future: F, runtime: &Handle) -> AbortHandle
    where
        F: Future<Output = T> + Send + 'static,
        T: Send,
    {
        self.build_task().spawn_on(future, runtime)
    }

    /// Spawns a task into the set on the current `LocalSet`, like [`spawn_local`](crate::spawn_local), and returns its
    /// abort handle.
    ///
    /// # Panics
    ///
    /// Panics like [`tokio::task::spawn_local`] outside a `LocalSet` or a local runtime.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let local = tokio::task::LocalSet::new();
    /// let output = local.run_until(async {
    ///     let mut set = tasktrace::JoinSet::new();
    ///     set.spawn_local(async { 42 });
    ///     set.join_next().await
    /// });
    /// assert_eq!(output.await.unwrap().unwrap(), 42);
    /// # }
    /// ```
    #[track_caller]
    pub fn spawn_local<F>(&mut self, future: F) -> AbortHandle
    where
        F: Future<Output = T> + 'static,
    {
        self.build_task().spawn_local(future)
    }

    /// Spawns a task into the set on the given `LocalSet`, like [`spawn_local_on`](crate::spawn_local_on), and returns
    /// its abort handle.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let local = tokio::task::LocalSet::new();
    /// let mut set = tasktrace::JoinSet::new();
    /// set.spawn_local_on(async { 42 }, &local);
    /// assert_eq!(local.run_until(set.join_next()).await.unwrap().unwrap(), 42);
    /// # }
    /// ```
    #[track_caller]
    pub fn spawn_local_on<F>(&mut self, future: F, local: &LocalSet) -> AbortHandle
    where
        F: Future<Output = T> + 'static,
    {
        self.build_task().spawn_local_on(future, local)
    }

    /// Spawns a closure that may block into the set, and returns its abort handle. A closure is not a task, so it has
    /// no trace.
    ///
    /// # Panics
    ///
    /// Panics outside a tokio runtime.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let mut set = tasktrace::JoinSet::new();
    /// set.spawn_blocking(|| 42);
    /// assert_eq!(set.join_next().await.unwrap().unwrap(), 42);
    /// # }
    /// ```
    #[track_caller]
    pub fn spawn_blocking<F>(&mut self, closure: F) -> AbortHandle
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send,
    {
        self.inner.spawn_blocking(closure)
    }

    /// Spawns a closure into the set on the given runtime, like [`spawn_blocking`](Self::spawn_blocking), and returns
    /// its abort handle.
    ///
    /// ```
    /// let runtime = tokio::runtime::Runtime::new().unwrap();
    /// let mut set = tasktrace::JoinSet::new();
    /// set.spawn_blocking_on(|| 42, runtime.handle());
    /// assert_eq!(runtime.block_on(set.join_next()).unwrap().unwrap(), 42);
    /// ```
    #[track_caller]
    pub fn spawn_blocking_on<F>(&mut self, closure: F, runtime: &Handle) -> AbortHandle
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send,
    {
        self.inner.spawn_blocking_on(closure, runtime)
    }

    /// Waits until a task finishes, removes it from the set, and returns its output. Returns `None` if the set is
    /// empty.
    ///
    /// # Errors
    ///
    /// Returns an error if the task panicked or was aborted.
    ///
    /// # Cancel safety
    ///
    /// This method is cancel safe. If the future is dropped before it completes, no task was removed.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let mut set = tasktrace::JoinSet::new();
    /// set.spawn(async { 42 });
    /// assert_eq!(set.join_next().await.unwrap().unwrap(), 42);
    /// assert!(set.join_next().await.is_none());
    /// # }
    /// ```
    pub async fn join_next(&mut self) -> Option<Result<T, JoinError>> {
        let joined = self.join_next_with_id().await?;
        Some(joined.map(|(_, output)| output))
    }

    /// Waits like [`join_next`](Self::join_next), and also returns tokio's id of the task.
    ///
    /// # Errors
    ///
    /// Returns an error, which has the id, if the task panicked or was aborted.
    ///
    /// # Cancel safety
    ///
    /// This method is cancel safe. If the future is dropped before it completes, no task was removed.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let mut set = tasktrace::JoinSet::new();
    /// let task = set.spawn(async { 42 });
    /// let (id, output) = set.join_next_with_id().await.unwrap().unwrap();
    /// assert_eq!((id, output), (task.id(), 42));
    /// # }
    /// ```
    pub async fn join_next_with_id(&mut self) -> Option<Result<(Id, T), JoinError>> {
        JoinNext::new(self).await
    }

    /// Removes a finished task from the set, and returns its output. Returns `None` if no task has finished.
    ///
    /// # Errors
    ///
    /// Returns an error if the task panicked or was aborted.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let mut set = tasktrace::JoinSet::new();
    /// set.spawn(async { 42 });
    /// assert!(set.try_join_next().is_none(), "it has not been polled yet");
    /// # }
    /// ```
    pub fn try_join_next(&mut self) -> Option<Result<T, JoinError>> {
        let joined = self.try_join_next_with_id()?;
        Some(joined.map(|(_, output)| output))
    }

    /// Removes a finished task like [`try_join_next`](Self::try_join_next), and also returns tokio's id of the task.
    ///
    /// # Errors
    ///
    /// Returns an error, which has the id, if the task panicked or was aborted.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let mut set = tasktrace::JoinSet::new();
    /// set.spawn(async { 42 });
    /// assert!(set.try_join_next_with_id().is_none(), "it has not been polled yet");
    /// # }
    /// ```
    pub fn try_join_next_with_id(&mut self) -> Option<Result<(Id, T), JoinError>> {
        let joined = self.inner.try_join_next_with_id();
        self.forget(joined.as_ref());
        joined
    }

    /// Waits until all tasks have finished, and returns their outputs in the order in which they finished.
    ///
    /// # Panics
    ///
    /// Panics if a task was aborted. If a task panics, this method panics with the same payload. In both cases the
    /// other tasks are aborted.
    ///
    /// # Cancel safety
    ///
    /// This method is not cancel safe. Dropping the future drops the outputs so far and aborts the other tasks.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let set: tasktrace::JoinSet<u32> = (1..=3).map(std::future::ready).collect();
    /// let outputs = set.join_all().await;
    /// assert_eq!(outputs.iter().sum::<u32>(), 6);
    /// # }
    /// ```
    pub async fn join_all(mut self) -> Vec<T> {
        let mut outputs = Vec::with_capacity(self.len());
        while let Some(joined) = self.join_next().await {
            match joined {
                Ok(output) => outputs.push(output),
                Err(error) if error.is_panic() => panic::resume_unwind(error.into_panic()),
                Err(error) => panic!("{error}"),
            }
        }
        outputs
    }

    /// Aborts all tasks, and waits until they have ended.
    ///
    /// # Cancel safety
    ///
    /// This method is cancel safe. If the future is dropped, the tasks are aborted and may remain in the set.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let mut set = tasktrace::JoinSet::new();
    /// set.spawn(std::future::pending::<()>());
    /// set.shutdown().await;
    /// assert!(set.is_empty());
    /// # }
    /// ```
    pub async fn shutdown(&mut self) {
        self.abort_all();
        while self.join_next().await.is_some() {}
    }

    /// Aborts all tasks. They remain in the set until they are joined.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let mut set = tasktrace::JoinSet::new();
    /// set.spawn(std::future::pending::<()>());
    /// set.abort_all();
    /// assert!(set.join_next().await.unwrap().unwrap_err().is_cancelled());
    /// # }
    /// ```
    pub fn abort_all(&mut self) {
        self.inner.abort_all();
    }

    /// Removes all tasks from the set without aborting them.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let mut set = tasktrace::JoinSet::new();
    /// set.spawn(std::future::pending::<()>());
    /// set.detach_all();
    /// assert!(set.is_empty());
    /// # }
    /// ```
    pub fn detach_all(&mut self) {
        self.inner.detach_all();
        self.members.clear();
    }

    /// Polls for a finished task, removes it from the set, and returns its output.
    ///
    /// Unlike [`join_next`](Self::join_next), this method does not record that the caller awaits the tasks. It returns
    /// `Poll::Ready(None)` if the set is empty.
    ///
    /// # Errors
    ///
    /// Returns an error if the task panicked or was aborted.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let mut set = tasktrace::JoinSet::new();
    /// set.spawn(async { 42 });
    /// let joined = std::future::poll_fn(|cx| set.poll_join_next(cx)).await;
    /// assert_eq!(joined.unwrap().unwrap(), 42);
    /// # }
    /// ```
    pub fn poll_join_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, JoinError>>> {
        let joined = self.poll_join_next_with_id(cx);
        joined.map(|joined| joined.map(|joined| joined.map(|(_, output)| output)))
    }

    /// Polls like [`poll_join_next`](Self::poll_join_next), and also returns tokio's id of the task.
    ///
    /// # Errors
    ///
    /// Returns an error, which has the id, if the task panicked or was aborted.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let mut set = tasktrace::JoinSet::new();
    /// let task = set.spawn(async { 42 });
    /// let joined = std::future::poll_fn(|cx| set.poll_join_next_with_id(cx)).await;
    /// assert_eq!(joined.unwrap().unwrap(), (task.id(), 42));
    /// # }
    /// ```
    pub fn poll_join_next_with_id(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<(Id, T), JoinError>>> {
        let joined = self.inner.poll_join_next_with_id(cx);
        if let Poll::Ready(joined) = &joined {
            self.forget(joined.as_ref());
        }
        joined
    }

    /// Forgets a task that was removed from the set.
    fn forget(&self, joined: Option<&Result<(Id, T), JoinError>>) {
        match joined {
            Some(Ok((id, _))) => self.members.remove(*id),
            Some(Err(error)) => self.members.remove(error.id()),
            None => {}
        }
    }
}

impl<T> Default for JoinSet<T> {
    #[track_caller]
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for JoinSet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinSet").field("len", &self.len()).finish()
    }
}

impl<T, F> FromIterator<F> for JoinSet<T>
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    #[track_caller]
    fn from_iter<I: IntoIterator<Item = F>>(futures: I) -> Self {
        let mut set = Self::new();
        for future in futures {
            set.spawn(future);
        }
        set
    }
}

impl<T, F> Extend<F> for JoinSet<T>
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    #[track_caller]
    fn extend<I: IntoIterator<Item = F>>(&mut self, futures: I) {
        for future in futures {
            self.spawn(future);
        }
    }
}
