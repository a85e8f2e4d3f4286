//! The protocol between those who ask and the poller, in all interleavings that loom can tell apart.
//!
//! A lost request or a lost wake shows as a deadlock, which loom reports; an access to the waker
//! that is not exclusive when it must be, as a panic of loom's cell.

use std::cell::Cell;
use std::ops::Deref;
use std::sync::Arc as StdArc;
use std::task::{RawWaker, RawWakerVTable, Wake, Waker};

use loom::sync::Notify;
use loom::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use loom::thread;

use super::*;
use crate::sync::Arc;
use crate::task::poller::Poller;
use crate::task::queue::Waiting;
use crate::task::turn::{GONE, NESTED, Turn};

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

/// A record, and what a model counts.
struct Record {
    record: super::Record,
    polls: AtomicU32,
    /// How many requests the poller has answered.
    answered: Cell<usize>,
}

// SAFETY: that it may be shared is what is being checked.
unsafe impl Sync for Record {}
// SAFETY: likewise.
unsafe impl Send for Record {}

impl Deref for Record {
    type Target = super::Record;

    fn deref(&self) -> &super::Record {
        &self.record
    }
}

impl Record {
    /// The number of polls that have begun.
    fn polls(&self) -> u32 {
        self.polls.load(Ordering::Acquire)
    }

    fn note_poll(&self) {
        let polls = self.polls.load(Ordering::Relaxed) + 1;
        self.polls.store(polls, Ordering::Release);
    }

    /// As [`Poller::answer`], which does not say how many there were.
    fn answer(&self) {
        let waiting = poller(self).take_waiting();
        let count = usize::from(waiting.first.is_some()) + others(&waiting);
        self.answered.set(self.answered.get() + count);
        waiting.give_all(Ok(RawTrace::default()));
    }

    /// Of a task that was last polled with this waker.
    fn with_waker(waker: Waker) -> Shared {
        let record = asked_before();
        // SAFETY: nobody else is there yet.
        unsafe { record.waker.put(waker) };
        record.turn.store(Turn::usual(THREAD));
        record
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        // SAFETY: there is nobody else.
        drop(unsafe { self.record.reset() });
    }
}

/// The number of the thread that polls.
const THREAD: u32 = 3;

type Shared = Arc<Record>;

std::thread_local! {
    /// The number of the thread that is to poll first, or 0 if that is not known before.
    static BEGINS_ON: Cell<u32> = const { Cell::new(0) };
}

/// Runs a model of a task whose first poll is one like most, and of one of which there is something to be said.
fn model(run: impl Fn() + Sync + Send + Copy + 'static) {
    for thread in [THREAD, 0] {
        BEGINS_ON.set(thread);
        loom::model(run);
    }
}

/// Of a task that has not been polled. Nobody has asked it for anything.
fn shared() -> Shared {
    let record = Record {
        record: super::Record::empty(),
        polls: AtomicU32::new(0),
        answered: Cell::new(0),
    };
    record.turn.store(Turn::on(BEGINS_ON.get()));
    Arc::new(record)
}

/// The same, but somebody has, so that there is a queue: what it takes to make one is not looked at again.
fn asked_before() -> Shared {
    let record = shared();
    record.extras.get_or_insert();
    record
}

/// The poller's side.
fn poller(record: &Record) -> Poller<'_> {
    // SAFETY: each model has one thread that polls. It is the one that calls this, and uses the poller while the record is there.
    unsafe { Poller::new(&*std::ptr::from_ref(&record.record)) }
}

/// One poll that returns `Pending`, as [`drive`](crate::task::drive) makes it outside of any other
/// task. Answers if it is asked to.
fn poll(record: &Record, signal: &StdArc<Signal>) -> Request {
    poll_with(record, &Waker::from(StdArc::clone(signal)))
}

fn poll_with(record: &Record, waker: &Waker) -> Request {
    let (turn, usual) = (record.turn.get(), Turn::usual(THREAD));
    let is_usual = turn == usual && poller(record).has_same_waker(waker) || turn == usual & !WAKER;
    if !is_usual {
        return attend(record, waker, THREAD, false);
    }
    record.note_poll();
    if !record.turn.has_waker() {
        poller(record).end_first_poll(waker, false);
    }
    Request::None
}

