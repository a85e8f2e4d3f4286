//! Runs a limited number of requests at a time, and shares each response with equal requests that arrive meanwhile.
//!
//! Threads of this module do the work, and exist while there is work. The user's executor polls only the [`Ticket`],
//! which waits for the response.
//!
//! The work for a request has two steps: it [gathers](Handler::gather) data on a subject, and
//! [renders](Handler::render) the data. A new request joins
//!
//! * an equal request that waits, or that is being rendered;
//! * a request for the same subject, even in another format, whose data is being gathered.
//!
//! If the data of the subject is already gathered, the request waits until it is gathered again, unless an equal
//! request is being rendered. So no response is older than the work that was in flight when its request arrived.
//!
//! A request that no caller waits for is dropped.
//!
//! Wakers are called and dropped without the lock of the [`FlightQueue`].

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use super::backend::Cancellation;

/// Does the work for requests.
pub(super) trait Handler: Send + Sync + 'static {
    type Request: PartialEq + Clone + Send;
    /// The part of a request that determines its data.
    type Subject: PartialEq;
    type Data;
    type Response: Clone + Send;

    /// Returns the subject of a request.
    fn subject(request: &Self::Request) -> Self::Subject;

    /// Starts a thread for the work.
    fn spawn(
        &self,
        name: &str,
        run: Box<dyn FnOnce() + Send + 'static>,
    ) -> io::Result<JoinHandle<()>>;

    /// Gathers the data for `request`. It may stop once the work is cancelled.
    fn gather(&self, request: &Self::Request, cancellation: &Cancellation) -> Self::Data;

    /// Creates the response for `request` from its data. It may stop once `is_wanted` returns `false`.
    fn render(
        &self,
        data: &Self::Data,
        request: &Self::Request,
        is_wanted: &dyn Fn() -> bool,
    ) -> Self::Response;
}

/// The limits of a [`SingleFlight`].
#[derive(Clone, Copy, Debug)]
pub(super) struct FlightLimits {
    /// The largest number of subjects in flight.
    pub(super) concurrent: usize,
    /// The largest number of requests that wait for a thread.
    pub(super) waiting: usize,
}

/// Accepts requests, and runs them on its threads. Clones share the queue.
pub(super) struct SingleFlight<H: Handler>(Arc<FlightInner<H>>);

struct FlightInner<H: Handler> {
    handler: H,
    limits: FlightLimits,
    /// The name of the threads.
    name: &'static str,
    queue: Mutex<FlightQueue<H>>,
}

struct FlightQueue<H: Handler> {
    /// The requests that wait for a thread.
    waiting: VecDeque<QueuedRequest<H>>,
    /// The requests that a thread works for.
    in_flight: Vec<InFlight<H>>,
    threads: usize,
    /// The number of requests so far.
    requests: u64,
    /// Abandoned requests, which are dropped once the queue is unlocked.
    abandoned: Vec<QueuedRequest<H>>,
}

/// A request that the thread for `flight` works for.
struct InFlight<H: Handler> {
    /// The number of the request with which the work began.
    flight: u64,
    /// `true` until the data is gathered. Until then, other requests for the same subject can join.
    is_gathering: bool,
    request: QueuedRequest<H>,
}

/// A request, and the callers that wait for its response.
struct QueuedRequest<H: Handler> {
    number: u64,
    request: H::Request,
    callers: Vec<ResponseSender<H>>,
}

type ResponseSender<H> = oneshot::Sender<Result<<H as Handler>::Response, NoResponse>>;

/// The reason why there is no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoResponse {
    /// Too many requests wait.
    Busy,
    /// The handler panicked.
    Failed,
}

impl<H: Handler> Clone for SingleFlight<H> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<H: Handler> SingleFlight<H> {
    pub(super) fn new(name: &'static str, limits: FlightLimits, handler: H) -> Self {
        Self(Arc::new(FlightInner {
            handler,
            limits,
            name,
            queue: Mutex::new(FlightQueue {
                waiting: VecDeque::new(),
                in_flight: Vec::new(),
                threads: 0,
                requests: 0,
                abandoned: Vec::new(),
            }),
        }))
    }

