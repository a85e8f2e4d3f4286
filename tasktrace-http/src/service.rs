//! Answers requests, for any server and any executor.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use tower_service::Service;

use super::backend::Backend;
use super::body::Body;
use super::handler::JobHandler;
use super::job::{Format, Job, JobRequest, Subject};
use super::page_response::{page_response, policy};
use super::response::{Policy, Refusal, response};
use super::route::{Fixed, RequestParts, Route};
use super::settings::{Access, Settings};
use super::single_flight::{FlightLimits, NoResponse, SingleFlight, Ticket};
use super::site;
use super::store::{ResponseStore, StoredResponse};

/// The limits of dumps: one at a time.
const DUMPS: FlightLimits = FlightLimits {
    concurrent: 1,
    waiting: 32,
};

/// The limits of quick requests, so that they do not wait for slow ones.
const QUICK: FlightLimits = FlightLimits {
    concurrent: 1,
    waiting: 32,
};

/// The limits of profiles of up to [`LONG_PROFILE`]: several at a time, because they take long. They do not delay
/// dumps.
const PROFILES: FlightLimits = FlightLimits {
    concurrent: 4,
    waiting: 0,
};

/// The limits of longer profiles, so that they do not take the places of shorter ones.
const LONG_PROFILES: FlightLimits = FlightLimits {
    concurrent: 2,
    waiting: 0,
};

/// The length above which a profile is long. It is the default length of Go's tools.
const LONG_PROFILE: Duration = Duration::from_secs(30);

/// The largest number of requests that may wait for profiles, if at least twice as many connections are allowed. Half
/// of these places are for profiles of up to [`BRIEF_PROFILE`].
const MAX_PROFILE_REQUESTS: usize = 32;

/// The time to write a dump after the tasks have answered, for a half-closed client, which may have disconnected.
const TIME_TO_WRITE: Duration = Duration::from_secs(10);

/// The length up to which a profile is brief. A brief profile is completed even for a half-closed client, which may
/// have disconnected.
const BRIEF_PROFILE: Duration = Duration::from_secs(10);

/// Answers requests with the data of a [`Backend`]: see [`Builder::service`](super::Builder::service).
///
/// It expects paths relative to its mount point. Clones share their responses.
#[derive(Clone)]
pub struct TasksService {
    settings: Arc<Settings>,
    backend: Arc<dyn Backend>,
    /// The content security policy of the page, which is computed for the first request.
    policy: Arc<OnceLock<HeaderValue>>,
    dumps: SingleFlight<JobHandler>,
    quick: SingleFlight<JobHandler>,
    profiles: SingleFlight<JobHandler>,
    long_profiles: SingleFlight<JobHandler>,
    /// The number of requests that wait for profiles.
    profile_requests: Arc<AtomicUsize>,
    /// The number of requests that wait for profiles longer than [`BRIEF_PROFILE`].
    not_brief_profile_requests: Arc<AtomicUsize>,
}

