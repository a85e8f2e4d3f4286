//! Runs one request at a time, and shares its response with equal requests that arrive meanwhile.
//!
//! Threads of this module do the work, and exist while there is work. The future that waits for a response only waits,
//! because the user's executor polls it.
//!
//! The work for a request has two steps: it [gathers](Handler::gather) data on a subject, and
//! [renders](Handler::render) the data. A new request joins
//!
//! * an equal request that waits, or that is being rendered;
//! * a request for the same subject, even in another format, whose data is being gathered.
//!
//! If the data of the subject is already gathered, the request waits until it is gathered again, unless an equal
//! request is being rendered. So no response is older than the work that was in flight when its request arrived, and
//! data is gathered as often as if all clients took turns.
//!
//! A request that no caller waits for is dropped.
//!
//! The [`FlightQueue`] is small, and never changed in place while it is locked. A changed copy replaces it, unless
//! another thread has replaced it first. So nothing is allocated, freed or compared under the lock.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::thread::JoinHandle;

use super::backend::Cancellation;

/// Does the work for requests.
pub(super) trait Handler: Send + Sync + 'static {
    type Request: PartialEq + Clone + Send + Sync;
    /// The part of a request that determines its data.
    type Subject: PartialEq + Clone + Send + Sync;
    type Data;
    type Response: Clone + Send;

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
    queue: Mutex<Arc<FlightQueue<H>>>,
}

struct FlightQueue<H: Handler> {
    waiting: VecDeque<QueuedRequest<H>>,
    /// The work of the threads.
    in_flight: Vec<InFlight<H>>,
    threads: usize,
}

/// The work of one thread: a subject, and the requests for it.
struct InFlight<H: Handler> {
    number: u64,
    subject: H::Subject,
    stage: FlightStage,
    requests: VecDeque<QueuedRequest<H>>,
    /// `true` if the first of the requests was abandoned and removed while it was being rendered.
    is_first_abandoned: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum FlightStage {
    Gathering,
    Rendering,
}

/// A request, and the callers that wait for its response.
struct QueuedRequest<H: Handler> {
    request: H::Request,
    callers: Vec<Weak<ResponseSlot<H::Response>>>,
}

/// The reason why there is no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoResponse {
    /// Too many requests wait.
    Busy,
    /// The handler panicked.
    Failed,
}

impl<H: Handler> Clone for FlightQueue<H> {
    fn clone(&self) -> Self {
        Self {
            waiting: self.waiting.clone(),
            in_flight: self.in_flight.clone(),
            threads: self.threads,
        }
    }
}

impl<H: Handler> Clone for InFlight<H> {
    fn clone(&self) -> Self {
        Self {
            number: self.number,
            subject: self.subject.clone(),
            stage: self.stage,
            requests: self.requests.clone(),
            is_first_abandoned: self.is_first_abandoned,
        }
    }
}

impl<H: Handler> Clone for QueuedRequest<H> {
    fn clone(&self) -> Self {
        Self {
            request: self.request.clone(),
            callers: self.callers.clone(),
        }
    }
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
            queue: Mutex::new(Arc::new(FlightQueue {
                waiting: VecDeque::new(),
                in_flight: Vec::new(),
                threads: 0,
            })),
        }))
    }

    /// Accepts a request, and returns a ticket for its response. Dropping the ticket abandons the request.
    pub(super) fn request(&self, request: H::Request) -> Ticket<H::Response> {
        let slot = Arc::new(ResponseSlot(Mutex::new(ResponseState::Waiting(None))));
        let ticket = Ticket(Arc::clone(&slot));
        let limits = self.0.limits;
        let acceptance = self.0.change(|queue| {
            queue.drop_unwanted();
            if queue.join(&request, &slot) {
                return Acceptance::Accepted;
            }
            let can_start = queue.threads < limits.concurrent;
            if queue.waiting.len() >= limits.waiting && !can_start {
                return Acceptance::Busy;
            }
            queue.waiting.push_back(QueuedRequest::new(&request, &slot));
            if !can_start {
                return Acceptance::Accepted;
            }
            queue.threads += 1;
            Acceptance::NeedsThread
        });
        match acceptance {
            Acceptance::Accepted => {}
            Acceptance::NeedsThread => self.start(),
            Acceptance::Busy => slot.complete(Err(NoResponse::Busy)),
        }
        ticket
    }

    fn start(&self) {
        let inner = Arc::clone(&self.0);
        let run = Box::new(move || inner.run());
        let spawned = self.0.handler.spawn(self.0.name, run);
        if spawned.is_ok() {
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
        for entry in left {
            entry.complete(Err(NoResponse::Busy));
        }
    }
}

