//! One connection.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use http::{Request, Response};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use tower_service::Service;

use super::accept::Stream;
use super::io::Io;
use super::timer::Timer;
use crate::http::body::Body;
use crate::http::service::{ResponseFuture, TasksService};

/// The head of a request, and what is buffered of a response.
const BUFFER: usize = 32 << 10;

/// As good as no limit.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// More than any client of ours sends.
const HEADERS: usize = 64;

/// Serves a connection, until the client closes it or takes too long.
pub(super) async fn serve(stream: impl Stream, service: TasksService, activity: Activity) {
    let settings = service.settings();
    let mut http = http1::Builder::new();
    http.timer(Timer)
        // Also between two requests.
        // hyper adds it to a moment.
        .header_read_timeout(settings.read_timeout.min(LONGEST))
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
    /// How many responses hyper has not written yet, with those that are being made.
    responses: AtomicUsize,
    /// How long the last may take to be made for a client that sends nothing more, in milliseconds.
    alone: AtomicU64,
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

    /// For how long the response that is being made, if one is, may be made for a client that has closed
    /// its half of the connection. `None` if no response is being made or written.
    pub(super) fn alone(&self) -> Option<Option<Duration>> {
        let State {
            answering,
            responses,
            alone,
            ..
        } = &*self.0;
        if responses.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let is_answering = answering.load(Ordering::Relaxed) > 0;
        Some(is_answering.then(|| Duration::from_millis(alone.load(Ordering::Relaxed))))
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
    type Response = Response<Unwritten>;
    type Error = <TasksService as Service<Request<Incoming>>>::Error;
    type Future = Answering;

    fn call(&self, request: Request<Incoming>) -> Answering {
        let response = self.service.clone().call(request);
        let state = &self.activity.0;
        let alone = u64::try_from(response.alone().as_millis()).unwrap_or(u64::MAX);
        state.alone.store(alone, Ordering::Relaxed);
        state.answering.fetch_add(1, Ordering::Relaxed);
        Answering {
            response,
            activity: self.activity.clone(),
            written: Some(Written::new(&self.activity)),
        }
    }
}

/// A response that is being made.
struct Answering {
    response: ResponseFuture,
    activity: Activity,
    /// `None` once it is made.
    written: Option<Written>,
}

impl Future for Answering {
    type Output = Result<Response<Unwritten>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let response = ready!(Pin::new(&mut self.response).poll(cx))?;
        let _written = self.written.take();
        Poll::Ready(Ok(response.map(|body| Unwritten { body, _written })))
    }
}

/// Counts a response until it is dropped.
struct Written(Activity);

impl Written {
    fn new(activity: &Activity) -> Self {
        activity.0.responses.fetch_add(1, Ordering::Relaxed);
        Self(activity.clone())
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        self.0.0.responses.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The body of a response, which hyper drops when it has been written.
struct Unwritten {
    body: Body,
    _written: Option<Written>,
}

impl http_body::Body for Unwritten {
    type Data = <Body as http_body::Body>::Data;
    type Error = <Body as http_body::Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        // It has to be fetched now, from here on.
        self.activity.moved();
        self.activity.0.answering.fetch_sub(1, Ordering::Relaxed);
    }
}