    /// Accepts a request, and returns a ticket for its response. Dropping the ticket abandons the request.
    pub(super) fn request(&self, request: H::Request) -> Ticket<H::Response> {
        let (caller, response) = oneshot::channel();
        let limits = self.0.limits;
        match self.0.change(|queue| queue.accept(request, caller, limits)) {
            Acceptance::Accepted => {}
            Acceptance::NeedsThread => self.start(),
            Acceptance::Busy(caller) => drop(caller.send(Err(NoResponse::Busy))),
        }
        Ticket(response)
    }

    fn start(&self) {
        let inner = Arc::clone(&self.0);
        let run = Box::new(move || inner.run());
        let spawn = AssertUnwindSafe(|| self.0.handler.spawn(self.0.name, run));
        if let Ok(Ok(_)) = catch_unwind(spawn) {
            return;
        }
        let left = self.0.change(|queue| {
            queue.threads -= 1;
            match queue.threads {
                // No thread is left for the waiting requests.
                0 => mem::take(&mut queue.waiting),
                _ => VecDeque::new(),
            }
        });
        for request in left {
            request.complete(&Err(NoResponse::Busy));
        }
    }
}

/// The decision of the queue about a request.
enum Acceptance<H: Handler> {
    /// The request waits for a running thread.
    Accepted,
    /// The request needs another thread, which the queue has already counted.
    NeedsThread,
    /// The queue is full.
    Busy(ResponseSender<H>),
}

impl<H: Handler> FlightInner<H> {
    fn change<R>(&self, change: impl FnOnce(&mut FlightQueue<H>) -> R) -> R {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut queue);
        let abandoned = mem::take(&mut queue.abandoned);
        drop(queue);
        survive(|| drop(abandoned));
        result
    }

    /// Handles requests until none is left.
    fn run(self: &Arc<Self>) {
        while let Some((flight, request)) = self.change(FlightQueue::begin) {
            let inner = Arc::clone(self);
            let is_wanted = move || inner.change(|queue| queue.is_flight_wanted(flight));
            let cancellation = Cancellation::new(move || !is_wanted());
            survive(move || self.handle(flight, &request, &cancellation));
            // None is left, unless the handler has panicked outside of its steps. Their callers then get no response.
            self.change(|queue| queue.abandon(flight));
        }
    }

    fn handle(&self, flight: u64, request: &H::Request, cancellation: &Cancellation) {
        // The panic hook has reported a panic.
        let gather = AssertUnwindSafe(|| self.handler.gather(request, cancellation));
        let data = catch_unwind(gather).map_err(|_| NoResponse::Failed);
        self.change(|queue| queue.finish_gathering(flight));
        while let Some((number, request)) = self.change(|queue| queue.next_to_render(flight)) {
            let is_wanted = || self.change(|queue| queue.is_request_wanted(number));
            let render = |data| {
                let render = AssertUnwindSafe(|| self.handler.render(data, &request, &is_wanted));
                catch_unwind(render).map_err(|_| NoResponse::Failed)
            };
            let response = data.as_ref().map_err(|error| *error).and_then(render);
            // Callers that joined during the rendering get the response too.
            if let Some(request) = self.change(|queue| queue.take(number)) {
                request.complete(&response);
            }
        }
    }
}

impl<H: Handler> FlightQueue<H> {
    fn accept(
        &mut self,
        request: H::Request,
        caller: ResponseSender<H>,
        limits: FlightLimits,
    ) -> Acceptance<H> {
        let in_flight = self.in_flight.iter_mut().map(|it| &mut it.request);
        let mut all = in_flight.chain(&mut self.waiting);
        if let Some(same) = all.find(|it| it.request == request) {
            same.callers.push(caller);
            return Acceptance::Accepted;
        }
        self.requests += 1;
        let number = self.requests;
        let new = |caller| QueuedRequest {
            number,
            request: request.clone(),
            callers: vec![caller],
        };
        let subject = H::subject(&request);
        let is_same = |it: &&InFlight<H>| it.is_gathering && it.request.subject() == subject;
        if let Some(gathering) = self.in_flight.iter().find(is_same) {
            self.in_flight.push(InFlight {
                flight: gathering.flight,
                is_gathering: true,
                request: new(caller),
            });
            return Acceptance::Accepted;
        }
        let can_start = self.threads < limits.concurrent;
        self.drop_unwanted();
        if self.waiting.len() >= limits.waiting && !can_start {
            return Acceptance::Busy(caller);
        }
        self.waiting.push_back(new(caller));
        if !can_start {
            return Acceptance::Accepted;
        }
        self.threads += 1;
        Acceptance::NeedsThread
    }