/// The decision of the queue about a request.
enum Acceptance {
    /// The request waits for a running thread.
    Accepted,
    /// Accepted, and another thread must be started, which is counted already.
    NeedsThread,
    /// The queue is full.
    Busy,
}

impl<H: Handler> FlightInner<H> {
    /// Returns the queue as it is now.
    fn queue(&self) -> Arc<FlightQueue<H>> {
        Arc::clone(&self.locked())
    }

    fn locked(&self) -> MutexGuard<'_, Arc<FlightQueue<H>>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the queue. `change` is called again, with a copy of a later queue, if another thread has changed it
    /// meanwhile.
    fn change<R>(&self, change: impl Fn(&mut FlightQueue<H>) -> R) -> R {
        loop {
            let before = self.queue();
            let mut changed = FlightQueue::clone(&before);
            let result = change(&mut changed);
            let mut changed = Arc::new(changed);
            let mut current = self.locked();
            // `before` is alive, so no other queue is at its address.
            let is_as_before = Arc::ptr_eq(&current, &before);
            if is_as_before {
                mem::swap(&mut *current, &mut changed);
            }
            drop(current);
            if is_as_before {
                return result;
            }
        }
    }

    /// Returns `true` if a caller waits for the work in flight. Otherwise abandons that work, so that later callers
    /// start it anew.
    fn is_wanted(&self, number: u64) -> bool {
        self.queue().is_wanted(number) || self.change(|queue| queue.abandon_unless_wanted(number))
    }

    /// Returns `true` if a caller waits for the request that is being rendered. Otherwise abandons that request.
    fn is_first_wanted(&self, number: u64) -> bool {
        self.queue().is_first_wanted(number)
            || self.change(|queue| queue.abandon_first_unless_wanted(number))
    }

    /// Handles requests until none is left.
    fn run(self: &Arc<Self>) {
        while let Some((number, request)) = self.next() {
            let inner = Arc::clone(self);
            let cancellation = Cancellation::new(move || !inner.is_wanted(number));
            self.handle(number, &request, &cancellation);
            self.change(|queue| queue.end(number));
        }
    }

    fn handle(&self, number: u64, request: &H::Request, cancellation: &Cancellation) {
        // The panic hook has reported the panic.
        let gather = AssertUnwindSafe(|| self.handler.gather(request, cancellation));
        let data = catch_unwind(gather).map_err(|_| NoResponse::Failed);
        self.change(|queue| queue.close(number));
        let first = || self.change(|queue| queue.first(number));
        let is_wanted = || self.is_first_wanted(number);
        while let Some(request) = first() {
            let render = |data| {
                let render = AssertUnwindSafe(|| self.handler.render(data, &request, &is_wanted));
                catch_unwind(render).map_err(|_| NoResponse::Failed)
            };
            let response = data.as_ref().map_err(|error| *error).and_then(render);
            // Callers that joined during the rendering get the response too.
            let entry = self.change(|queue| queue.take_first(number));
            if let Some(entry) = entry {
                entry.complete(response);
            }
        }
    }

    /// Moves the next subject, with all its requests, to the work in flight.
    fn next(&self) -> Option<(u64, H::Request)> {
        self.change(|queue| {
            queue.drop_unwanted();
            let next = queue.begin();
            if next.is_none() {
                queue.threads -= 1;
            }
            next
        })
    }
}

impl<H: Handler> FlightQueue<H> {
    /// Adds a caller to an existing request. Returns `false` if there is nothing to join.
    fn join(&mut self, request: &H::Request, slot: &Arc<ResponseSlot<H::Response>>) -> bool {
        let in_flight = self.in_flight.iter_mut().flat_map(|it| &mut it.requests);
        let mut entries = in_flight.chain(&mut self.waiting);
        if let Some(same) = entries.find(|it| it.request == *request) {
            same.callers.push(Arc::downgrade(slot));
            return true;
        }
        let subject = H::subject(request);
        let mut gathering = self.in_flight.iter_mut();
        match gathering.find(|it| it.stage == FlightStage::Gathering && it.subject == subject) {
            Some(gathering) => {
                gathering
                    .requests
                    .push_back(QueuedRequest::new(request, slot));
                true
            }
            None => false,
        }
    }

    fn drop_unwanted(&mut self) {
        self.waiting.retain(QueuedRequest::is_wanted);
    }

    fn begin(&mut self) -> Option<(u64, H::Request)> {
        let first = self.waiting.pop_front()?;
        let request = first.request.clone();
        let subject = H::subject(&request);
        let (same, others): (VecDeque<_>, VecDeque<_>) = mem::take(&mut self.waiting)
            .into_iter()
            .partition(|it| H::subject(&it.request) == subject);
        self.waiting = others;
        let numbers = self.in_flight.iter().map(|it| it.number);
        let number = numbers.max().unwrap_or_default() + 1;
        self.in_flight.push(InFlight {
            number,
            subject,
            stage: FlightStage::Gathering,
            requests: std::iter::once(first).chain(same).collect(),
            is_first_abandoned: false,
        });
        Some((number, request))
    }

