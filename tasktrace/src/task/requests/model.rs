//! Checks the protocol between requesters, borrowers and the poller in all interleavings with at most two preemptions,
//! and with three threads in those without preemptions.
//!
//! A lost request or a lost wake shows as a deadlock, which loom reports. An access to the waker that should be
//! exclusive and is not shows as a panic of loom's cell.

use std::cell::Cell;
use std::ops::Deref;
use std::sync::Arc as StdArc;
use std::task::{RawWaker, RawWakerVTable, Wake, Waker};

use loom::sync::Notify;
use loom::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use loom::thread;

use super::*;
use crate::sync::Arc;
use crate::task::poll_state::{DETACHED, NESTED, PollState};
use crate::task::poller::Poller;
use crate::task::queue::Requesters;

/// The waker of an executor that runs one task: the executor waits until it is woken.
struct ExecutorSignal(Notify);

impl ExecutorSignal {
    fn new() -> StdArc<Self> {
        StdArc::new(Self(Notify::new()))
    }
}

impl Wake for ExecutorSignal {
    fn wake(self: StdArc<Self>) {
        self.0.notify();
    }

    fn wake_by_ref(self: &StdArc<Self>) {
        self.0.notify();
    }
}

/// A task header, and the counters of a model.
struct ModelTask {
    header: super::Header,
    polls: AtomicU32,
    /// The number of requests that the poller has answered.
    answered: Cell<usize>,
}

// SAFETY: only the thread that polls uses `answered`. The header is `Sync`, which these models check.
unsafe impl Sync for ModelTask {}
// SAFETY: every field is `Send` itself: a `Header`, an atomic, and a `Cell` of a number.
unsafe impl Send for ModelTask {}

impl Deref for ModelTask {
    type Target = super::Header;

    fn deref(&self) -> &super::Header {
        &self.header
    }
}

impl ModelTask {
    /// Returns the number of polls that have started.
    fn polls(&self) -> u32 {
        self.polls.load(Ordering::Acquire)
    }

    fn start_poll(&self) {
        let polls = self.polls.load(Ordering::Relaxed) + 1;
        self.polls.store(polls, Ordering::Release);
    }

    /// Answers all requests as [`Poller::answer`] does, and counts them.
    fn answer(&self) {
        let requesters = poller(self).take_requesters();
        let count = usize::from(requesters.first.is_some()) + count_others(&requesters);
        self.answered.set(self.answered.get() + count);
        requesters.send_all(Ok(RawTrace::default()));
    }

    /// Returns a task that was last polled with this waker, outside any other task.
    fn with_waker(waker: Waker) -> SharedTask {
        let task = with_queue();
        // SAFETY: no other thread has the task yet, and its cell is empty.
        unsafe { task.waker.put(waker) };
        task.poll_state.store(PollState::fast_path(THREAD));
        task
    }
}

impl Drop for ModelTask {
    fn drop(&mut self) {
        // SAFETY: the last reference to the task is being dropped, so no other thread uses its header.
        drop(unsafe { self.header.reset() });
    }
}

/// The index of the thread that polls.
const THREAD: u32 = 3;

type SharedTask = Arc<ModelTask>;

std::thread_local! {
    /// The index of the thread that will make the first poll, or 0 if it is not known before the poll.
    static FIRST_THREAD: Cell<u32> = const { Cell::new(0) };
}

/// Runs a model twice: with a task whose first poll takes the fast path, and with one whose first poll takes the slow
/// path.
fn model(run: impl Fn() + Sync + Send + Copy + 'static) {
    for thread in [THREAD, 0] {
        FIRST_THREAD.set(thread);
        loom::model(run);
    }
}

/// Returns a task that was never polled, and that has no request queue.
fn unpolled() -> SharedTask {
    let task = ModelTask {
        header: super::Header::empty(),
        polls: AtomicU32::new(0),
        answered: Cell::new(0),
    };
    task.poll_state
        .store(PollState::on_thread(FIRST_THREAD.get()));
    Arc::new(task)
}