impl TasksService {
    pub(super) fn new(settings: Settings, backend: Arc<dyn Backend>) -> Self {
        // A client that reads steadily has more time than one that reads nothing.
        let lifetime = settings.write_timeout.saturating_mul(4);
        let store = ResponseStore::new(Arc::clone(&backend), settings.largest_response, lifetime);
        let new_handler = || JobHandler {
            backend: Arc::clone(&backend),
            budget: settings.budget,
            store: store.clone(),
        };
        Self {
            dumps: SingleFlight::new("tasktrace-http", DUMPS, new_handler()),
            quick: SingleFlight::new("tasktrace-http", QUICK, new_handler()),
            profiles: SingleFlight::new("tasktrace-http", PROFILES, new_handler()),
            long_profiles: SingleFlight::new("tasktrace-http", LONG_PROFILES, new_handler()),
            profile_requests: Arc::default(),
            not_brief_profile_requests: Arc::default(),
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
        let accept = joined_values(request.headers(), header::ACCEPT);
        let longest = self.settings.longest_profile;
        let route = RequestParts::new(request.uri(), &accept, longest).route()?;
        let job = match route {
            Route::Page => {
                let policy = self.policy.get_or_init(policy).clone();
                return Ok(PendingResponse::Ready(Some(page_response(policy))));
            }
            Route::Fixed(fixed) => return Ok(PendingResponse::Ready(Some(fixed_response(fixed)))),
            Route::Job(job) => job,
        };
        if is_head {
            catch(|| self.backend.check(job.subject))??;
            let response = job_response(job.format, Body::empty());
            return Ok(PendingResponse::Ready(Some(response)));
        }
        self.submit(job)
    }

    fn submit(&self, job: Job) -> Result<PendingResponse, Refusal> {
        let caller = catch(|| self.backend.caller())?;
        let soon = self.settings.budget.saturating_add(TIME_TO_WRITE);
        let (flight, places, half_closed_limit) = match job.subject {
            Subject::Nothing | Subject::Process => (&self.quick, None, soon),
            Subject::Tasks(_) | Subject::Task { .. } => (&self.dumps, None, soon),
            Subject::Profile { length, .. } => {
                let flight = match length > LONG_PROFILE {
                    true => &self.long_profiles,
                    false => &self.profiles,
                };
                let places = self.profile_places(length);
                let places = places.ok_or_else(Refusal::too_many_profiles)?;
                let half_closed_limit = soon.saturating_add(length.min(BRIEF_PROFILE));
                (flight, Some(places), half_closed_limit)
            }
        };
        Ok(PendingResponse::Ticket {
            ticket: flight.request(JobRequest { job, caller }),
            format: job.format,
            half_closed_limit,
            _places: places,
        })
    }

    /// Takes the places of a request that waits for a profile. Returns `None` if none is left.
    fn profile_places(&self, length: Duration) -> Option<ProfilePlaces> {
        let most = (self.settings.connections / 2).clamp(1, MAX_PROFILE_REQUESTS);
        let not_brief = match length > BRIEF_PROFILE {
            true => Some(CountedPlace::new(
                &self.not_brief_profile_requests,
                most.div_ceil(2),
            )?),
            false => None,
        };
        Some(ProfilePlaces {
            _any: CountedPlace::new(&self.profile_requests, most)?,
            _not_brief: not_brief,
        })
    }

    /// Checks the access of a request.
    fn admit<B>(&self, request: &Request<B>) -> Result<(), Refusal> {
        let headers = request.headers();
        if self.settings.access == Access::Unchecked {
            return Ok(());
        }
        // This is checked even with a token, because a browser that knows the token sends it for any page.
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

/// Calls a method of the backend. A panic becomes a response.
fn catch<R>(call: impl FnOnce() -> R) -> Result<R, Refusal> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|_| NoResponse::Failed.into())
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
fn joined_values(headers: &HeaderMap, name: header::HeaderName) -> String {
    let values = headers.get_all(name);
    let values: Vec<_> = values.iter().filter_map(|it| it.to_str().ok()).collect();
    values.join(",")
}

/// Returns the response to a job, with the file name under which a browser saves it.
fn job_response(format: Format, body: Body) -> Response<Body> {
    let mut response = response(StatusCode::OK, format.media(), &format.policy(), body);
    let file = format.file();
    let value = file.map(|file| format!("attachment; filename=\"{file}\""));
    if let Some(Ok(value)) = value.map(HeaderValue::try_from) {
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    response
}

fn fixed_response(fixed: Fixed) -> Response<Body> {
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
    _not_brief: Option<CountedPlace>,
}

/// A place among the requests that wait for profiles, which is free again when this is dropped.
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
    /// Returns the time that the work may take for a half-closed client.
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
                let stored = ready!(Pin::new(ticket).poll(cx));
                let response = match stored.map_err(Refusal::from).and_then(|it| it) {
                    Ok(stored) => job_response(*format, Body::stored(stored)),
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
