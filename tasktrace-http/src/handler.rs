//! Handles jobs: asks the backend for data, and stores the document.

use std::io::{self, Write};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::backend::{Backend, Cancellation, DataRequest, Document};
use super::job::{JobRequest, Subject};
use super::response::Refusal;
use super::single_flight::Handler;
use super::store::{ResponseStore, StoredResponse};

/// The [`Handler`] of jobs.
pub(super) struct JobHandler {
    pub(super) backend: Arc<dyn Backend>,
    /// The time that tasks have to answer.
    pub(super) budget: Duration,
    pub(super) store: ResponseStore,
}

impl Handler for JobHandler {
    type Request = JobRequest;
    type Subject = Subject;
    type Data = Result<Box<dyn Document>, Refusal>;
    type Response = Result<Arc<StoredResponse>, Refusal>;

    fn subject(request: &JobRequest) -> Subject {
        request.job.subject
    }

    fn spawn(
        &self,
        name: &str,
        run: Box<dyn FnOnce() + Send + 'static>,
    ) -> io::Result<JoinHandle<()>> {
        self.backend.spawn(name, run)
    }

    fn gather(&self, request: &JobRequest, cancellation: &Cancellation) -> Self::Data {
        let subject = request.job.subject;
        let (caller, cancellation) = (request.caller.clone(), cancellation.clone());
        let request = DataRequest::new(subject, self.budget, caller, cancellation);
        self.backend.gather(request).map_err(Refusal::from)
    }

    fn render(
        &self,
        data: &Self::Data,
        request: &JobRequest,
        is_wanted: &dyn Fn() -> bool,
    ) -> Self::Response {
        let document = data.as_ref().map_err(Refusal::clone)?;
        let stored = self.store.store(|out| {
            let mut out = io::BufWriter::new(WhileWanted { out, is_wanted });
            document.write(request.job.format, &mut out)?;
            out.flush()
        });
        match stored {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(full)) => Err(full.into()),
            Err(error) => Err(Refusal::unwritten(error)),
        }
    }
}

/// A writer that fails once no client waits for the response.
struct WhileWanted<'a, W> {
    out: W,
    is_wanted: &'a dyn Fn() -> bool,
}

impl<W: Write> Write for WhileWanted<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match (self.is_wanted)() {
            true => self.out.write(bytes),
            // No client is left that could read the error.
            false => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