    fn find(&self, number: u64) -> Option<&InFlight<H>> {
        self.in_flight.iter().find(|it| it.number == number)
    }

    fn in_flight(&mut self, number: u64) -> Option<&mut InFlight<H>> {
        self.in_flight.iter_mut().find(|it| it.number == number)
    }

    fn is_wanted(&self, number: u64) -> bool {
        let in_flight = self.find(number);
        in_flight.is_some_and(|it| it.requests.iter().any(QueuedRequest::is_wanted))
    }

    fn abandon_unless_wanted(&mut self, number: u64) -> bool {
        let is_wanted = self.is_wanted(number);
        if let Some(in_flight) = self.in_flight(number).filter(|_| !is_wanted) {
            in_flight.is_first_abandoned |= !in_flight.requests.is_empty();
            in_flight.requests.clear();
            in_flight.stage = FlightStage::Rendering;
        }
        is_wanted
    }

    fn is_first_wanted(&self, number: u64) -> bool {
        let in_flight = self.find(number).filter(|it| !it.is_first_abandoned);
        let first = in_flight.and_then(|it| it.requests.front());
        first.is_some_and(QueuedRequest::is_wanted)
    }

    fn abandon_first_unless_wanted(&mut self, number: u64) -> bool {
        let is_wanted = self.is_first_wanted(number);
        let in_flight = self.in_flight(number);
        if let Some(in_flight) = in_flight.filter(|it| !is_wanted && !it.is_first_abandoned) {
            in_flight.is_first_abandoned = in_flight.requests.pop_front().is_some();
        }
        is_wanted
    }

    /// Accepts no more requests in other formats, because the data is gathered.
    fn close(&mut self, number: u64) {
        if let Some(in_flight) = self.in_flight(number) {
            in_flight.stage = FlightStage::Rendering;
        }
    }

    /// Returns the request to render next.
    fn first(&mut self, number: u64) -> Option<H::Request> {
        let in_flight = self.in_flight(number)?;
        in_flight.is_first_abandoned = false;
        let requests = &mut in_flight.requests;
        while requests.front().is_some_and(|it| !it.is_wanted()) {
            requests.pop_front();
        }
        requests.front().map(|it| it.request.clone())
    }

    fn take_first(&mut self, number: u64) -> Option<QueuedRequest<H>> {
        let in_flight = self.in_flight(number)?;
        match in_flight.is_first_abandoned {
            true => None,
            false => in_flight.requests.pop_front(),
        }
    }

    fn end(&mut self, number: u64) {
        self.in_flight.retain(|it| it.number != number);
    }
}

impl<H: Handler> QueuedRequest<H> {
    fn new(request: &H::Request, slot: &Arc<ResponseSlot<H::Response>>) -> Self {
        Self {
            request: request.clone(),
            callers: vec![Arc::downgrade(slot)],
        }
    }

    fn is_wanted(&self) -> bool {
        self.callers.iter().any(|it| it.strong_count() > 0)
    }

    fn complete(self, response: Result<H::Response, NoResponse>) {
        for caller in self.callers.iter().filter_map(Weak::upgrade) {
            caller.complete(response.clone());
        }
    }
}

/// The response that one caller waits for.
struct ResponseSlot<P>(Mutex<ResponseState<P>>);

enum ResponseState<P> {
    Waiting(Option<Waker>),
    Done(Result<P, NoResponse>),
}

impl<P> ResponseSlot<P> {
    fn state(&self) -> MutexGuard<'_, ResponseState<P>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn complete(&self, response: Result<P, NoResponse>) {
        let before = mem::replace(&mut *self.state(), ResponseState::Done(response));
        if let ResponseState::Waiting(Some(waker)) = before {
            waker.wake();
        }
    }
}

/// The future of a response. It works on any executor.
pub(super) struct Ticket<P>(Arc<ResponseSlot<P>>);

impl<P> Future for Ticket<P> {
    type Output = Result<P, NoResponse>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // The waker is cloned at each poll, so this is a leaf of the calling task, which may be asked as well.
        let waker = ResponseState::Waiting(Some(cx.waker().clone()));
        let mut state = self.0.state();
        match mem::replace(&mut *state, waker) {
            ResponseState::Done(response) => Poll::Ready(response),
            before @ ResponseState::Waiting(_) => {
                drop(state);
                // Dropping a waker runs foreign code, so not under the lock.
                drop(before);
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests;
