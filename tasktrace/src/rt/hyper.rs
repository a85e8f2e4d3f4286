//! The tasks that hyper spawns.

use std::future::Future;
use std::panic::Location;

use super::TaskBuilder;

/// An executor for hyper, and for what is built on it, that traces what it spawns.
///
/// Servers and clients of HTTP/2 spawn their streams and connections on it, and the client of `hyper-util` its
/// connections of either version. (A connection of an HTTP/1 server is spawned by the code that accepts it: there
/// [`tasktrace::spawn`](crate::spawn) is what traces it.) It spawns on the tokio runtime that calls it.
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
    /// Returns an executor. Its tasks say that they were spawned where this is called.
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
