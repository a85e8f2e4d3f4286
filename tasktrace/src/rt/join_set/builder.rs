//! Builds a task of a set.

use std::future::Future;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::task::{AbortHandle, LocalSet};

use super::JoinSet;
use crate::rt::TaskBuilder;
use crate::rt::spawn::note_spawned_on;

/// Configures a task before spawning it into a [`JoinSet`]: see [`JoinSet::build_task`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let mut set = tasktrace::JoinSet::new();
/// set.build_task().name("answer").spawn(async { 42 });
/// assert_eq!(set.join_all().await, [42]);
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a builder does nothing unless it spawns a task"]
pub struct JoinSetTaskBuilder<'a, T> {
    set: &'a mut JoinSet<T>,
    builder: TaskBuilder,
}

impl<'a, T> JoinSetTaskBuilder<'a, T> {
    pub(super) fn new(set: &'a mut JoinSet<T>) -> Self {
        Self {
            set,
            builder: TaskBuilder::new(),
        }
    }
}

impl<T: 'static> JoinSetTaskBuilder<'_, T> {
    /// Sets the name of the task, like [`TaskBuilder::name`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let mut set = tasktrace::JoinSet::new();
    /// set.build_task().name("answer").spawn(async { 42 });
    /// # }
    /// ```
    pub fn name(self, name: impl Into<Arc<str>>) -> Self {
        Self {
            builder: self.builder.name(name),
            ..self
        }
    }

    /// Spawns the task like [`JoinSet::spawn`], and returns its abort handle.
    ///
    /// # Panics
    ///
    /// Panics outside a tokio runtime.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let mut set = tasktrace::JoinSet::new();
    /// set.build_task().name("answer").spawn(async { 42 });
    /// # }
    /// ```
    #[track_caller]
    pub fn spawn<F>(self, future: F) -> AbortHandle
    where
        F: Future<Output = T> + Send + 'static,
        T: Send,
    {
        self.spawn_on(future, &Handle::current())
    }

    /// Spawns the task like [`JoinSet::spawn_on`], and returns its abort handle.
    ///
    /// ```
    /// let runtime = tokio::runtime::Runtime::new().unwrap();
    /// let mut set = tasktrace::JoinSet::new();
    /// set.build_task().name("answer").spawn_on(async { 42 }, runtime.handle());
    /// ```
    #[track_caller]
    pub fn spawn_on<F>(self, future: F, runtime: &Handle) -> AbortHandle
    where
        F: Future<Output = T> + Send + 'static,
        T: Send,
    {
        let (task, trace) = self.builder.make(future);
        let spawned = self.set.inner.spawn_on(task, runtime);
        note_spawned_on(runtime, spawned.id(), &trace);
        self.set.members.insert(spawned.id(), trace);
        spawned
    }

    /// Spawns the task like [`JoinSet::spawn_local`], and returns its abort handle.
    ///
    /// # Panics
    ///
    /// Panics like [`tokio::task::spawn_local`] outside a `LocalSet` or a local runtime.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let local = tokio::task::LocalSet::new();
    /// let mut set = tasktrace::JoinSet::new();
    /// let _guard = local.enter();
    /// set.build_task().name("answer").spawn_local(async { 42 });
    /// # }
    /// ```
    #[track_caller]
    pub fn spawn_local<F>(self, future: F) -> AbortHandle
    where
        F: Future<Output = T> + 'static,
    {
        let (task, trace) = self.builder.make_local(future);
        let spawned = self.set.inner.spawn_local(task);
        self.set.members.insert(spawned.id(), trace);
        spawned
    }

    /// Spawns the task like [`JoinSet::spawn_local_on`], and returns its abort handle.
    ///
    /// ```
    /// let local = tokio::task::LocalSet::new();
    /// let mut set = tasktrace::JoinSet::new();
    /// set.build_task().name("answer").spawn_local_on(async { 42 }, &local);
    /// ```
    #[track_caller]
    pub fn spawn_local_on<F>(self, future: F, local: &LocalSet) -> AbortHandle
    where
        F: Future<Output = T> + 'static,
    {
        let (task, trace) = self.builder.make_local(future);
        let spawned = self.set.inner.spawn_local_on(task, local);
        self.set.members.insert(spawned.id(), trace);
        spawned
    }
}