/// Returns a task that was never polled, and that has a request queue. So the models that use it do not explore the
/// interleavings in which the queue is made.
fn with_queue() -> SharedTask {
    let task = unpolled();
    task.side_table.get_or_insert();
    task
}

fn poller(task: &ModelTask) -> Poller<'_> {
    // SAFETY: each model has one thread that polls. Only that thread calls this, and it uses the poller only while the
    // task is alive.
    unsafe { Poller::new(&*std::ptr::from_ref(&task.header)) }
}

/// Makes one poll that returns `Pending`, as [`poll`](crate::task::poll) does outside any other task. Answers the
/// pending requests.
fn poll(task: &ModelTask, signal: &StdArc<ExecutorSignal>) -> PollPurpose {
    poll_with(task, &Waker::from(StdArc::clone(signal)))
}

fn poll_with(task: &ModelTask, waker: &Waker) -> PollPurpose {
    let (state, expected) = (task.poll_state.get(), PollState::fast_path(THREAD));
    let is_fast_path =
        state == expected && poller(task).has_same_waker(waker) || state == expected & !WAKER;
    if !is_fast_path {
        return poll_slow(task, waker, THREAD, false);
    }
    task.start_poll();
    if !task.poll_state.has_waker() {
        poller(task).end_first_poll(waker, false);
    }
    PollPurpose::Task
}

/// Makes one poll on the slow path.
fn poll_slow(task: &ModelTask, waker: &Waker, thread: u32, is_nested: bool) -> PollPurpose {
    let is_first = !task.poll_state.has_waker();
    let purpose = poller(task).begin_poll(waker, thread, is_nested);
    task.start_poll();
    if is_first {
        poller(task).end_first_poll(waker, purpose == PollPurpose::Capture);
    }
    if purpose == PollPurpose::Capture {
        task.answer();
    }
    purpose
}

/// Runs a model of three threads, each of which runs until it waits. If they interrupted each other, there would be too
/// many interleavings.
fn model_of_three(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(0);
    builder.check(model);
}

/// Polls whenever the task is woken, until a poll answers a request.
fn run_until_captured(task: &ModelTask, signal: &StdArc<ExecutorSignal>) {
    while poll(task, signal) != PollPurpose::Capture {
        signal.0.wait();
    }
}

fn request_and_wake(task: &ModelTask) -> Result<Receiver<RawTrace>, CaptureError> {
    let receiver = task.request_capture()?;
    if let Some(borrowed) = task.borrow_waker_for_capture() {
        borrowed.wake();
    }
    Ok(receiver)
}

fn request(task: &ModelTask) -> Result<u32, CaptureError> {
    let receiver = request_and_wake(task)?;
    assert!(receiver.wait(None), "there was no deadline");
    taken(&receiver).expect("it is taken once")
}

/// Takes the answer, and replaces a trace with a number: all traces of these models are equal.
fn taken(receiver: &Receiver<RawTrace>) -> Option<Result<u32, CaptureError>> {
    Some(receiver.take()?.map(|_| 7))
}

/// Requests a capture on another thread, which does not wait for the answer.
fn spawn_requester(task: &SharedTask) -> thread::JoinHandle<Receiver<RawTrace>> {
    let task = task.clone();
    thread::spawn(move || request_and_wake(&task).expect("it has not ended"))
}

fn finish(task: &ModelTask) {
    drop(poller(task).finish());
}

#[test]
fn a_request_is_answered_whenever_it_comes() {
    model(|| {
        let task = unpolled();
        let requester = thread::spawn({
            let task = task.clone();
            move || assert_eq!(request(&task), Ok(7))
        });
        run_until_captured(&task, &ExecutorSignal::new());
        requester.join().unwrap();
    });
}

#[test]
fn a_request_survives_a_change_of_wakers() {
    model(|| {
        let task = unpolled();
        let requester = thread::spawn({
            let task = task.clone();
            move || assert_eq!(request(&task), Ok(7))
        });
        // The executor that polls first drops its waker and does not react to it again.
        if poll(&task, &ExecutorSignal::new()) == PollPurpose::Task {
            run_until_captured(&task, &ExecutorSignal::new());
        }
        requester.join().unwrap();
    });
}