    fn drop_unwanted(&mut self) {
        let is_unwanted = |it: &QueuedRequest<H>| !it.is_wanted();
        while let Some(at) = self.waiting.iter().position(is_unwanted) {
            self.abandoned.extend(self.waiting.remove(at));
        }
    }

    /// Moves the next request, and all others for the same subject, to the work in flight. Returns the number of the
    /// work and the request. Returns `None` if no request waits; the calling thread then ends.
    fn begin(&mut self) -> Option<(u64, H::Request)> {
        self.drop_unwanted();
        let Some(first) = self.waiting.front() else {
            self.threads -= 1;
            return None;
        };
        let (flight, request) = (first.number, first.request.clone());
        let subject = first.subject();
        let waiting = mem::take(&mut self.waiting);
        let (same, others): (VecDeque<_>, VecDeque<_>) =
            waiting.into_iter().partition(|it| it.subject() == subject);
        self.waiting = others;
        self.in_flight
            .extend(same.into_iter().map(|request| InFlight {
                flight,
                is_gathering: true,
                request,
            }));
        Some((flight, request))
    }

    /// Returns `true` if a caller waits for some request of the work. Otherwise abandons the work, so that later
    /// callers start it anew.
    fn is_flight_wanted(&mut self, flight: u64) -> bool {
        let mut of_flight = self.in_flight.iter().filter(|it| it.flight == flight);
        if of_flight.any(|it| it.request.is_wanted()) {
            return true;
        }
        self.abandon(flight);
        false
    }

    fn abandon(&mut self, flight: u64) {
        while let Some(at) = self.in_flight.iter().position(|it| it.flight == flight) {
            self.abandoned.push(self.in_flight.remove(at).request);
        }
    }

    /// Returns `true` if a caller waits for the request. Otherwise abandons it, so that later callers start it anew.
    fn is_request_wanted(&mut self, number: u64) -> bool {
        match self.find(number) {
            Some(at) if self.in_flight[at].request.is_wanted() => true,
            Some(at) => {
                self.abandoned.push(self.in_flight.remove(at).request);
                false
            }
            None => false,
        }
    }

    /// Records that the data is gathered, so no request in another format can join.
    fn finish_gathering(&mut self, flight: u64) {
        for it in &mut self.in_flight {
            it.is_gathering &= it.flight != flight;
        }
    }

    /// Returns the request of the work to render next.
    fn next_to_render(&mut self, flight: u64) -> Option<(u64, H::Request)> {
        loop {
            let first = self.in_flight.iter().find(|it| it.flight == flight)?;
            let (number, request) = (first.request.number, first.request.request.clone());
            if self.is_request_wanted(number) {
                return Some((number, request));
            }
        }
    }

    /// Removes and returns a request, unless it was abandoned.
    fn take(&mut self, number: u64) -> Option<QueuedRequest<H>> {
        let at = self.find(number)?;
        Some(self.in_flight.remove(at).request)
    }

    fn find(&self, number: u64) -> Option<usize> {
        let mut in_flight = self.in_flight.iter();
        in_flight.position(|it| it.request.number == number)
    }
}

/// Calls code that may panic: drops of data, or wakers. The thread then continues, so that the queue counts it rightly.
/// The panic hook has reported the panic.
fn survive(call: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(call)) {
        // Its drop may panic again.
        mem::forget(panic);
    }
}

impl<H: Handler> QueuedRequest<H> {
    fn subject(&self) -> H::Subject {
        H::subject(&self.request)
    }

    fn is_wanted(&self) -> bool {
        self.callers.iter().any(|it| !it.is_closed())
    }

    fn complete(self, response: &Result<H::Response, NoResponse>) {
        for caller in self.callers {
            // A caller that has dropped its ticket gets no response. A waker that panics concerns no other caller.
            survive(|| drop(caller.send(response.clone())));
        }
    }
}

/// The future of a response. It works on any executor.
pub(super) struct Ticket<R>(oneshot::Receiver<Result<R, NoResponse>>);

impl<R> Future for Ticket<R> {
    type Output = Result<R, NoResponse>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let response = ready!(Pin::new(&mut self.0).poll(cx));
        // The sender is dropped without a response only if the thread of the work has panicked.
        Poll::Ready(response.unwrap_or(Err(NoResponse::Failed)))
    }
}

#[cfg(test)]
mod tests;
