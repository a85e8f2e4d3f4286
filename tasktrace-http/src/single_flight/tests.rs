//! Tests which requests share a response, and how often data is gathered.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::Wake;
use std::thread;
use std::time::Duration;

use super::*;

/// Longer than any step takes.
const LONG: Duration = Duration::from_secs(30);

/// A handler whose requests have a subject and a format. Its responses contain the number of the gathering.
struct NumberingHandler {
    gathered: AtomicUsize,
    rendered: AtomicUsize,
    /// Tells the test that gathering has begun, and waits until the test lets it continue.
    steps: Mutex<Option<(Sender<()>, Receiver<()>)>>,
}

type Request = (u8, char);

impl Handler for NumberingHandler {
    type Request = Request;
    type Subject = u8;
    type Data = usize;
    type Response = (Request, usize);

    fn subject(request: &Request) -> u8 {
        request.0
    }

    fn spawn(&self, name: &str, run: Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle<()>> {
        thread::Builder::new().name(name.to_owned()).spawn(run)
    }

    fn gather(&self, request: &Request, cancellation: &Cancellation) -> usize {
        assert_ne!(request.0, 13, "the handler panics at this request");
        if let Some((begun, go_on)) = &*self.steps.lock().unwrap() {
            begun.send(()).unwrap();
            go_on.recv_timeout(LONG).unwrap();
        }
        assert!(!cancellation.is_cancelled() || request.0 == 7);
        self.gathered.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn render(&self, data: &usize, request: &Request, _: &dyn Fn() -> bool) -> (Request, usize) {
        self.rendered.fetch_add(1, Ordering::Relaxed);
        (*request, *data)
    }
}

struct UnparkCaller(thread::Thread);

impl Wake for UnparkCaller {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[track_caller]
fn wait<P>(mut ticket: Ticket<P>) -> Result<P, NoResponse> {
    let waker = Arc::new(UnparkCaller(thread::current())).into();
    let deadline = std::time::Instant::now() + LONG;
    loop {
        if let Poll::Ready(response) = Pin::new(&mut ticket).poll(&mut Context::from_waker(&waker))
        {
            return response;
        }
        let left = deadline.saturating_duration_since(std::time::Instant::now());
        assert!(!left.is_zero(), "no response arrived");
        thread::park_timeout(left);
    }
}

fn flight(
    concurrent: usize,
    waiting: usize,
) -> (SingleFlight<NumberingHandler>, Receiver<()>, Sender<()>) {
    let (begun, begins) = channel();
    let (go_on, goes_on) = channel();
    let handler = NumberingHandler {
        gathered: AtomicUsize::new(0),
        rendered: AtomicUsize::new(0),
        steps: Mutex::new(Some((begun, goes_on))),
    };
    let limits = FlightLimits {
        concurrent,
        waiting,
    };
    (
        SingleFlight::new("tasktrace-test", limits, handler),
        begins,
        go_on,
    )
}

#[test]
fn callers_join_work_in_flight() {
    let (flight, begins, go_on) = flight(1, 4);
    let first = flight.request((1, 'a'));
    begins.recv_timeout(LONG).unwrap();
    let same = flight.request((1, 'a'));
    let other_format = flight.request((1, 'b'));
    let other_subject = flight.request((2, 'a'));
    go_on.send(()).unwrap();
    assert_eq!(wait(first), Ok(((1, 'a'), 1)));
    assert_eq!(wait(same), Ok(((1, 'a'), 1)));
    assert_eq!(wait(other_format), Ok(((1, 'b'), 1)));
    begins.recv_timeout(LONG).unwrap();
    go_on.send(()).unwrap();
    assert_eq!(wait(other_subject), Ok(((2, 'a'), 2)));
    assert_eq!(flight.0.handler.rendered.load(Ordering::Relaxed), 3);
}

#[test]
fn a_later_caller_gets_later_data() {
    let (flight, begins, go_on) = flight(1, 4);
    for number in 1..=3 {
        let ticket = flight.request((1, 'a'));
        begins.recv_timeout(LONG).unwrap();
        go_on.send(()).unwrap();
        assert_eq!(wait(ticket), Ok(((1, 'a'), number)));
    }
}

#[test]
fn a_request_without_a_caller_is_not_rendered() {
    let (flight, begins, go_on) = flight(1, 1);
    let first = flight.request((7, 'a'));
    begins.recv_timeout(LONG).unwrap();
    // There is room for another one each time.
    for _ in 0..3 {
        drop(flight.request((2, 'a')));
    }
    drop(first);
    let last = flight.request((3, 'a'));
    go_on.send(()).unwrap();
    begins.recv_timeout(LONG).unwrap();
    go_on.send(()).unwrap();
    assert_eq!(wait(last), Ok(((3, 'a'), 2)));
    assert_eq!(flight.0.handler.rendered.load(Ordering::Relaxed), 1);
}

#[test]
fn the_number_of_waiting_requests_is_limited() {
    let (flight, begins, go_on) = flight(1, 1);
    let first = flight.request((1, 'a'));
    begins.recv_timeout(LONG).unwrap();
    let second = flight.request((2, 'a'));
    assert_eq!(wait(flight.request((3, 'a'))), Err(NoResponse::Busy));
    let joined = flight.request((2, 'a'));
    go_on.send(()).unwrap();
    go_on.send(()).unwrap();
    assert!(wait(first).is_ok() && wait(second).is_ok() && wait(joined).is_ok());
}

#[test]
fn several_subjects_are_gathered_at_once() {
    let (flight, begins, go_on) = flight(2, 0);
    *flight.0.handler.steps.lock().unwrap() = None;
    drop((begins, go_on));
    for round in 0..100 {
        let tickets = [(1, 'a'), (2, 'a')].map(|request| flight.request(request));
        for ticket in tickets {
            match wait(ticket) {
                Ok(_) => {}
                // The threads of the last round may not have ended yet.
                Err(why) => assert!(why == NoResponse::Busy && round > 0),
            }
        }
    }
}

#[test]
fn a_panic_fails_its_request_and_the_next_one_is_served() {
    let (flight, _begins, go_on) = flight(1, 4);
    assert_eq!(wait(flight.request((13, 'a'))), Err(NoResponse::Failed));
    go_on.send(()).unwrap();
    assert_eq!(wait(flight.request((1, 'a'))), Ok(((1, 'a'), 1)));
}

/// A handler that gathers or renders for as long as a caller waits.
struct EndlessHandler {
    done: AtomicUsize,
    begun: Sender<&'static str>,
}

impl Handler for EndlessHandler {
    type Request = Request;
    type Subject = u8;
    type Data = ();
    type Response = usize;

    fn subject(request: &Request) -> u8 {
        request.0
    }

    fn spawn(&self, name: &str, run: Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle<()>> {
        thread::Builder::new().name(name.to_owned()).spawn(run)
    }

    fn gather(&self, request: &Request, cancellation: &Cancellation) {
        self.begun.send("gather").unwrap();
        while request.1 == 'l' && !cancellation.is_cancelled() {
            thread::yield_now();
        }
    }

    fn render(&self, (): &(), request: &Request, is_wanted: &dyn Fn() -> bool) -> usize {
        self.begun.send("render").unwrap();
        while request.1 == 'm' && is_wanted() {
            thread::yield_now();
        }
        self.done.fetch_add(1, Ordering::Relaxed)
    }
}

#[test]
fn work_is_abandoned_once_no_caller_waits() {
    let (begun, begins) = channel();
    let handler = EndlessHandler {
        done: AtomicUsize::new(0),
        begun,
    };
    let limits = FlightLimits {
        concurrent: 1,
        waiting: 8,
    };
    let flight = SingleFlight::new("endless", limits, handler);
    let begins = || begins.recv_timeout(LONG).unwrap();

    let gathering = flight.request((1, 'l'));
    assert_eq!(begins(), "gather");
    drop(gathering);

    // A request for the same subject would join the gathering, so this one is for another subject.
    let rendering = flight.request((2, 'm'));
    assert_eq!((begins(), begins()), ("gather", "render"));
    // A request for the same subject in another format, after the data is gathered.
    let after = flight.request((2, 'a'));
    drop(rendering);

    assert_eq!((begins(), begins()), ("gather", "render"));
    assert_eq!(wait(after), Ok(1));
}

#[test]
fn a_request_that_arrives_while_work_is_abandoned_starts_it_anew() {
    let (begun, begins) = channel();
    let handler = EndlessHandler {
        done: AtomicUsize::new(0),
        begun,
    };
    let limits = FlightLimits {
        concurrent: 1,
        waiting: 8,
    };
    let flight = SingleFlight::new("endless", limits, handler);
    let rendering = flight.request((1, 'm'));
    assert_eq!(begins.recv_timeout(LONG).unwrap(), "gather");
    assert_eq!(begins.recv_timeout(LONG).unwrap(), "render");
    drop(rendering);
    // It may arrive before or after the other was abandoned. Before that, it joins the other.
    let same = flight.request((1, 'm'));
    let other = flight.request((2, 'a'));
    thread::yield_now();
    drop(same);
    assert!(wait(other).is_ok());
}
