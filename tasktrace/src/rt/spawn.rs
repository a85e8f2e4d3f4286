//! Spawns traced tasks.

use std::future::Future;
use std::panic::Location;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::task::{self, LocalSet};

use super::JoinHandle;
use crate::origin::Origin;
use crate::runtime::RuntimeTaskId;
use crate::task::{Metadata, TraceHandle, TracedTask, current};

/// Spawns a future as a traced task, like [`tokio::spawn`], and returns its handle.
///
/// The task records where it was spawned and by which task. If the future comes from a `#[traced]` function, that
/// function is the first frame of the task.
///
/// [`TaskBuilder`] gives the task a name.
///
/// # Panics
///
/// Panics outside a tokio runtime.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// async fn work() -> u32 {
///     tokio::task::yield_now().await;
///     42
/// }
///
/// let task = tasktrace::spawn(work());
/// println!("{:?}", task.trace_handle());
/// assert_eq!(task.await.unwrap(), 42);
/// # }
/// ```
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    TaskBuilder::new().spawn(future)
}

/// Spawns a future as a traced task on the given runtime, like [`Handle::spawn`], and returns its handle.
///
/// ```
/// let runtime = tokio::runtime::Runtime::new().unwrap();
/// let task = tasktrace::spawn_on(async { 42 }, runtime.handle());
/// assert_eq!(runtime.block_on(task).unwrap(), 42);
/// ```
#[track_caller]
pub fn spawn_on<F>(future: F, runtime: &Handle) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    TaskBuilder::new().spawn_on(future, runtime)
}

/// Spawns a future that is not `Send` as a traced task on the current `LocalSet`, like [`tokio::task::spawn_local`],
/// and returns its handle.
///
/// If the task that polls the `LocalSet` is traced, it shows the new task, and awaits it.
///
/// # Panics
///
/// Panics like [`tokio::task::spawn_local`] outside a `LocalSet` or a local runtime.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use std::rc::Rc;
///
/// let local = tokio::task::LocalSet::new();
/// let output = local.run_until(async {
///     let here = Rc::new(42);
///     tasktrace::spawn_local(async move { *here }).await
/// });
/// assert_eq!(output.await.unwrap(), 42);
/// # }
/// ```
#[track_caller]
pub fn spawn_local<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    TaskBuilder::new().spawn_local(future)
}

/// Spawns a future that is not `Send` as a traced task on the given `LocalSet`, like [`LocalSet::spawn_local`], and
/// returns its handle.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let local = tokio::task::LocalSet::new();
/// let task = tasktrace::spawn_local_on(async { 42 }, &local);
/// assert_eq!(local.run_until(task).await.unwrap(), 42);
/// # }
/// ```
#[track_caller]
pub fn spawn_local_on<F>(future: F, local: &LocalSet) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    TaskBuilder::new().spawn_local_on(future, local)
}

/// Configures a traced task before spawning it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use tasktrace::TaskBuilder;
///
/// for number in 1..=3 {
///     let name = format!("worker {number}");
///     TaskBuilder::new().name(name).spawn(std::future::pending::<()>());
/// }
/// let labels: Vec<_> = tasktrace::tasks().map(|task| task.label().map(str::to_owned)).collect();
/// assert!(labels.contains(&Some("worker 2".to_owned())));
/// # }
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing unless it spawns a task"]
pub struct TaskBuilder {
    name: Option<Arc<str>>,
}

impl TaskBuilder {
    /// Returns a builder for a task without a name.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let task = tasktrace::TaskBuilder::new().spawn(async { 42 });
    /// assert_eq!(task.await.unwrap(), 42);
    /// # }
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the name of the task, which becomes its [label](TraceHandle::label).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let task = tasktrace::TaskBuilder::new().name("answer").spawn(async { 42 });
    /// assert_eq!(task.trace_handle().label(), Some("answer"));
    /// # }
    /// ```
    pub fn name(self, name: impl Into<Arc<str>>) -> Self {
        Self {
            name: Some(name.into()),
        }
    }

    /// Spawns the task like [`spawn`], and returns its handle.
    ///
    /// # Panics
    ///
    /// Panics outside a tokio runtime.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let task = tasktrace::TaskBuilder::new().name("answer").spawn(async { 42 });
    /// assert_eq!(task.await.unwrap(), 42);
    /// # }
    /// ```
    #[track_caller]
    pub fn spawn<F>(self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.spawn_on(future, &Handle::current())
    }