/// The first poll of a task that the poll itself makes does not look for requests, because no other thread knew the
/// task.
#[test]
fn a_first_poll_need_not_look_for_requests() {
    model(|| {
        let task = unpolled();
        let signal = ExecutorSignal::new();
        let requester = thread::spawn({
            let task = task.clone();
            move || assert_eq!(request(&task), Ok(7))
        });
        let waker = Waker::from(StdArc::clone(&signal));
        poller(&task).end_first_poll(&waker, false);
        signal.0.wait();
        run_until_captured(&task, &signal);
        requester.join().unwrap();
    });
}

/// The data of a waker that detects a use after its drop.
#[derive(Default)]
struct DropCheck {
    is_dropped: AtomicBool,
    is_used_after: AtomicBool,
    /// The data of its only clone.
    clone: Option<StdArc<DropCheck>>,
}

static DROP_CHECK: RawWakerVTable = RawWakerVTable::new(
    |data| {
        // SAFETY: the data came from `DropCheck::waker`, whose caller keeps it alive while the waker is used.
        let check = unsafe { &*data.cast::<DropCheck>() };
        let clone = check.clone.as_ref();
        let clone = clone.expect("only the poller clones this waker, and once");
        RawWaker::new(StdArc::as_ptr(clone).cast(), &DROP_CHECK)
    },
    |_| unreachable!("a borrower does not own the waker"),
    |data| {
        // SAFETY: the data came from `DropCheck::waker`, whose caller keeps it alive while the waker is used.
        let check = unsafe { &*data.cast::<DropCheck>() };
        let is_dropped = check.is_dropped.load(Ordering::SeqCst);
        check.is_used_after.fetch_or(is_dropped, Ordering::SeqCst);
    },
    |data| {
        // SAFETY: the data came from `DropCheck::waker`, whose caller keeps it alive while the waker is used.
        let check = unsafe { &*data.cast::<DropCheck>() };
        let is_dropped = check.is_dropped.swap(true, Ordering::SeqCst);
        check.is_used_after.fetch_or(is_dropped, Ordering::SeqCst);
    },
);

impl DropCheck {
    /// Creates a waker with this data. The caller keeps `self` alive for longer than the waker is used, dropped or not.
    fn waker(&self) -> Waker {
        let data = std::ptr::from_ref(self).cast();
        // SAFETY: the functions of the table uphold the contract of `RawWaker`, as long as no code clones the waker
        // more than once. The caller keeps the data alive.
        unsafe { Waker::from_raw(RawWaker::new(data, &DROP_CHECK)) }
    }
}

#[test]
fn a_borrowed_waker_is_not_dropped() {
    loom::model(|| {
        let check = StdArc::new(DropCheck::default());
        let task = ModelTask::with_waker(check.waker());
        let threads: [_; 2] = std::array::from_fn(|_| {
            let task = task.clone();
            thread::spawn(move || drop(request_and_wake(&task)))
        });
        // The waker is replaced, and then the new one is dropped.
        let signal = ExecutorSignal::new();
        let waker = Waker::from(StdArc::clone(&signal));
        let _ = poller(&task).begin_poll(&waker, THREAD, false);
        finish(&task);
        for requester in threads {
            requester.join().unwrap();
        }
        assert!(check.is_dropped.load(Ordering::SeqCst));
        assert!(!check.is_used_after.load(Ordering::SeqCst));
        drop(waker);
        assert_eq!(StdArc::strong_count(&signal), 1);
    });
}

#[test]
fn a_finished_task_answers_pending_requests() {
    model(|| {
        let task = unpolled();
        let requester = thread::spawn({
            let task = task.clone();
            move || {
                let answer = request(&task);
                assert!(
                    matches!(answer, Ok(7) | Err(CaptureError::Finished)),
                    "{answer:?}"
                );
            }
        });
        let _ = poll(&task, &ExecutorSignal::new());
        finish(&task);
        requester.join().unwrap();
        assert_eq!(request(&task), Err(CaptureError::Finished));
    });
}

