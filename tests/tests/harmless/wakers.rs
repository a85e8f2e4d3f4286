//! Tests that a capture clones the real waker, and drops it as often as it clones it.

use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};
use std::time::Duration;

use tasktrace::{NoAnswer, TaskState, TraceError, TracedExt, current};

use crate::support::{LONG, Leaf, request_on_thread, start_request, task, wait_until};

/// Counts the calls to the wakers of one executor.
#[derive(Default)]
struct Counts {
    alive: AtomicIsize,
    woken: AtomicUsize,
    /// The number of clones until one panics.
    clones_left: AtomicIsize,
    /// The number of drops until one panics.
    drops_left: AtomicIsize,
}

static VTABLE: RawWakerVTable = RawWakerVTable::new(
    |data| {
        // SAFETY: all wakers with this vtable come from `Counts::waker`, whose `Counts` is never freed.
        let counts = unsafe { &*data.cast::<Counts>() };
        if counts.clones_left.fetch_sub(1, Ordering::SeqCst) == 0 {
            resume_unwind(Box::new("no more clones"));
        }
        counts.alive.fetch_add(1, Ordering::SeqCst);
        RawWaker::new(data, &VTABLE)
    },
    |data| {
        // SAFETY: as in `clone` above.
        let counts = unsafe { &*data.cast::<Counts>() };
        counts.woken.fetch_add(1, Ordering::SeqCst);
        counts.alive.fetch_sub(1, Ordering::SeqCst);
    },
    |data| {
        // SAFETY: as in `clone` above.
        let counts = unsafe { &*data.cast::<Counts>() };
        counts.woken.fetch_add(1, Ordering::SeqCst);
    },
    |data| {
        // SAFETY: as in `clone` above.
        let counts = unsafe { &*data.cast::<Counts>() };
        counts.alive.fetch_sub(1, Ordering::SeqCst);
        if counts.drops_left.fetch_sub(1, Ordering::SeqCst) == 0 {
            resume_unwind(Box::new("no more drops"));
        }
    },
);

impl Counts {
    /// Returns counts that are never freed, so that no waker can outlive them.
    fn new() -> &'static Self {
        // A static list refers to them, so that no leak detector reports them.
        static ALL: Mutex<Vec<&'static Counts>> = Mutex::new(Vec::new());

        let counts = Box::leak(Box::<Self>::default());
        counts.clones_left.store(isize::MAX, Ordering::SeqCst);
        counts.drops_left.store(isize::MAX, Ordering::SeqCst);
        ALL.lock().unwrap().push(counts);
        counts
    }

    fn waker(&'static self) -> Waker {
        self.alive.fetch_add(1, Ordering::SeqCst);
        // SAFETY: the vtable upholds the contract of `RawWaker`: its functions only count, with atomics. The data is
        // never freed.
        unsafe { Waker::from_raw(RawWaker::new(std::ptr::from_ref(self).cast(), &VTABLE)) }
    }

    fn alive(&self) -> isize {
        self.alive.load(Ordering::SeqCst)
    }

    fn woken(&self) -> usize {
        self.woken.load(Ordering::SeqCst)
    }
}

/// Returns a future that keeps a clone of the waker of each poll in `wakers`.
fn keeps_wakers(wakers: &Arc<Mutex<Vec<Waker>>>) -> impl Future<Output = ()> + Send + 'static {
    let wakers = Arc::clone(wakers);
    std::future::poll_fn(move |cx| {
        wakers.lock().unwrap().push(cx.waker().clone());
        Poll::Pending
    })
}

#[test]
fn wakers_are_dropped_as_often_as_they_are_cloned() {
    let counts = Counts::new();
    let waker = counts.waker();
    let mut cx = Context::from_waker(&waker);
    let wakers = Arc::default();
    let (inner, inner_handle) = tasktrace::traced(keeps_wakers(&wakers));
    let (outer, handle) = tasktrace::traced(inner);
    let mut outer = Box::pin(outer);
    for _ in 0..10 {
        assert!(outer.as_mut().poll(&mut cx).is_pending());
        let mut requests = [start_request(&handle), start_request(&inner_handle)];
        assert!(outer.as_mut().poll(&mut cx).is_pending());
        for request in &mut requests {
            assert!(matches!(request.poll(), Poll::Ready(Some(_))));
        }
    }
    assert_eq!(counts.woken(), 20, "once for each request");
    for waker in wakers.lock().unwrap().drain(..10) {
        waker.wake();
    }
    assert_eq!(counts.woken(), 30);
    wakers.lock().unwrap().clear();
    assert_eq!(counts.alive(), 3, "the executor's, and one for each task");
    drop(outer);
    assert_eq!(counts.alive(), 1, "a task that has finished keeps none");
    drop(waker);
    assert_eq!(counts.alive(), 0);
}

