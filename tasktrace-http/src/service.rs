//! Answers requests, for any server and any executor.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use tower_service::Service;

use super::backend::Backend;
use super::body::Body;
use super::document::{document, policy};
use super::handler::JobHandler;
use super::job::{Format, Job, JobRequest, Subject};
use super::response::{Policy, Refusal, response};
use super::route::{Fixed, RequestParts, Route};
use super::settings::{Access, Settings};
use super::single_flight::{FlightLimits, SingleFlight, Ticket};
use super::site;
use super::store::{ResponseStore, StoredResponse};

/// The limits of dumps: one at a time.
const DUMPS: FlightLimits = FlightLimits {
    concurrent: 1,
    waiting: 32,
};

/// The limits of quick requests, so that they do not wait for slow ones.
const BRIEF: FlightLimits = FlightLimits {
    concurrent: 1,
    waiting: 32,
};

/// The limits of profiles: several at a time, because they take long. They do not delay dumps.
const PROFILES: FlightLimits = FlightLimits {
    concurrent: 4,
    waiting: 0,
};

/// The limits of long profiles: fewer than others, so that they do not keep shorter ones out.
const LONG_PROFILES: FlightLimits = FlightLimits {
    concurrent: 2,
    waiting: 0,
};

/// The longest profile that counts as short, which is the default of Go's tools.
const MAX_SHORT_PROFILE: Duration = Duration::from_secs(30);

/// The largest number of requests that may wait for profiles: at most half of all requests. Half of these places are
/// for short profiles.
const MAX_PROFILE_REQUESTS: usize = 32;

/// The time to write a dump after the tasks have answered, for a half-closed client, which may have disconnected.
const TIME_TO_WRITE: Duration = Duration::from_secs(10);

/// The longest profile for a half-closed client, which may have disconnected.
const MAX_HALF_CLOSED_PROFILE: Duration = Duration::from_secs(10);

/// Answers requests about the tasks of this process: see [`Builder::service`](super::Builder::service).
///
/// It expects paths relative to its mount point. Clones share the dumps that they take.
#[derive(Clone)]
pub struct TasksService {
    settings: Arc<Settings>,
    backend: Arc<dyn Backend>,
    /// The content security policy of the page, which is computed for the first request.
    policy: Arc<OnceLock<HeaderValue>>,
    dumps: SingleFlight<JobHandler>,
    brief: SingleFlight<JobHandler>,
    profiles: SingleFlight<JobHandler>,
    long_profiles: SingleFlight<JobHandler>,
    /// The number of requests that wait for profiles.
    profiled: Arc<AtomicUsize>,
    /// The number of requests that wait for profiles longer than [`MAX_HALF_CLOSED_PROFILE`].
    long_profiled: Arc<AtomicUsize>,
}

