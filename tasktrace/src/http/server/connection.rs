//! One connection.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::Instant;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use tokio::io::{AsyncRead, AsyncWrite};
use tower_service::Service;

use super::io::Io;
use super::timer::Timer;
use crate::http::service::{ResponseFuture, TasksService};

/// The head of a request, and what is buffered of a response.
const BUFFER: usize = 32 << 10;

/// More than any client of ours sends.
const HEADERS: usize = 64;

/// Serves a connection, until the client closes it or takes too long.
pub(super) async fn serve<S>(stream: S, service: TasksService, activity: Activity)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let settings = service.settings();
    let mut http = http1::Builder::new();
    http.timer(Timer)
        // Also between two requests.
        .header_read_timeout(settings.read_timeout)
        .max_headers(HEADERS)
        .max_buf_size(BUFFER);
    let io = Io::new(stream, settings.write_timeout, activity.clone());
    let service = Counted { service, activity };
    // Whatever is the matter with a connection, there is nobody to tell.
    let _ = http.serve_connection(io, service).await;
}

/// What a connection is doing.
#[derive(Clone, Default)]
pub(super) struct Activity(Arc<State>);

#[derive(Default)]
struct State {
    /// How many of its requests are being answered.
    answering: AtomicUsize,
    /// When something was last read or written, in milliseconds.
    moved: AtomicU64,
}

impl Activity {
    /// Something has been read or written.
    pub(super) fn moved(&self) {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        let now = START.elapsed().as_millis();
        let now = u64::try_from(now).unwrap_or(u64::MAX);
        self.0.moved.store(now, Ordering::Relaxed);
    }

    /// Since when nothing was read or written, if no request is being answered.
    pub(super) fn idle_since(&self) -> Option<u64> {
        let is_answering = self.0.answering.load(Ordering::Relaxed) > 0;
        (!is_answering).then(|| self.0.moved.load(Ordering::Relaxed))
    }
}

/// Says so when it answers.
struct Counted {
    service: TasksService,
    activity: Activity,
}

impl hyper::service::Service<Request<Incoming>> for Counted {
    type Response = <TasksService as Service<Request<Incoming>>>::Response;
    type Error = <TasksService as Service<Request<Incoming>>>::Error;
    type Future = Answering;

    fn call(&self, request: Request<Incoming>) -> Answering {
        self.activity.0.answering.fetch_add(1, Ordering::Relaxed);
        Answering {
            response: self.service.clone().call(request),
            activity: self.activity.clone(),
        }
    }
}

/// A response that is being made.
struct Answering {
    response: ResponseFuture,
    activity: Activity,
}

impl Future for Answering {
    type Output = <ResponseFuture as Future>::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.response).poll(cx)
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        // It has to be fetched now, from here on.
        self.activity.moved();
        self.activity.0.answering.fetch_sub(1, Ordering::Relaxed);
    }
}