#[test]
fn a_waker_cloned_in_a_capture_may_outlive_its_task_and_thread() {
    let counts = Counts::new();
    let wakers = Arc::default();
    let (task, handle) = tasktrace::traced(keeps_wakers(&wakers));
    let thread = std::thread::spawn({
        let handle = handle.clone();
        move || {
            let waker = counts.waker();
            let mut task = Box::pin(task);
            let mut cx = Context::from_waker(&waker);
            assert!(task.as_mut().poll(&mut cx).is_pending());
            let mut request = start_request(&handle);
            assert!(task.as_mut().poll(&mut cx).is_pending());
            assert!(matches!(request.poll(), Poll::Ready(Some(_))));
        }
    });
    thread.join().unwrap();
    // The thread, its stack and its task are gone. The wakers are used on two other threads.
    assert!(handle.is_finished());
    drop(handle);
    let [before, captured] = <[Waker; 2]>::try_from(std::mem::take(&mut *wakers.lock().unwrap()))
        .expect("each of the two polls kept a waker");
    assert_eq!(
        before.data(),
        captured.data(),
        "the capture did not clone the real waker"
    );
    let woken = counts.woken();
    std::thread::scope(|threads| {
        threads.spawn(|| drop(before));
        threads.spawn(|| {
            captured.wake_by_ref();
            let clone = captured.clone();
            clone.wake();
            captured.wake();
        });
    });
    assert_eq!(counts.woken(), woken + 3);
    assert_eq!(counts.alive(), 0);
}

#[test]
fn another_thread_may_clone_a_waker_during_its_capture() {
    let kept: Arc<Mutex<Vec<Waker>>> = Arc::default();
    let wakers = Arc::clone(&kept);
    let (mut task, handle) = task(std::future::poll_fn(move |cx| {
        let waker = cx.waker();
        std::thread::scope(|threads| {
            let threads = [(); 4].map(|()| {
                threads.spawn(|| {
                    assert!(current().is_none(), "this thread polls nothing");
                    waker.wake_by_ref();
                    wakers.lock().unwrap().push(waker.clone());
                })
            });
            // ThreadSanitizer sees that a thread is joined, but not that a scope has ended.
            for thread in threads {
                thread.join().unwrap();
            }
        });
        Poll::<()>::Pending
    }));
    assert!(task.poll().is_pending());
    assert_eq!(task.wakes.count(), 4);
    let mut request = start_request(&handle);
    assert!(task.poll().is_pending());
    assert_eq!(task.wakes.count(), 9);
    let Poll::Ready(Some(trace)) = request.poll() else {
        panic!("the request has no trace");
    };
    let text = trace.to_string();
    assert!(text.contains("other threads"), "{text}");
    assert!(!text.contains("nothing can wake"), "{text}");
    drop(task);
    for waker in kept.lock().unwrap().drain(..) {
        waker.wake();
    }
}

/// While one thread records its leaves, other threads may clone the same waker.
#[test]
fn all_leaves_are_recorded_while_another_thread_clones_the_waker() {
    let (mut task, handle) = task(std::future::poll_fn(|cx| {
        let waker = cx.waker();
        std::thread::scope(|threads| {
            let other = threads.spawn(|| (0..1000).for_each(|_| drop(waker.clone())));
            (0..1000).for_each(|_| drop(waker.clone()));
            other.join().unwrap();
        });
        Poll::<()>::Pending
    }));
    for _ in 0..10 {
        let mut request = start_request(&handle);
        assert!(task.poll().is_pending());
        let Poll::Ready(Some(trace)) = request.poll() else {
            panic!("the request has no trace");
        };
        assert_eq!(
            trace
                .leaves()
                .iter()
                .map(|leaf| leaf.count())
                .sum::<usize>(),
            1000
        );
    }
}

