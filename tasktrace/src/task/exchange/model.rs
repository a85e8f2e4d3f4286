//! The protocol of [`Exchange`], in all interleavings that loom can tell apart.
//!
//! A lost request or a lost wake shows as a deadlock, which loom reports; an access to the waker
//! that is not exclusive when it must be, as a panic of loom's cell.

use std::sync::Arc as StdArc;
use std::task::{RawWaker, RawWakerVTable, Wake, Waker};

use loom::sync::Notify;
use loom::sync::atomic::{AtomicBool, AtomicUsize};
use loom::thread;

use super::*;
use crate::sync::Arc;

/// A waker that an executor of one task waits for.
struct Signal(Notify);

impl Signal {
    fn new() -> StdArc<Self> {
        StdArc::new(Self(Notify::new()))
    }
}

impl Wake for Signal {
    fn wake(self: StdArc<Self>) {
        self.0.notify();
    }

    fn wake_by_ref(self: &StdArc<Self>) {
        self.0.notify();
    }
}

type Shared = Arc<Exchange<u32>>;

fn shared() -> Shared {
    Arc::new(Exchange::new())
}

/// One poll that returns `Pending`. Answers if it is asked to.
fn poll(exchange: &Exchange<u32>, signal: &StdArc<Signal>) -> Request {
    let waker = Waker::from(StdArc::clone(signal));
    // SAFETY: each model has one thread that polls.
    let is_first = unsafe { !exchange.has_any() };
    // SAFETY: likewise.
    let is_usual = unsafe { exchange.is_quiet(&waker) || !exchange.prepare_poll(&waker) };
    let request = match is_usual {
        true => Request::None,
        // SAFETY: likewise.
        false => unsafe { exchange.begin_poll(&waker) },
    };
    if is_first {
        // SAFETY: likewise.
        unsafe { exchange.end_first_poll(&waker, request == Request::Capture) };
    }
    if request == Request::Capture {
        exchange.answer(7);
    }
    request
}

/// Polls whenever it is woken, until it has been captured.
fn run_until_captured(exchange: &Exchange<u32>, signal: &StdArc<Signal>) {
    while poll(exchange, signal) != Request::Capture {
        signal.0.wait();
    }
}

fn ask(exchange: &Exchange<u32>) -> Result<u32, End> {
    let answer = exchange.ask()?;
    assert!(answer.wait(None), "there was no deadline");
    answer.take().expect("it is taken once")
}

fn finish(exchange: &Exchange<u32>) {
    // SAFETY: each model has one thread that polls, and it is the one that calls this.
    drop(unsafe { exchange.finish() });
}

#[test]
fn a_request_is_answered_whenever_it_comes() {
    loom::model(|| {
        let exchange = shared();
        let asker = thread::spawn({
            let exchange = exchange.clone();
            move || assert_eq!(ask(&exchange), Ok(7))
        });
        run_until_captured(&exchange, &Signal::new());
        asker.join().unwrap();
    });
}

#[test]
fn a_request_survives_a_change_of_wakers() {
    loom::model(|| {
        let exchange = shared();
        let asker = thread::spawn({
            let exchange = exchange.clone();
            move || assert_eq!(ask(&exchange), Ok(7))
        });
        // The task is polled once by an executor that will not look at its waker again.
        if poll(&exchange, &Signal::new()) == Request::None {
            run_until_captured(&exchange, &Signal::new());
        }
        asker.join().unwrap();
    });
}

/// As when the poll makes the task: there is nothing to look at, nor anybody who could have asked.
#[test]
fn a_first_poll_need_not_look_for_requests() {
    loom::model(|| {
        let exchange = shared();
        let signal = Signal::new();
        let asker = thread::spawn({
            let exchange = exchange.clone();
            move || assert_eq!(ask(&exchange), Ok(7))
        });
        let waker = Waker::from(StdArc::clone(&signal));
        // SAFETY: each model has one thread that polls.
        unsafe { exchange.end_first_poll(&waker, false) };
        signal.0.wait();
        run_until_captured(&exchange, &signal);
        asker.join().unwrap();
    });
}

/// A waker that notices when it is used after it was dropped.
#[derive(Default)]
struct Noticing {
    is_dropped: AtomicBool,
    is_used_after: AtomicBool,
}

static NOTICING: RawWakerVTable = RawWakerVTable::new(
    |_| unreachable!("the only clone is the one that is handed over"),
    |_| unreachable!("who has it on loan does not own it"),
    |data| {
        // SAFETY: as in `Noticing::waker`.
        let noticing = unsafe { &*data.cast::<Noticing>() };
        let is_dropped = noticing.is_dropped.load(Ordering::SeqCst);
        noticing
            .is_used_after
            .fetch_or(is_dropped, Ordering::SeqCst);
    },
    |data| {
        // SAFETY: as in `Noticing::waker`.
        let noticing = unsafe { &*data.cast::<Noticing>() };
        let is_dropped = noticing.is_dropped.swap(true, Ordering::SeqCst);
        noticing
            .is_used_after
            .fetch_or(is_dropped, Ordering::SeqCst);
    },
);

impl Noticing {
    /// The caller keeps `self` for longer than the waker is used, dropped or not.
    fn waker(&self) -> Waker {
        let data = std::ptr::from_ref(self).cast();
        // SAFETY: the functions of the table uphold the contract of `RawWaker`, as long as nobody
        // clones it. The data is there, as asserted by the caller.
        unsafe { Waker::from_raw(RawWaker::new(data, &NOTICING)) }
    }
}

