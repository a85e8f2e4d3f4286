//! Serves one connection.

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
use super::timer::TokioTimer;
use crate::body::Body;
use crate::service::{ResponseFuture, TasksService};

/// The size of hyper's buffer in bytes, for the head of a request and for a part of a response.
const BUFFER: usize = 32 << 10;

/// The longest timeout. Longer ones would overflow when hyper adds them to an `Instant`.
const MAX_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The largest number of headers, more than any expected client sends.
const MAX_HEADERS: usize = 64;

/// Serves a connection until the client closes it or takes too long.
pub(super) async fn serve(
    stream: impl Stream,
    service: TasksService,
    activity: ConnectionActivity,
) {
    let settings = service.settings();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer)
        // The timeout also applies between two requests.
        .header_read_timeout(settings.read_timeout.min(MAX_TIMEOUT))
        .max_headers(MAX_HEADERS)
        .max_buf_size(BUFFER);
    let io = Io::new(stream, settings.write_timeout, activity.clone());
    let service = CountingService { service, activity };
    // An error concerns only this client, and is not reported.
    let _ = http.serve_connection(io, service).await;
}

/// The activity of a connection, which its service and its I/O record.
#[derive(Clone, Default)]
pub(super) struct ConnectionActivity(Arc<ActivityCounters>);

#[derive(Default)]
struct ActivityCounters {
    /// The number of requests that are being answered.
    answering: AtomicUsize,
    /// The number of responses that hyper has not written completely, including those in progress.
    responses: AtomicUsize,
    /// The time in milliseconds that the service may work on the last response for a half-closed client.
    half_closed_limit: AtomicU64,
    /// The time of the last read or write, or of the acceptance, in milliseconds since the first one of the process.
    last_io: AtomicU64,
}

/// The progress of a response.
pub(super) enum ResponseProgress {
    /// The service works on the response.
    Answering {
        /// The time that this may take for a half-closed client, which may have disconnected.
        half_closed_limit: Duration,
    },
    /// hyper writes the response.
    Writing,
}

impl ConnectionActivity {
    /// Records that the connection was accepted, or that bytes were read or written.
    pub(super) fn note_io(&self) {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        let now = START.elapsed().as_millis();
        let now = u64::try_from(now).unwrap_or(u64::MAX);
        self.0.last_io.store(now, Ordering::Relaxed);
    }

    /// Returns the progress of the current response, or `None` if there is no response.
    pub(super) fn progress(&self) -> Option<ResponseProgress> {
        let ActivityCounters {
            answering,
            responses,
            half_closed_limit,
            ..
        } = &*self.0;
        if responses.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let is_answering = answering.load(Ordering::Relaxed) > 0;
        Some(match is_answering {
            true => ResponseProgress::Answering {
                half_closed_limit: Duration::from_millis(half_closed_limit.load(Ordering::Relaxed)),
            },
            false => ResponseProgress::Writing,
        })
    }

    /// Returns the time of the last read or write, or `None` if a request is being answered.
    pub(super) fn idle_since(&self) -> Option<u64> {
        let is_answering = self.0.answering.load(Ordering::Relaxed) > 0;
        (!is_answering).then(|| self.0.last_io.load(Ordering::Relaxed))
    }
}

/// The service of a connection, which records the requests in progress.
struct CountingService {
    service: TasksService,
    activity: ConnectionActivity,
}

impl hyper::service::Service<Request<Incoming>> for CountingService {
    type Response = Response<CountedBody>;
    type Error = <TasksService as Service<Request<Incoming>>>::Error;
    type Future = ResponseInProgress;

    fn call(&self, request: Request<Incoming>) -> ResponseInProgress {
        let response = self.service.clone().call(request);
        let state = &self.activity.0;
        let half_closed_limit =
            u64::try_from(response.half_closed_limit().as_millis()).unwrap_or(u64::MAX);
        state
            .half_closed_limit
            .store(half_closed_limit, Ordering::Relaxed);
        state.answering.fetch_add(1, Ordering::Relaxed);
        ResponseInProgress {
            response,
            activity: self.activity.clone(),
            count: Some(ResponseCount::new(&self.activity)),
        }
    }
}

/// The future of a response that the service works on.
struct ResponseInProgress {
    response: ResponseFuture,
    activity: ConnectionActivity,
    /// Counts the response. It moves to the body of the response.
    count: Option<ResponseCount>,
}

impl Future for ResponseInProgress {
    type Output = Result<Response<CountedBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let response = ready!(Pin::new(&mut self.response).poll(cx))?;
        let _count = self.count.take();
        Poll::Ready(Ok(response.map(|body| CountedBody { body, _count })))
    }
}

/// Counts a response until this is dropped.
struct ResponseCount(ConnectionActivity);

impl ResponseCount {
    fn new(activity: &ConnectionActivity) -> Self {
        activity.0.responses.fetch_add(1, Ordering::Relaxed);
        Self(activity.clone())
    }
}

impl Drop for ResponseCount {
    fn drop(&mut self) {
        self.0.0.responses.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The body of a response. hyper drops it when it is written completely.
struct CountedBody {
    body: Body,
    _count: Option<ResponseCount>,
}

impl http_body::Body for CountedBody {
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

impl Drop for ResponseInProgress {
    fn drop(&mut self) {
        // The connection counts as idle from now on, although the client has not read the response yet.
        self.activity.note_io();
        self.activity.0.answering.fetch_sub(1, Ordering::Relaxed);
    }
}