#[test]
fn a_panicking_poll_answers_pending_requests() {
    model(|| {
        let task = unpolled();
        let requester = thread::spawn({
            let task = task.clone();
            move || {
                let answer = request(&task);
                assert!(answer.is_err(), "{answer:?}");
            }
        });
        poller(&task).panicked();
        finish(&task);
        requester.join().unwrap();
    });
}

/// Polls once for each wake, until this many requests have been answered.
fn run_until_answered(task: &ModelTask, signal: &StdArc<ExecutorSignal>, times: usize) {
    while {
        let _ = poll(task, signal);
        task.answered.get() < times
    } {
        signal.0.wait();
    }
}

/// Each of the three threads runs until it waits. In the two models after this one, each pair of them interrupts each
/// other.
#[test]
fn two_requests_at_once_are_both_answered() {
    model_of_three(|| {
        let task = with_queue();
        let threads = [spawn_requester(&task), spawn_requester(&task)];
        run_until_answered(&task, &ExecutorSignal::new(), 2);
        for requester in threads {
            assert_eq!(taken(&requester.join().unwrap()), Some(Ok(7)));
        }
    });
}

#[test]
fn two_requests_before_a_poll_are_both_answered() {
    model(|| {
        let task = with_queue();
        let signal = ExecutorSignal::new();
        let _ = poll(&task, &signal);
        let requester = spawn_requester(&task);
        let receiver = request_and_wake(&task).expect("it has not ended");
        let other = requester.join().unwrap();
        run_until_answered(&task, &signal, 2);
        assert_eq!(taken(&receiver), Some(Ok(7)));
        assert_eq!(taken(&other), Some(Ok(7)));
    });
}

#[test]
fn a_request_during_the_answer_to_another_is_answered() {
    model(|| {
        let task = with_queue();
        let signal = ExecutorSignal::new();
        let _ = poll(&task, &signal);
        let receiver = request_and_wake(&task).expect("it has not ended");
        let requester = spawn_requester(&task);
        run_until_answered(&task, &signal, 2);
        assert_eq!(taken(&receiver), Some(Ok(7)));
        assert_eq!(taken(&requester.join().unwrap()), Some(Ok(7)));
    });
}

#[test]
fn a_request_can_be_withdrawn_at_any_time() {
    model(|| {
        let task = unpolled();
        let requester = thread::spawn({
            let task = task.clone();
            move || {
                if let Ok(receiver) = request_and_wake(&task) {
                    task.withdraw(&receiver);
                }
            }
        });
        let signal = ExecutorSignal::new();
        let _ = poll(&task, &signal);
        requester.join().unwrap();
        // The requester may have woken the task before it withdrew the request.
        assert_ne!(poll(&task, &signal), PollPurpose::Capture);
        assert_eq!(poll(&task, &signal), PollPurpose::Task);
        finish(&task);
    });
}

#[test]
fn a_finished_task_drops_its_waker() {
    model(|| {
        let task = unpolled();
        let signal = ExecutorSignal::new();
        let requester = thread::spawn({
            let task = task.clone();
            move || drop(request_and_wake(&task))
        });
        let _ = poll(&task, &signal);
        finish(&task);
        requester.join().unwrap();
        assert_eq!(StdArc::strong_count(&signal), 1);
    });
}

/// Polls whenever the task is woken, until the purpose of a poll is a probe.
fn run_until_probed(task: &ModelTask, signal: &StdArc<ExecutorSignal>) {
    while poll(task, signal) != PollPurpose::Probe {
        signal.0.wait();
    }
}

fn probe(task: &ModelTask) {
    if let Some(borrowed) = task.borrow_waker_for_probe() {
        borrowed.wake();
    }
}

fn spawn_prober(task: &SharedTask) -> thread::JoinHandle<()> {
    let task = task.clone();
    thread::spawn(move || probe(&task))
}

#[test]
fn a_probe_causes_a_poll() {
    model(|| {
        let task = unpolled();
        let signal = ExecutorSignal::new();
        let _ = poll(&task, &signal);
        let prober = spawn_prober(&task);
        run_until_probed(&task, &signal);
        prober.join().unwrap();
        assert_eq!(poll(&task, &signal), PollPurpose::Task, "once");
    });
}