    /// Spawns the task like [`spawn_on`], and returns its handle.
    ///
    /// ```
    /// let runtime = tokio::runtime::Runtime::new().unwrap();
    /// let task = tasktrace::TaskBuilder::new().name("answer").spawn_on(async { 42 }, runtime.handle());
    /// assert_eq!(runtime.block_on(task).unwrap(), 42);
    /// ```
    #[track_caller]
    pub fn spawn_on<F>(self, future: F, runtime: &Handle) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let (task, trace) = self.make(future);
        let spawned = runtime.spawn(task);
        note_spawned_on(runtime, spawned.id(), &trace);
        JoinHandle::new(spawned, trace)
    }

    /// Spawns the task like [`spawn_local`], and returns its handle.
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
    ///     tasktrace::TaskBuilder::new().name("answer").spawn_local(async { 42 }).await
    /// });
    /// assert_eq!(output.await.unwrap(), 42);
    /// # }
    /// ```
    #[track_caller]
    pub fn spawn_local<F>(self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let (task, trace) = self.make_local(future);
        JoinHandle::new(task::spawn_local(task), trace)
    }

    /// Spawns the task like [`spawn_local_on`], and returns its handle.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let local = tokio::task::LocalSet::new();
    /// let task = tasktrace::TaskBuilder::new().name("answer").spawn_local_on(async { 42 }, &local);
    /// assert_eq!(local.run_until(task).await.unwrap(), 42);
    /// # }
    /// ```
    #[track_caller]
    pub fn spawn_local_on<F>(self, future: F, local: &LocalSet) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let (task, trace) = self.make_local(future);
        JoinHandle::new(local.spawn_local(task), trace)
    }

    #[track_caller]
    pub(super) fn make<F: Future>(self, future: F) -> (TracedTask<F>, TraceHandle) {
        self.make_at(future, std::any::type_name::<F>(), Location::caller())
    }

    /// Creates a task with a given name and spawn location.
    fn make_at<F: Future>(
        self,
        future: F,
        name: &'static str,
        location: &'static Location<'static>,
    ) -> (TracedTask<F>, TraceHandle) {
        let origin = Origin::Call {
            future: name,
            location,
        };
        let metadata = Metadata {
            label: self.name,
            spawned_at: Some(location),
            parent: current().map(|task| task.id()),
            ..Metadata::of(origin)
        };
        let task = TracedTask::new(metadata, future);
        let trace = task.handle();
        (task, trace)
    }

    /// Spawns a task like [`spawn`](Self::spawn), for a future of a library. The task is named after the type of the
    /// future, without generic arguments.
    #[cfg(feature = "hyper")]
    pub(super) fn spawn_at<F>(self, future: F, location: &'static Location<'static>)
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let name = std::any::type_name::<F>();
        let name = match name.split_once('<') {
            // The type of a boxed future has no name of its own.
            Some(("core::pin::Pin" | "alloc::boxed::Box", _)) => "hyper::task",
            Some((name, _)) => name,
            None => name,
        };
        let (task, trace) = self.make_at(future, name, location);
        let runtime = Handle::current();
        // The task runs without a handle.
        let spawned = runtime.spawn(task);
        note_spawned_on(&runtime, spawned.id(), &trace);
    }

    /// Creates a task for a `LocalSet`.
    #[track_caller]
    pub(super) fn make_local<F: Future>(self, future: F) -> (TracedTask<F>, TraceHandle) {
        let (task, trace) = self.make(future);
        // The runtime does not count the tasks of a `LocalSet` as its own.
        trace.note_runtime_task(None);
        (task, trace)
    }
}

/// Records the runtime's id of the task, unless its first poll has already done so.
pub(super) fn note_spawned_on(runtime: &Handle, id: task::Id, task: &TraceHandle) {
    task.note_runtime_task(Some(RuntimeTaskId::new(runtime, id)));
}

/// Tests that the spawn functions have the same bounds as those of tokio.
///
/// ```compile_fail,E0277
/// let not_send = std::rc::Rc::new(0);
/// tasktrace::spawn(async move {
///     std::future::ready(()).await;
///     drop(not_send);
/// });
/// ```
///
/// ```compile_fail,E0277
/// tasktrace::spawn(async { std::rc::Rc::new(0) });
/// ```
///
/// ```compile_fail,E0277
/// let mut set = tasktrace::JoinSet::new();
/// set.spawn(async { std::rc::Rc::new(0) });
/// ```
///
/// ```compile_fail,E0597
/// let local = 0;
/// let borrowed = &local;
/// tasktrace::spawn(async move { *borrowed });
/// ```
///
/// A handle is `Send` if the output is:
///
/// ```compile_fail,E0277
/// fn is_send<T: Send>() {}
/// is_send::<tasktrace::JoinHandle<std::rc::Rc<u32>>>();
/// ```
#[cfg(doctest)]
struct Bounds;