impl TasksService {
    pub(super) fn new(settings: Settings, backend: Arc<dyn Backend>) -> Self {
        // A client that reads steadily has more time than one that reads nothing.
        let longest = settings.write_timeout.saturating_mul(4);
        let store = ResponseStore::new(Arc::clone(&backend), settings.largest_response, longest);
        let handler = || JobHandler {
            backend: Arc::clone(&backend),
            budget: settings.budget,
            store: store.clone(),
        };
        Self {
            dumps: SingleFlight::new("tasktrace-http", DUMPS, handler()),
            brief: SingleFlight::new("tasktrace-http", BRIEF, handler()),
            profiles: SingleFlight::new("tasktrace-http", PROFILES, handler()),
            long_profiles: SingleFlight::new("tasktrace-http", LONG_PROFILES, handler()),
            profiled: Arc::default(),
            long_profiled: Arc::default(),
            settings: Arc::new(settings),
            policy: Arc::default(),
            backend,
        }
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(super) fn backend(&self) -> Arc<dyn Backend> {
        Arc::clone(&self.backend)
    }

    fn answer<B>(&self, request: &Request<B>) -> Result<PendingResponse, Refusal> {
        self.admit(request)?;
        let is_head = match *request.method() {
            Method::GET => false,
            Method::HEAD => true,
            _ => return Err(Refusal::method()),
        };
        let accept = listed(request.headers(), header::ACCEPT);
        let longest = self.settings.longest_profile;
        let route = RequestParts::new(request.uri(), &accept, longest).route()?;
        let job = match route {
            Route::Page => {
                let policy = self.policy.get_or_init(policy).clone();
                return Ok(PendingResponse::Ready(Some(document(policy))));
            }
            Route::Fixed(fixed) => return Ok(PendingResponse::Ready(Some(ready_made(fixed)))),
            Route::Job(job) => job,
        };
        if is_head {
            self.backend.check(job.subject)?;
            return Ok(PendingResponse::Ready(Some(made(
                job.format,
                Body::empty(),
            ))));
        }
        self.submit(job)
    }

    fn submit(&self, job: Job) -> Result<PendingResponse, Refusal> {
        let soon = self.settings.budget.saturating_add(TIME_TO_WRITE);
        let (flight, profiled, half_closed_limit) = match job.subject {
            Subject::Nothing | Subject::Process => (&self.brief, None, soon),
            Subject::Tasks(_) | Subject::Task { .. } => (&self.dumps, None, soon),
            Subject::Profile { length, .. } => {
                let flight = match length <= MAX_SHORT_PROFILE {
                    true => &self.profiles,
                    false => &self.long_profiles,
                };
                let profiled = self.profile(length).ok_or_else(Refusal::profiles)?;
                let half_closed_limit = soon.saturating_add(length.min(MAX_HALF_CLOSED_PROFILE));
                (flight, Some(profiled), half_closed_limit)
            }
        };
        Ok(PendingResponse::Ticket {
            ticket: flight.request(JobRequest {
                job,
                caller: self.backend.caller(),
            }),
            format: job.format,
            half_closed_limit,
            _places: profiled,
        })
    }

    /// Returns a place among the requests that wait for profiles, if one is left.
    fn profile(&self, length: Duration) -> Option<ProfilePlaces> {
        let most = (self.settings.connections / 2).clamp(1, MAX_PROFILE_REQUESTS);
        let long = match length > MAX_HALF_CLOSED_PROFILE {
            true => Some(CountedPlace::new(&self.long_profiled, most.div_ceil(2))?),
            false => None,
        };
        Some(ProfilePlaces {
            _any: CountedPlace::new(&self.profiled, most)?,
            _long: long,
        })
    }

    /// Checks the access of a request.
    fn admit<B>(&self, request: &Request<B>) -> Result<(), Refusal> {
        let headers = request.headers();
        if self.settings.access == Access::Local {
            return Ok(());
        }
        // Checked even with a token, because a browser that knows the token sends it for any page.
        if !site::is_own(headers, host(request)) {
            return Err(Refusal::site());
        }
        if let Some(token) = &self.settings.token {
            // A page on another site does not have the token.
            let sent = headers.get(header::AUTHORIZATION);
            let is_authorized = sent.is_some_and(|sent| token.authorizes(sent.as_bytes()));
            return if is_authorized {
                Ok(())
            } else {
                Err(Refusal::token())
            };
        }
        let host = host(request);
        if host.is_some_and(|host| self.settings.hosts.allows(host)) {
            return Ok(());
        }
        Err(Refusal::host(host))
    }
}

/// Returns the host name of the request, if there is exactly one.
fn host<B>(request: &Request<B>) -> Option<&str> {
    let mut named = request.headers().get_all(header::HOST).iter();
    let in_header = match (named.next(), named.next()) {
        (Some(name), None) => Some(name.to_str().ok()?),
        (None, None) => None,
        // With several `Host` headers, a proxy may have used another one.
        _ => return None,
    };
    // HTTP/2 has the name in the address.
    let in_address = request.uri().authority().map(|it| it.as_str());
    match (in_address, in_header) {
        (Some(address), Some(header)) if address != header => None,
        (address, header) => address.or(header),
    }
}

/// Joins the values of all headers with this name.
fn listed(headers: &HeaderMap, name: header::HeaderName) -> String {
    let values = headers.get_all(name);
    let values: Vec<_> = values.iter().filter_map(|it| it.to_str().ok()).collect();
    values.join(",")
}

/// Returns a response in a format, with the file name under which a browser saves it.
fn made(format: Format, body: Body) -> Response<Body> {
    let mut made = response(StatusCode::OK, format.media(), &format.policy(), body);
    let file = format.file();
    let value = file.map(|file| format!("attachment; filename=\"{file}\""));
    if let Some(Ok(value)) = value.map(HeaderValue::try_from) {
        let headers = made.headers_mut();
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    made
}

fn ready_made(fixed: Fixed) -> Response<Body> {
    let body = Body::whole(fixed.body);
    response(StatusCode::OK, fixed.media, &Policy::Nothing, body)
}

impl<B> Service<Request<B>> for TasksService {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        let answer = self.answer(&request);
        ResponseFuture(answer.unwrap_or_else(|why| PendingResponse::Ready(Some(why.response()))))
    }
}

impl fmt::Debug for TasksService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TasksService").field(&self.settings).finish()
    }
}

/// The future of a response of [`TasksService`].
///
/// A separate thread does the work, so the future works on any executor.
///
/// # Cancel safety
///
/// The future can be dropped at any time. If no other request waits for the same response, the work is abandoned.
pub struct ResponseFuture(PendingResponse);

enum PendingResponse {
    /// The response, or `None` once it was returned.
    Ready(Option<Response<Body>>),
    Ticket {
        ticket: Ticket<Result<Arc<StoredResponse>, Refusal>>,
        format: Format,
        /// The limit of [`ResponseFuture::half_closed_limit`].
        half_closed_limit: Duration,
        _places: Option<ProfilePlaces>,
    },
}

/// The places that a request takes while it waits for a profile.
struct ProfilePlaces {
    _any: CountedPlace,
    _long: Option<CountedPlace>,
}

/// A place that counts until it is dropped.
struct CountedPlace(Arc<AtomicUsize>);

impl CountedPlace {
    fn new(count: &Arc<AtomicUsize>, most: usize) -> Option<Self> {
        let counted = Self(Arc::clone(count));
        (count.fetch_add(1, Ordering::Relaxed) < most).then_some(counted)
    }
}

impl Drop for CountedPlace {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl ResponseFuture {
    /// Returns the time that the work may take for a half-closed client, which may have disconnected.
    pub(super) fn half_closed_limit(&self) -> Duration {
        match self.0 {
            PendingResponse::Ready(_) => Duration::ZERO,
            PendingResponse::Ticket {
                half_closed_limit, ..
            } => half_closed_limit,
        }
    }
}

impl Future for ResponseFuture {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let response = match &mut self.0 {
            PendingResponse::Ready(response) => match response.take() {
                Some(response) => response,
                // Polled again after it was ready.
                None => return Poll::Pending,
            },
            PendingResponse::Ticket { ticket, format, .. } => {
                let product = ready!(Pin::new(ticket).poll(cx));
                let response = match product.map_err(Refusal::from).and_then(|it| it) {
                    Ok(item) => made(*format, Body::kept(item)),
                    Err(refusal) => refusal.response(),
                };
                self.0 = PendingResponse::Ready(None);
                response
            }
        };
        Poll::Ready(Ok(response))
    }
}

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