/// A clone is the executor's code, and in a capture it is called from ours. If a clone that we make for a request
/// panics, the task goes on. If the leaf's own clone panics, the poll panics, as it would without a capture.
#[test]
fn a_panic_while_a_waker_is_cloned_for_a_request_stays_outside_of_the_task() {
    for clones in 0..3 {
        let counts = Counts::new();
        let waker = counts.waker();
        let mut cx = Context::from_waker(&waker);
        let (leaf, seen) = Leaf::new();
        let (task, handle) = tasktrace::traced(leaf);
        let mut task = Box::pin(task);
        let mut request = start_request(&handle);
        counts.clones_left.store(clones, Ordering::SeqCst);
        let poll = catch_unwind(AssertUnwindSafe(|| {
            task.as_mut().poll(&mut cx).is_pending()
        }));
        assert!(current().is_none());
        // One clone is the leaf's. The other is ours: it is kept to wake the task for requests.
        if let Err(panic) = poll {
            assert_eq!(clones, 0);
            assert_eq!(*panic.downcast::<&str>().unwrap(), "no more clones");
            assert!(matches!(request.poll(), Poll::Ready(None)));
        } else {
            assert!(clones > 0);
            assert!(matches!(request.poll(), Poll::Ready(Some(_))));
        }
        let error = handle.backtrace_timeout(Duration::ZERO).unwrap_err();
        let TraceError::NoAnswer { reason, .. } = error else {
            panic!("{error}");
        };
        assert_eq!(reason, NoAnswer::NotPolled, "the task is not in a poll");

        counts.clones_left.store(isize::MAX, Ordering::SeqCst);
        let mut request = start_request(&handle);
        assert!(task.as_mut().poll(&mut cx).is_pending());
        assert!(matches!(request.poll(), Poll::Ready(Some(_))));
        drop((task, seen));
        drop(waker);
        assert_eq!(counts.alive(), 0);
    }
}

/// A request during the first poll relies on the waker that is kept at its end.
#[test]
fn a_panic_of_a_clone_after_the_first_poll_stays_outside_of_the_task() {
    let counts = Counts::new();
    let waker = counts.waker();
    counts.clones_left.store(0, Ordering::SeqCst);
    let mut request = None;
    let (task, handle) = tasktrace::traced(std::future::poll_fn(|_| {
        request = Some(start_request(&current().unwrap()));
        Poll::<()>::Pending
    }));
    let mut task = Box::pin(task);
    let poll = || task.as_mut().poll(&mut Context::from_waker(&waker));
    let polled = catch_unwind(AssertUnwindSafe(poll));
    assert!(polled.is_ok_and(|polled| polled.is_pending()));
    assert!(current().is_none());
    drop(task);
    assert!(handle.is_finished());
    assert!(matches!(request.unwrap().poll(), Poll::Ready(None)));
}

/// A task drops its waker when it finishes.
#[test]
fn a_panic_of_a_drop_after_the_last_poll_stays_outside_of_the_task() {
    let counts = Counts::new();
    let waker = counts.waker();
    let mut cx = Context::from_waker(&waker);
    let mut polls = [Poll::Pending, Poll::Ready(())].into_iter();
    let (task, handle) = tasktrace::traced(std::future::poll_fn(move |_| {
        polls.next().expect("the task is polled twice")
    }));
    let mut task = Box::pin(task);
    assert!(task.as_mut().poll(&mut cx).is_pending());
    counts.drops_left.store(0, Ordering::SeqCst);
    let poll = catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(&mut cx).is_ready()));
    assert!(
        poll.is_ok_and(|is_ready| is_ready),
        "the panic came out of the task"
    );
    assert!(current().is_none());
    assert!(handle.is_finished());
    drop((task, handle, waker));
    assert_eq!(counts.alive(), 0);
}

