//! Traces the tasks that hyper spawns.

use std::future::Future;
use std::panic::Location;

use super::TaskBuilder;

/// An executor for hyper, and for libraries on top of it, that traces the tasks that it spawns.
///
/// HTTP/2 servers and clients spawn their streams and connections on it, and the client of `hyper-util` spawns its
/// connections of either version. An HTTP/1 server spawns no tasks: the code that accepts a connection spawns it, with
/// [`tasktrace::spawn`](crate::spawn) to trace it. The executor spawns on the tokio runtime that calls it.
///
/// # Panics
///
/// `execute` panics outside a tokio runtime.
///
/// ```
/// use tasktrace::hyper::Executor;
///
/// let executor = Executor::new();
/// # let _ = executor;
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Executor {
    location: &'static Location<'static>,
}

impl Executor {
    /// Returns an executor. The call of this function is the spawn location of its tasks.
    #[must_use]
    #[track_caller]
    pub fn new() -> Self {
        Self {
            location: Location::caller(),
        }
    }
}

impl Default for Executor {
    #[track_caller]
    fn default() -> Self {
        Self::new()
    }
}

impl<F> ::hyper::rt::Executor<F> for Executor
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        TaskBuilder::new().spawn_at(future, self.location);
    }
}