/// A thread that probes must see the number of polls go up. If it probes while a poll that has just started replaces
/// the waker, it sees that poll.
#[test]
fn a_probe_survives_a_change_of_wakers() {
    model(|| {
        let task = unpolled();
        let _ = poll(&task, &ExecutorSignal::new());
        let prober = thread::spawn({
            let task = task.clone();
            move || {
                let polls = task.polls();
                probe(&task);
                polls
            }
        });
        let signal = ExecutorSignal::new();
        let request = poll(&task, &signal);
        let before = prober.join().unwrap();
        if request != PollPurpose::Probe && task.polls() == before {
            run_until_probed(&task, &signal);
        }
        assert_ne!(task.polls(), before);
    });
}

/// Three threads, as in [`two_requests_at_once_are_both_answered`]. In the three models after this one, each pair of
/// them interrupts each other.
#[test]
fn a_probe_does_not_lose_a_request() {
    model_of_three(|| {
        let task = with_queue();
        let signal = ExecutorSignal::new();
        let _ = poll(&task, &signal);
        let prober = spawn_prober(&task);
        let requester = spawn_requester(&task);
        run_until_captured(&task, &signal);
        assert_eq!(taken(&requester.join().unwrap()), Some(Ok(7)));
        prober.join().unwrap();
    });
}

#[test]
fn a_probe_during_a_request_does_not_lose_it() {
    model(|| {
        let task = with_queue();
        let signal = ExecutorSignal::new();
        let _ = poll(&task, &signal);
        let prober = spawn_prober(&task);
        let receiver = request_and_wake(&task).expect("it has not ended");
        prober.join().unwrap();
        run_until_captured(&task, &signal);
        assert_eq!(taken(&receiver), Some(Ok(7)));
    });
}

#[test]
fn a_probe_after_a_request_does_not_lose_it() {
    model(|| {
        let task = with_queue();
        let signal = ExecutorSignal::new();
        let _ = poll(&task, &signal);
        let receiver = request_and_wake(&task).expect("it has not ended");
        let prober = spawn_prober(&task);
        run_until_captured(&task, &signal);
        assert_eq!(taken(&receiver), Some(Ok(7)));
        prober.join().unwrap();
    });
}

#[test]
fn a_probe_before_a_request_does_not_lose_it() {
    model(|| {
        let task = with_queue();
        let signal = ExecutorSignal::new();
        let _ = poll(&task, &signal);
        probe(&task);
        let requester = spawn_requester(&task);
        run_until_captured(&task, &signal);
        assert_eq!(taken(&requester.join().unwrap()), Some(Ok(7)));
    });
}

#[test]
fn a_task_may_finish_during_a_probe() {
    model(|| {
        let task = unpolled();
        let signal = ExecutorSignal::new();
        let _ = poll(&task, &signal);
        let prober = spawn_prober(&task);
        finish(&task);
        prober.join().unwrap();
        assert_eq!(StdArc::strong_count(&signal), 1);
    });
}

/// Checks that no borrow, no request and no flag is left.
fn check_quiet(task: &ModelTask) {
    assert_eq!(task.poll_state.get() & !WAKER, PollState::on_thread(THREAD));
    let queue = task.lock_queue();
    assert!(queue.requesters.is_empty());
    assert_eq!(queue.borrowers, 0);
    assert!(queue.replaced.is_none());
}

/// The poller that changes the thread in the state keeps the flag `CAPTURE`.
#[test]
fn a_request_survives_a_change_of_threads() {
    loom::model(|| {
        let signal = ExecutorSignal::new();
        let waker = Waker::from(StdArc::clone(&signal));
        let task = ModelTask::with_waker(waker.clone());
        let requester = spawn_requester(&task);
        if poll_slow(&task, &waker, THREAD + 1, true) == PollPurpose::Task {
            assert_eq!(task.poll_state.thread(), THREAD + 1);
            assert!(task.poll_state.has(NESTED));
            run_until_captured(&task, &signal);
        }
        assert_eq!(taken(&requester.join().unwrap()), Some(Ok(7)));
        let _ = poll(&task, &signal);
        check_quiet(&task);
    });
}