/// One that is not a usual one.
fn attend(record: &Record, waker: &Waker, thread: u32, is_nested: bool) -> Request {
    let is_first = !record.turn.has_waker();
    let request = poller(record).begin_poll(waker, thread, is_nested);
    record.note_poll();
    if is_first {
        poller(record).end_first_poll(waker, request == Request::Capture);
    }
    if request == Request::Capture {
        record.answer();
    }
    request
}

/// With three threads, there are too many interleavings if they interrupt each other: these go on until they
/// wait.
fn model_of_three(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(0);
    builder.check(model);
}

/// Polls whenever it is woken, until it has been captured.
fn run_until_captured(record: &Record, signal: &StdArc<Signal>) {
    while poll(record, signal) != Request::Capture {
        signal.0.wait();
    }
}

fn ask_and_wake(record: &Record) -> Result<Answer<RawTrace>, End> {
    let answer = record.ask()?;
    if let Some(loan) = record.lend_for_capture() {
        loan.wake();
    }
    Ok(answer)
}

fn ask(record: &Record) -> Result<u32, End> {
    let answer = ask_and_wake(record)?;
    assert!(answer.wait(None), "there was no deadline");
    taken(&answer).expect("it is taken once")
}

/// An answer, as a number: those of these models are alike.
fn taken(answer: &Answer<RawTrace>) -> Option<Result<u32, End>> {
    Some(answer.take()?.map(|_| 7))
}

/// Asks on another thread, which does not wait for the answer.
fn spawn_asker(record: &Shared) -> thread::JoinHandle<Answer<RawTrace>> {
    let record = record.clone();
    thread::spawn(move || ask_and_wake(&record).expect("it has not ended"))
}

fn finish(record: &Record) {
    drop(poller(record).finish());
}

#[test]
fn a_request_is_answered_whenever_it_comes() {
    model(|| {
        let record = shared();
        let asker = thread::spawn({
            let record = record.clone();
            move || assert_eq!(ask(&record), Ok(7))
        });
        run_until_captured(&record, &Signal::new());
        asker.join().unwrap();
    });
}

#[test]
fn a_request_survives_a_change_of_wakers() {
    model(|| {
        let record = shared();
        let asker = thread::spawn({
            let record = record.clone();
            move || assert_eq!(ask(&record), Ok(7))
        });
        // The task is polled once by an executor that will not look at its waker again.
        if poll(&record, &Signal::new()) == Request::None {
            run_until_captured(&record, &Signal::new());
        }
        asker.join().unwrap();
    });
}

/// As when the poll makes the task: there is nothing to look at, nor anybody who could have asked.
#[test]
fn a_first_poll_need_not_look_for_requests() {
    model(|| {
        let record = shared();
        let signal = Signal::new();
        let asker = thread::spawn({
            let record = record.clone();
            move || assert_eq!(ask(&record), Ok(7))
        });
        let waker = Waker::from(StdArc::clone(&signal));
        poller(&record).end_first_poll(&waker, false);
        signal.0.wait();
        run_until_captured(&record, &signal);
        asker.join().unwrap();
    });
}

/// A waker that notices when it is used after it was dropped.
#[derive(Default)]
struct Noticing {
    is_dropped: AtomicBool,
    is_used_after: AtomicBool,
    /// What the only clone of it is.
    clone: Option<StdArc<Noticing>>,
}

static NOTICING: RawWakerVTable = RawWakerVTable::new(
    |data| {
        // SAFETY: as in `Noticing::waker`.
        let noticing = unsafe { &*data.cast::<Noticing>() };
        let clone = noticing.clone.as_ref();
        let clone = clone.expect("the only clone of others is the one that is handed over");
        RawWaker::new(StdArc::as_ptr(clone).cast(), &NOTICING)
    },
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
        // clones it more than once. The data is there, as asserted by the caller.
        unsafe { Waker::from_raw(RawWaker::new(data, &NOTICING)) }
    }
}

