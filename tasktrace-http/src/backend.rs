//! Defines the seam between the service and the tasks: a [`Backend`] gathers data, and a [`Document`] is the data.

use std::any::Any;
use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::job::{Format, Subject};

/// Gathers the data of tasks that a service serves.
///
/// The service calls [`gather`](Self::gather) on a thread of its own, so the method may block. At most one call for
/// [tasks](Subject::Tasks) and a few calls for [profiles](Subject::Profile) are in progress at a time. Clients that
/// request the same data meanwhile share it, even in different formats. A panic of the backend becomes a response with
/// the status `500`.
///
/// The documentation of [the crate](crate) has an example.
pub trait Backend: Send + Sync + 'static {
    /// Gathers the data of a subject.
    ///
    /// It should stop soon after the request is [cancelled](DataRequest::cancellation). The result is then discarded.
    ///
    /// # Errors
    ///
    /// Returns an error if the subject does not exist, or if the request was cancelled.
    fn gather(&self, request: DataRequest) -> Result<Box<dyn Document>, GatherError>;

    /// Checks that a subject exists, for a `HEAD` request, which gathers no data.
    ///
    /// # Errors
    ///
    /// Returns an error if the subject does not exist.
    fn check(&self, subject: Subject) -> Result<(), GatherError> {
        let _ = subject;
        Ok(())
    }

    /// Returns what [`gather`](Self::gather) needs to know of the place where a request is made, such as the runtime.
    ///
    /// The service calls it on the thread, and in the task, that requests a response.
    fn caller(&self) -> Caller {
        Caller::default()
    }

    /// Returns the backend for a server, which calls the service on a thread of its own. There,
    /// [`caller`](Self::caller) cannot find the runtime of the program, so the backend can record it here.
    ///
    /// `bind` and `serve_unix` of [`Builder`](crate::Builder) call it, on the thread that starts the server.
    #[must_use]
    fn for_server(self) -> Self
    where
        Self: Sized,
    {
        self
    }

    /// Starts a thread of the service, for example with blocked signals or a larger stack.
    ///
    /// # Errors
    ///
    /// Returns an error if the system refuses another thread. The service then answers that it is busy.
    fn spawn(
        &self,
        name: &str,
        run: Box<dyn FnOnce() + Send + 'static>,
    ) -> io::Result<JoinHandle<()>> {
        thread::Builder::new().name(name.to_owned()).spawn(run)
    }

    /// Makes the allocator return free memory to the system, if the backend knows how. The service calls it after it
    /// has freed a large response.
    fn release_memory(&self) {}
}

/// The data that a [`Backend`] has gathered, which can be written in several formats.
pub trait Document {
    /// Writes the data in a format. It is called once for each format that clients want.
    ///
    /// # Errors
    ///
    /// Returns the errors of the writer, which fails once no client waits for the response. An error of the kind
    /// [`Unsupported`](io::ErrorKind::Unsupported) says that the data has no such format: the client gets the status
    /// `406`.
    fn write(&self, format: Format, out: &mut dyn Write) -> io::Result<()>;
}

/// A request for data.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DataRequest {
    /// The subject of the data.
    pub subject: Subject,
    /// The time that tasks have to answer: see [`Builder::budget`](crate::Builder::budget).
    pub budget: Duration,
    /// The caller that requested the data first.
    pub caller: Caller,
    /// Says when no client waits for the data any more.
    pub cancellation: Cancellation,
}

impl DataRequest {
    pub(super) fn new(
        subject: Subject,
        budget: Duration,
        caller: Caller,
        cancellation: Cancellation,
    ) -> Self {
        Self {
            subject,
            budget,
            caller,
            cancellation,
        }
    }
}

/// The reason why there is no data.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum GatherError {
    /// The subject does not exist. The client gets the status `404` and this message.
    NotFound(String),
    /// The request was [cancelled](DataRequest::cancellation), so no client is left that could read an error.
    Cancelled,
}

impl fmt::Display for GatherError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound(message) => f.write_str(message),
            Self::Cancelled => f.write_str("the request was cancelled"),
        }
    }
}

impl std::error::Error for GatherError {}

/// Tells a [`Backend`] that no client waits for its data any more.
#[derive(Clone)]
pub struct Cancellation(Arc<dyn Fn() -> bool + Send + Sync>);

impl Cancellation {
    /// Returns a cancellation that is cancelled once `is_cancelled` returns `true`.
    ///
    /// ```
    /// use tasktrace_http::Cancellation;
    ///
    /// assert!(!Cancellation::new(|| false).is_cancelled());
    /// ```
    pub fn new(is_cancelled: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(is_cancelled))
    }

    /// Returns `true` if no client waits any more. The call takes a lock, so it is not for the innermost loop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        (self.0)()
    }
}

impl fmt::Debug for Cancellation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cancellation").finish_non_exhaustive()
    }
}

/// The caller of the service: a value that [`Backend::caller`] returns, and that [`Backend::gather`] gets with the
/// request.
#[derive(Clone, Default)]
pub struct Caller(Option<Arc<dyn Any + Send + Sync>>);

impl Caller {
    /// Wraps a value.
    ///
    /// ```
    /// use tasktrace_http::Caller;
    ///
    /// let caller = Caller::new(7_u32);
    /// assert_eq!(caller.get::<u32>(), Some(&7));
    /// assert_eq!(Caller::default().get::<u32>(), None);
    /// ```
    pub fn new<T: Any + Send + Sync>(value: T) -> Self {
        Self(Some(Arc::new(value)))
    }

    /// Returns the value, if it has this type.
    #[must_use]
    pub fn get<T: Any>(&self) -> Option<&T> {
        self.0.as_deref()?.downcast_ref()
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller").finish_non_exhaustive()
    }
}

/// A backend without data, for tests.
#[cfg(test)]
pub(super) struct NoData;

#[cfg(test)]
impl Backend for NoData {
    fn gather(&self, _: DataRequest) -> Result<Box<dyn Document>, GatherError> {
        Err(GatherError::Cancelled)
    }
}