#[test]
fn a_waker_on_loan_is_not_dropped() {
    loom::model(|| {
        let exchange = shared();
        let noticing = Arc::new(Noticing::default());
        // SAFETY: each model has one thread that polls, and nobody else is there yet.
        exchange
            .waker
            .with_mut(|known| unsafe { *known = Some(noticing.waker()) });
        let askers: [_; 2] = std::array::from_fn(|_| {
            let exchange = exchange.clone();
            thread::spawn(move || drop(exchange.ask()))
        });
        // It is replaced, and the other dropped.
        let signal = Signal::new();
        let waker = Waker::from(StdArc::clone(&signal));
        // SAFETY: each model has one thread that polls.
        let _ = unsafe { exchange.prepare_poll(&waker) };
        finish(&exchange);
        for asker in askers {
            asker.join().unwrap();
        }
        assert!(noticing.is_dropped.load(Ordering::SeqCst));
        assert!(!noticing.is_used_after.load(Ordering::SeqCst));
        drop(waker);
        assert_eq!(StdArc::strong_count(&signal), 1);
    });
}

#[test]
fn whoever_asks_learns_of_the_end() {
    loom::model(|| {
        let exchange = shared();
        let asker = thread::spawn({
            let exchange = exchange.clone();
            move || {
                let answer = ask(&exchange);
                assert!(matches!(answer, Ok(7) | Err(End::Finished)), "{answer:?}");
            }
        });
        let _ = poll(&exchange, &Signal::new());
        finish(&exchange);
        asker.join().unwrap();
        assert_eq!(ask(&exchange), Err(End::Finished));
    });
}

#[test]
fn whoever_asks_learns_of_a_panic() {
    loom::model(|| {
        let exchange = shared();
        let asker = thread::spawn({
            let exchange = exchange.clone();
            move || {
                let answer = ask(&exchange);
                assert!(answer.is_err(), "{answer:?}");
            }
        });
        exchange.panicked();
        finish(&exchange);
        asker.join().unwrap();
    });
}

#[test]
fn two_requests_at_once_are_both_answered() {
    loom::model(|| {
        let exchange = shared();
        let answered = Arc::new(AtomicUsize::new(0));
        let asker = || {
            let (exchange, answered) = (exchange.clone(), answered.clone());
            move || {
                assert_eq!(ask(&exchange), Ok(7));
                answered.fetch_add(1, Ordering::SeqCst);
            }
        };
        let askers = [thread::spawn(asker()), thread::spawn(asker())];
        let signal = Signal::new();
        // The executor polls once for each time it is woken, and as often as it must.
        run_until_captured(&exchange, &signal);
        while answered.load(Ordering::SeqCst) < 2 {
            let _ = poll(&exchange, &signal);
            thread::yield_now();
        }
        for asker in askers {
            asker.join().unwrap();
        }
    });
}

#[test]
fn a_request_can_be_taken_back_at_any_time() {
    loom::model(|| {
        let exchange = shared();
        let asker = thread::spawn({
            let exchange = exchange.clone();
            move || {
                if let Ok(answer) = exchange.ask() {
                    exchange.withdraw(&answer);
                }
            }
        });
        let signal = Signal::new();
        let _ = poll(&exchange, &signal);
        asker.join().unwrap();
        assert_eq!(poll(&exchange, &signal), Request::None);
        finish(&exchange);
    });
}

#[test]
fn wakers_are_dropped_with_the_task() {
    loom::model(|| {
        let exchange = shared();
        let signal = Signal::new();
        let asker = thread::spawn({
            let exchange = exchange.clone();
            move || drop(exchange.ask())
        });
        let _ = poll(&exchange, &signal);
        finish(&exchange);
        asker.join().unwrap();
        assert_eq!(StdArc::strong_count(&signal), 1);
    });
}

/// Polls whenever it is woken, until a poll is for a probe.
fn run_until_probed(exchange: &Exchange<u32>, signal: &StdArc<Signal>) {
    while poll(exchange, signal) != Request::Probe {
        signal.0.wait();
    }
}

fn spawn_prober(exchange: &Shared) -> thread::JoinHandle<()> {
    let exchange = exchange.clone();
    thread::spawn(move || exchange.probe())
}

#[test]
fn a_probe_is_polled_for() {
    loom::model(|| {
        let exchange = shared();
        let signal = Signal::new();
        let _ = poll(&exchange, &signal);
        let prober = spawn_prober(&exchange);
        run_until_probed(&exchange, &signal);
        prober.join().unwrap();
        assert_eq!(poll(&exchange, &signal), Request::None, "once");
    });
}

#[test]
fn a_probe_survives_a_change_of_wakers() {
    loom::model(|| {
        let exchange = shared();
        let _ = poll(&exchange, &Signal::new());
        let prober = spawn_prober(&exchange);
        if poll(&exchange, &Signal::new()) != Request::Probe {
            run_until_probed(&exchange, &Signal::new());
        }
        prober.join().unwrap();
    });
}

#[test]
fn a_probe_takes_nothing_from_a_request() {
    loom::model(|| {
        let exchange = shared();
        let signal = Signal::new();
        let _ = poll(&exchange, &signal);
        let prober = spawn_prober(&exchange);
        let asker = thread::spawn({
            let exchange = exchange.clone();
            move || assert_eq!(ask(&exchange), Ok(7))
        });
        run_until_captured(&exchange, &signal);
        asker.join().unwrap();
        prober.join().unwrap();
    });
}

#[test]
fn a_task_that_is_probed_may_end() {
    loom::model(|| {
        let exchange = shared();
        let signal = Signal::new();
        let _ = poll(&exchange, &signal);
        let prober = spawn_prober(&exchange);
        finish(&exchange);
        prober.join().unwrap();
        assert_eq!(StdArc::strong_count(&signal), 1);
    });
}