#[test]
fn a_waker_on_loan_is_not_dropped() {
    loom::model(|| {
        let noticing = StdArc::new(Noticing::default());
        let record = Record::with_waker(noticing.waker());
        let askers: [_; 2] = std::array::from_fn(|_| {
            let record = record.clone();
            thread::spawn(move || drop(ask_and_wake(&record)))
        });
        // It is replaced, and the other dropped.
        let signal = Signal::new();
        let waker = Waker::from(StdArc::clone(&signal));
        let _ = poller(&record).begin_poll(&waker, THREAD, false);
        finish(&record);
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
    model(|| {
        let record = shared();
        let asker = thread::spawn({
            let record = record.clone();
            move || {
                let answer = ask(&record);
                assert!(matches!(answer, Ok(7) | Err(End::Finished)), "{answer:?}");
            }
        });
        let _ = poll(&record, &Signal::new());
        finish(&record);
        asker.join().unwrap();
        assert_eq!(ask(&record), Err(End::Finished));
    });
}

#[test]
fn whoever_asks_learns_of_a_panic() {
    model(|| {
        let record = shared();
        let asker = thread::spawn({
            let record = record.clone();
            move || {
                let answer = ask(&record);
                assert!(answer.is_err(), "{answer:?}");
            }
        });
        poller(&record).panicked();
        finish(&record);
        asker.join().unwrap();
    });
}

/// The executor polls once for each time it is woken.
fn run_until_answered(record: &Record, signal: &StdArc<Signal>, times: usize) {
    while {
        let _ = poll(record, signal);
        record.answered.get() < times
    } {
        signal.0.wait();
    }
}

/// Three threads that interrupt each other have too many interleavings, even if they do so once only. Here
/// each goes on until it waits. In the two models after this one, each pair interrupts each other.
#[test]
fn two_requests_at_once_are_both_answered() {
    model_of_three(|| {
        let record = asked_before();
        let askers = [spawn_asker(&record), spawn_asker(&record)];
        run_until_answered(&record, &Signal::new(), 2);
        for asker in askers {
            assert_eq!(taken(&asker.join().unwrap()), Some(Ok(7)));
        }
    });
}

#[test]
fn two_requests_before_a_poll_are_both_answered() {
    model(|| {
        let record = asked_before();
        let signal = Signal::new();
        let _ = poll(&record, &signal);
        let asker = spawn_asker(&record);
        let answer = ask_and_wake(&record).expect("it has not ended");
        let other = asker.join().unwrap();
        run_until_answered(&record, &signal, 2);
        assert_eq!(taken(&answer), Some(Ok(7)));
        assert_eq!(taken(&other), Some(Ok(7)));
    });
}

#[test]
fn a_request_during_the_answer_to_another_is_answered() {
    model(|| {
        let record = asked_before();
        let signal = Signal::new();
        let _ = poll(&record, &signal);
        let answer = ask_and_wake(&record).expect("it has not ended");
        let asker = spawn_asker(&record);
        run_until_answered(&record, &signal, 2);
        assert_eq!(taken(&answer), Some(Ok(7)));
        assert_eq!(taken(&asker.join().unwrap()), Some(Ok(7)));
    });
}

#[test]
fn a_request_can_be_taken_back_at_any_time() {
    model(|| {
        let record = shared();
        let asker = thread::spawn({
            let record = record.clone();
            move || {
                if let Ok(answer) = ask_and_wake(&record) {
                    record.withdraw(&answer);
                }
            }
        });
        let signal = Signal::new();
        let _ = poll(&record, &signal);
        asker.join().unwrap();
        // It may have been woken for that all the same.
        assert_ne!(poll(&record, &signal), Request::Capture);
        assert_eq!(poll(&record, &signal), Request::None);
        finish(&record);
    });
}

#[test]
fn wakers_are_dropped_with_the_task() {
    model(|| {
        let record = shared();
        let signal = Signal::new();
        let asker = thread::spawn({
            let record = record.clone();
            move || drop(ask_and_wake(&record))
        });
        let _ = poll(&record, &signal);
        finish(&record);
        asker.join().unwrap();
        assert_eq!(StdArc::strong_count(&signal), 1);
    });
}

/// Polls whenever it is woken, until a poll is for a probe.
fn run_until_probed(record: &Record, signal: &StdArc<Signal>) {
    while poll(record, signal) != Request::Probe {
        signal.0.wait();
    }
}

fn probe(record: &Record) {
    if let Some(loan) = record.lend_for_probe() {
        loan.wake();
    }
}

fn spawn_prober(record: &Shared) -> thread::JoinHandle<()> {
    let record = record.clone();
    thread::spawn(move || probe(&record))
}

#[test]
fn a_probe_is_polled_for() {
    model(|| {
        let record = shared();
        let signal = Signal::new();
        let _ = poll(&record, &signal);
        let prober = spawn_prober(&record);
        run_until_probed(&record, &signal);
        prober.join().unwrap();
        assert_eq!(poll(&record, &signal), Request::None, "once");
    });
}

/// A prober wants to see that the number of polls goes up. If it comes while a poll that has just begun
/// replaces the waker, then that is what it sees.
#[test]
fn a_probe_survives_a_change_of_wakers() {
    model(|| {
        let record = shared();
        let _ = poll(&record, &Signal::new());
        let prober = thread::spawn({
            let record = record.clone();
            move || {
                let polls = record.polls();
                probe(&record);
                polls
            }
        });
        let signal = Signal::new();
        let request = poll(&record, &signal);
        let before = prober.join().unwrap();
        if request != Request::Probe && record.polls() == before {
            run_until_probed(&record, &signal);
        }
        assert_ne!(record.polls(), before);
    });
}

/// With three threads, as [`two_requests_at_once_are_both_answered`]: the three models after it have each
/// pair of them.
#[test]
fn a_probe_takes_nothing_from_a_request() {
    model_of_three(|| {
        let record = asked_before();
        let signal = Signal::new();
        let _ = poll(&record, &signal);
        let prober = spawn_prober(&record);
        let asker = spawn_asker(&record);
        run_until_captured(&record, &signal);
        assert_eq!(taken(&asker.join().unwrap()), Some(Ok(7)));
        prober.join().unwrap();
    });
}

#[test]
fn a_probe_at_the_time_of_a_request_takes_nothing_from_it() {
    model(|| {
        let record = asked_before();
        let signal = Signal::new();
        let _ = poll(&record, &signal);
        let prober = spawn_prober(&record);
        let answer = ask_and_wake(&record).expect("it has not ended");
        prober.join().unwrap();
        run_until_captured(&record, &signal);
        assert_eq!(taken(&answer), Some(Ok(7)));
    });
}

#[test]
fn a_probe_takes_nothing_from_a_request_before_it() {
    model(|| {
        let record = asked_before();
        let signal = Signal::new();
        let _ = poll(&record, &signal);
        let answer = ask_and_wake(&record).expect("it has not ended");
        let prober = spawn_prober(&record);
        run_until_captured(&record, &signal);
        assert_eq!(taken(&answer), Some(Ok(7)));
        prober.join().unwrap();
    });
}

#[test]
fn a_probe_takes_nothing_from_a_request_after_it() {
    model(|| {
        let record = asked_before();
        let signal = Signal::new();
        let _ = poll(&record, &signal);
        probe(&record);
        let asker = spawn_asker(&record);
        run_until_captured(&record, &signal);
        assert_eq!(taken(&asker.join().unwrap()), Some(Ok(7)));
    });
}

#[test]
fn a_task_that_is_probed_may_end() {
    model(|| {
        let record = shared();
        let signal = Signal::new();
        let _ = poll(&record, &signal);
        let prober = spawn_prober(&record);
        finish(&record);
        prober.join().unwrap();
        assert_eq!(StdArc::strong_count(&signal), 1);
    });
}

/// Nobody has the waker on loan any more, and nothing is left to be done.
fn check_quiet(record: &Record) {
    assert_eq!(record.turn.get() & !WAKER, Turn::on(THREAD));
    let queue = record.lock_queue();
    assert!(queue.waiting.is_empty());
    assert_eq!(queue.borrowers, 0);
    assert!(queue.replaced.is_none());
}

/// Whoever is asked is told so by the word, whatever else the poller says in it.
#[test]
fn a_request_survives_a_change_of_threads() {
    loom::model(|| {
        let signal = Signal::new();
        let waker = Waker::from(StdArc::clone(&signal));
        let record = Record::with_waker(waker.clone());
        let asker = spawn_asker(&record);
        if attend(&record, &waker, THREAD + 1, true) == Request::None {
            assert_eq!(record.turn.thread(), THREAD + 1);
            assert!(record.turn.has(NESTED));
            run_until_captured(&record, &signal);
        }
        assert_eq!(taken(&asker.join().unwrap()), Some(Ok(7)));
        let _ = poll(&record, &signal);
        check_quiet(&record);
    });
}

/// The bits that others set are not lost, and neither are the poller's.
#[test]
fn nobody_undoes_what_another_says() {
    loom::model(|| {
        let record = Record::with_waker(Waker::noop().clone());
        let dropper = thread::spawn({
            let record = record.clone();
            move || {
                record.turn.set(GONE);
                probe(&record);
            }
        });
        poller(&record).panicked();
        let request = poller(&record).begin_poll(Waker::noop(), 1, true);
        dropper.join().unwrap();
        let turn = record.turn.get();
        let left = match request {
            Request::Probe => 0,
            _ => PROBE,
        };
        assert_eq!(turn, Turn::on(1) | NESTED | WAKER | GONE | left);
    });
}

/// A waker that is replaced while there is a prober who may have it on loan, and the one after that.
#[test]
fn wakers_are_dropped_once_whoever_has_them_on_loan() {
    loom::model(|| {
        let [first, second] = [(); 2].map(|()| StdArc::new(Noticing::default()));
        let record = Record::with_waker(first.waker());
        let prober = spawn_prober(&record);
        // It has the second by a clone.
        let other = StdArc::new(Noticing {
            clone: Some(StdArc::clone(&second)),
            ..Noticing::default()
        });
        let _ = poller(&record).begin_poll(&other.waker(), THREAD, false);
        assert!(!second.is_dropped.load(Ordering::SeqCst));
        let signal = Signal::new();
        let _ = poll(&record, &signal);
        prober.join().unwrap();
        for noticing in [first, second] {
            assert!(noticing.is_dropped.load(Ordering::SeqCst));
            assert!(!noticing.is_used_after.load(Ordering::SeqCst));
        }
        let _ = poll(&record, &signal);
        check_quiet(&record);
        assert_eq!(StdArc::strong_count(&signal), 2);
    });
}

/// The task finishes while somebody comes: he learns of it, and the waker is dropped once.
#[test]
fn a_waker_may_be_on_loan_at_the_end() {
    loom::model(|| {
        let noticing = StdArc::new(Noticing::default());
        let record = Record::with_waker(noticing.waker());
        let asker = thread::spawn({
            let record = record.clone();
            move || match ask_and_wake(&record) {
                Ok(answer) => Some(answer),
                Err(end) => {
                    assert_eq!(end, End::Finished);
                    None
                }
            }
        });
        finish(&record);
        if let Some(answer) = asker.join().unwrap() {
            assert_eq!(taken(&answer), Some(Err(End::Finished)));
        }
        assert!(noticing.is_dropped.load(Ordering::SeqCst));
        assert!(!noticing.is_used_after.load(Ordering::SeqCst));
        // A wake that came too late may have left `PROBE`, which the next task of the record does not see.
        assert_eq!(record.turn.get() & !PROBE, Turn::on(THREAD) | FINISHED);
        let queue = record.lock_queue();
        assert!(queue.waiting.is_empty() && queue.replaced.is_none());
    });
}

/// A task that was asked is polled as usual again.
#[test]
fn a_task_is_left_as_it_was() {
    loom::model(|| {
        let signal = Signal::new();
        let record = Record::with_waker(Waker::from(StdArc::clone(&signal)));
        let asker = spawn_asker(&record);
        run_until_captured(&record, &signal);
        drop(asker.join().unwrap());
        // It may have been woken while it answered.
        if record.turn.has(PROBE) {
            assert_eq!(poll(&record, &signal), Request::Probe);
        }
        assert_eq!(record.turn.get(), Turn::usual(THREAD));
        check_quiet(&record);
    });
}

/// How many others wait.
fn others<T>(waiting: &Waiting<T>) -> usize {
    let first = waiting.others.as_deref();
    std::iter::successors(first, |other| other.next.as_deref()).count()
}