#[test]
fn a_panic_while_a_waker_is_dropped_stays_outside_of_the_task() {
    struct Bomb;
    impl std::task::Wake for Bomb {
        fn wake(self: Arc<Self>) {}
    }
    impl Drop for Bomb {
        fn drop(&mut self) {
            if !std::thread::panicking() {
                resume_unwind(Box::new("boom"));
            }
        }
    }

    let (task, handle) = tasktrace::traced(std::future::pending::<()>());
    let mut task = Box::pin(task);
    let waker = Waker::from(Arc::new(Bomb));
    assert!(
        task.as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    // The task has the last reference to the waker. The next poll replaces it, so its drop panics.
    drop(waker);
    let mut request = start_request(&handle);
    let mut cx = Context::from_waker(Waker::noop());
    assert!(task.as_mut().poll(&mut cx).is_pending());
    assert!(current().is_none());
    assert!(matches!(request.poll(), Poll::Ready(Some(_))));

    // The task has a waker whose drop panics when it finishes.
    let waker = Waker::from(Arc::new(Bomb));
    assert!(
        task.as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    drop(waker);
    let mut request = start_request(&handle);
    drop(task);
    assert!(matches!(request.poll(), Poll::Ready(None)));
    assert!(handle.is_finished());
}

/// A request wakes the task, so it calls the executor's code.
#[test]
fn a_panic_while_a_task_is_woken_stays_outside_of_the_requester() {
    struct Bomb;
    impl std::task::Wake for Bomb {
        fn wake(self: Arc<Self>) {
            resume_unwind(Box::new("boom"));
        }
    }

    let (leaf, _seen) = Leaf::new();
    let (task, handle) = tasktrace::traced(leaf);
    let mut task = Box::pin(task);
    let waker = Waker::from(Arc::new(Bomb));
    let mut cx = Context::from_waker(&waker);
    assert!(task.as_mut().poll(&mut cx).is_pending());
    let mut request = start_request(&handle);
    let error = handle.backtrace_timeout(Duration::ZERO).unwrap_err();
    assert!(matches!(error, TraceError::NoAnswer { .. }), "{error}");
    assert!(task.as_mut().poll(&mut cx).is_pending());
    assert!(matches!(request.poll(), Poll::Ready(Some(_))));
}

/// A waker may do anything when it is woken. This one requests a trace of the task that it wakes.
#[test]
fn a_waker_may_request_a_trace_of_the_task_that_it_wakes() {
    struct TracesItsTask(Mutex<Option<tasktrace::TraceHandle>>, AtomicUsize);
    impl std::task::Wake for TracesItsTask {
        fn wake(self: Arc<Self>) {
            if self.1.fetch_add(1, Ordering::SeqCst) < 10 {
                let handle = self.0.lock().unwrap().clone().unwrap();
                let error = handle.backtrace_timeout(Duration::ZERO).unwrap_err();
                assert!(matches!(error, TraceError::NoAnswer { .. }));
            }
        }
    }

    let (leaf, _seen) = Leaf::new();
    let (task, handle) = tasktrace::traced(leaf);
    let mut task = Box::pin(task);
    let traces = Arc::new(TracesItsTask(
        Mutex::new(Some(handle.clone())),
        AtomicUsize::new(0),
    ));
    let waker = Waker::from(Arc::clone(&traces));
    let mut cx = Context::from_waker(&waker);
    assert!(task.as_mut().poll(&mut cx).is_pending());
    let mut request = start_request(&handle);
    // A thread of ours calls the waker. A request made in the waker does not wait until that thread is free to call it
    // again.
    wait_until(|| traces.1.load(Ordering::SeqCst) > 0);
    assert!(task.as_mut().poll(&mut cx).is_pending());
    assert!(matches!(request.poll(), Poll::Ready(Some(_))));
    traces.0.lock().unwrap().take();
}

/// Some executors poll within `wake`, on the same thread, so the requester itself polls the task.
#[test]
fn a_waker_may_poll_the_task_that_it_wakes() {
    type Task = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;
    /// The task, unless a thread polls it, and `true` if it was woken since then.
    struct PollsItsTask(Mutex<Option<Task>>, AtomicBool);
    impl std::task::Wake for PollsItsTask {
        fn wake(self: Arc<Self>) {
            self.1.store(true, Ordering::SeqCst);
            while self.1.load(Ordering::SeqCst) {
                let Some(mut task) = self.0.lock().unwrap().take() else {
                    // The thread that polls the task checks again when it has put it back.
                    return;
                };
                if self.1.swap(false, Ordering::SeqCst) {
                    let waker = Waker::from(Arc::clone(&self));
                    let mut cx = Context::from_waker(&waker);
                    assert!(task.as_mut().poll(&mut cx).is_pending());
                }
                *self.0.lock().unwrap() = Some(task);
            }
        }
    }

    let (leaf, seen) = Leaf::new();
    let (task, handle) = tasktrace::traced(leaf);
    let polls = PollsItsTask(Mutex::new(Some(Box::pin(task))), AtomicBool::new(false));
    let polls = Arc::new(polls);
    Waker::from(Arc::clone(&polls)).wake();
    assert!(handle.backtrace_timeout(LONG).is_ok());
    assert_eq!(
        pollster::block_on(handle.backtrace())
            .unwrap()
            .leaves()
            .len(),
        1
    );
    assert_eq!((seen.polls(), seen.captures()), (3, 2));
    // The thread that answered may not have put the task back yet.
    wait_until(|| {
        let task = polls.0.lock().unwrap().take();
        task.is_some()
    });
    assert!(handle.is_finished());
}

#[test]
fn a_request_during_a_poll_is_answered_by_the_next_poll() {
    let (release, released) = std::sync::mpsc::channel();
    let released = Mutex::new(released);
    let wakers = Arc::default();
    let mut leaf = Box::pin(keeps_wakers(&wakers));
    let mut polls = 0;
    let (mut task, handle) = task(std::future::poll_fn(move |cx| {
        polls += 1;
        if polls == 2 {
            released.lock().unwrap().recv().unwrap();
        }
        leaf.as_mut().poll(cx)
    }));
    assert!(task.poll().is_pending());
    let wakes = Arc::clone(&task.wakes);
    let poller = std::thread::spawn(move || {
        assert!(task.poll().is_pending());
        task
    });
    wait_until(|| matches!(handle.state(), TaskState::Running(_)));
    let error = handle.backtrace_timeout(Duration::ZERO).unwrap_err();
    assert!(
        matches!(
            error,
            TraceError::NoAnswer {
                reason: NoAnswer::Running,
                ..
            }
        ),
        "{error}"
    );
    let request = request_on_thread(&handle, &wakes);
    release.send(()).unwrap();
    let mut task = poller.join().unwrap();
    // That poll began before the request, so the task needs another one, and was woken for it.
    assert!(task.poll().is_pending());
    assert!(request.join().unwrap().is_ok());
}

/// The payload of a panic, which panics when it is dropped.
struct Payload;

impl Drop for Payload {
    fn drop(&mut self) {
        resume_unwind(Box::new("the payload panics as well"));
    }
}

/// A waker that panics in the functions that it is told to.
#[derive(Default)]
struct Panics {
    in_clone: AtomicBool,
    in_wake: AtomicBool,
    in_drop: AtomicBool,
}

static PANICS: RawWakerVTable = RawWakerVTable::new(
    |data| {
        Panics::at(data, |panics| &panics.in_clone);
        RawWaker::new(data, &PANICS)
    },
    |data| Panics::at(data, |panics| &panics.in_wake),
    |data| Panics::at(data, |panics| &panics.in_wake),
    |data| Panics::at(data, |panics| &panics.in_drop),
);

impl Panics {
    fn at(data: *const (), which: impl Fn(&Self) -> &AtomicBool) {
        // SAFETY: all wakers of this vtable come from `waker`, and so point to a `Panics` that is never freed.
        let panics = unsafe { &*data.cast::<Self>() };
        if which(panics).load(Ordering::SeqCst) {
            resume_unwind(Box::new(Payload));
        }
    }

    fn waker(&'static self) -> Waker {
        // SAFETY: any thread may call the functions of the vtable, and the data is never freed.
        unsafe { Waker::from_raw(RawWaker::new(std::ptr::from_ref(self).cast(), &PANICS)) }
    }
}

static IN_CLONE: Panics = Panics {
    in_clone: AtomicBool::new(true),
    in_wake: AtomicBool::new(false),
    in_drop: AtomicBool::new(false),
};

static IN_WAKE: Panics = Panics {
    in_clone: AtomicBool::new(false),
    in_wake: AtomicBool::new(true),
    in_drop: AtomicBool::new(false),
};

static IN_DROP: Panics = Panics {
    in_clone: AtomicBool::new(false),
    in_wake: AtomicBool::new(false),
    in_drop: AtomicBool::new(true),
};

/// The payload of a panic is foreign code too, and each of several wakers may panic: the waker of a task, and those of
/// the children that it polls with wakers of their own.
#[test]
fn several_panics_of_wakers_and_their_payloads_stay_outside_of_the_task() {
    for panics in [&IN_CLONE, &IN_WAKE, &IN_DROP] {
        let bad = ManuallyDrop::new(panics.waker());
        let mut children: Vec<_> = (0..3)
            .map(|child| Box::pin(std::future::pending::<()>().traced(format!("child {child}"))))
            .collect();
        let bad_of_children = ManuallyDrop::new(panics.waker());
        // The future clones no waker, so only the code under test does.
        let (task, handle) = tasktrace::traced(std::future::poll_fn(move |_| {
            for child in &mut children {
                let mut cx = Context::from_waker(&bad_of_children);
                assert!(child.as_mut().poll(&mut cx).is_pending());
            }
            Poll::<()>::Pending
        }));
        let mut task = Box::pin(task);
        let mut poll = |waker: &Waker| task.as_mut().poll(&mut Context::from_waker(waker));
        for waker in [Waker::noop(), &bad, Waker::noop(), &bad] {
            assert!(poll(waker).is_pending());
            let mut request = start_request(&handle);
            assert!(poll(waker).is_pending());
            assert!(matches!(request.poll(), Poll::Ready(Some(_))));
        }
        drop(task);
        assert!(handle.is_finished());
    }
}