/// The poller keeps the flags that other threads set, and they keep those of the poller.
#[test]
fn threads_keep_the_flags_of_each_other() {
    loom::model(|| {
        let task = ModelTask::with_waker(Waker::noop().clone());
        let dropper = thread::spawn({
            let task = task.clone();
            move || {
                task.poll_state.set(DETACHED);
                probe(&task);
            }
        });
        poller(&task).panicked();
        let purpose = poller(&task).begin_poll(Waker::noop(), 1, true);
        dropper.join().unwrap();
        let state = task.poll_state.get();
        let left = match purpose {
            PollPurpose::Probe => 0,
            _ => PROBE,
        };
        assert_eq!(
            state,
            PollState::on_thread(1) | NESTED | WAKER | DETACHED | left
        );
    });
}

/// A borrower may have either of two wakers that are replaced one after the other.
#[test]
fn replaced_wakers_are_dropped_once_after_the_borrow() {
    loom::model(|| {
        let [first, second] = [(); 2].map(|()| StdArc::new(DropCheck::default()));
        let task = ModelTask::with_waker(first.waker());
        let prober = spawn_prober(&task);
        // The poller stores a clone, whose data is `second`.
        let other = StdArc::new(DropCheck {
            clone: Some(StdArc::clone(&second)),
            ..DropCheck::default()
        });
        let _ = poller(&task).begin_poll(&other.waker(), THREAD, false);
        assert!(!second.is_dropped.load(Ordering::SeqCst));
        let signal = ExecutorSignal::new();
        let _ = poll(&task, &signal);
        prober.join().unwrap();
        for check in [first, second] {
            assert!(check.is_dropped.load(Ordering::SeqCst));
            assert!(!check.is_used_after.load(Ordering::SeqCst));
        }
        let _ = poll(&task, &signal);
        check_quiet(&task);
        assert_eq!(StdArc::strong_count(&signal), 2);
    });
}

/// The task finishes while a requester borrows its waker: the request is answered, and the waker is dropped once.
#[test]
fn a_task_may_finish_while_its_waker_is_borrowed() {
    loom::model(|| {
        let check = StdArc::new(DropCheck::default());
        let task = ModelTask::with_waker(check.waker());
        let requester = thread::spawn({
            let task = task.clone();
            move || match request_and_wake(&task) {
                Ok(receiver) => Some(receiver),
                Err(error) => {
                    assert_eq!(error, CaptureError::Finished);
                    None
                }
            }
        });
        finish(&task);
        if let Some(receiver) = requester.join().unwrap() {
            assert_eq!(taken(&receiver), Some(Err(CaptureError::Finished)));
        }
        assert!(check.is_dropped.load(Ordering::SeqCst));
        assert!(!check.is_used_after.load(Ordering::SeqCst));
        // A wake that came too late may have left `PROBE`. The next task in the header starts with a new state.
        assert_eq!(
            task.poll_state.get() & !PROBE,
            PollState::on_thread(THREAD) | FINISHED
        );
        let queue = task.lock_queue();
        assert!(queue.requesters.is_empty() && queue.replaced.is_none());
    });
}

/// After a request, the task is polled on the fast path again.
#[test]
fn a_request_leaves_the_state_as_it_was() {
    loom::model(|| {
        let signal = ExecutorSignal::new();
        let task = ModelTask::with_waker(Waker::from(StdArc::clone(&signal)));
        let requester = spawn_requester(&task);
        run_until_captured(&task, &signal);
        drop(requester.join().unwrap());
        // The requester may have woken the task while it answered.
        if task.poll_state.has(PROBE) {
            assert_eq!(poll(&task, &signal), PollPurpose::Probe);
        }
        assert_eq!(task.poll_state.get(), PollState::fast_path(THREAD));
        check_quiet(&task);
    });
}

/// Returns the number of requesters after the first.
fn count_others<T>(requesters: &Requesters<T>) -> usize {
    let first = requesters.others.as_deref();
    std::iter::successors(first, |other| other.next.as_deref()).count()
}
