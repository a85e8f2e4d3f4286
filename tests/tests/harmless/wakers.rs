//! Wakers: what is cloned in a capture is real, and is dropped as often as it is cloned.

use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};
use std::time::Duration;

use tasktrace::{NoAnswer, TaskState, TraceError, TracedExt, current};

use crate::support::{LONG, Leaf, ask, ask_from_thread, task, wait_until};

/// Counts what is done to the wakers of one executor.
#[derive(Default)]
struct Counts {
    alive: AtomicIsize,
    woken: AtomicUsize,
    /// The clone after this many panics.
    clones_left: AtomicIsize,
    /// So does the drop after this many.
    drops_left: AtomicIsize,
}

static VTABLE: RawWakerVTable = RawWakerVTable::new(
    |data| {
        // SAFETY: all wakers of this table point to a `Counts` that outlives them.
        let counts = unsafe { &*data.cast::<Counts>() };
        if counts.clones_left.fetch_sub(1, Ordering::SeqCst) == 0 {
            resume_unwind(Box::new("no more clones"));
        }
        counts.alive.fetch_add(1, Ordering::SeqCst);
        RawWaker::new(data, &VTABLE)
    },
    |data| {
        // SAFETY: as above.
        let counts = unsafe { &*data.cast::<Counts>() };
        counts.woken.fetch_add(1, Ordering::SeqCst);
        counts.alive.fetch_sub(1, Ordering::SeqCst);
    },
    |data| {
        // SAFETY: as above.
        let counts = unsafe { &*data.cast::<Counts>() };
        counts.woken.fetch_add(1, Ordering::SeqCst);
    },
    |data| {
        // SAFETY: as above.
        let counts = unsafe { &*data.cast::<Counts>() };
        counts.alive.fetch_sub(1, Ordering::SeqCst);
        if counts.drops_left.fetch_sub(1, Ordering::SeqCst) == 0 {
            resume_unwind(Box::new("no more drops"));
        }
    },
);

impl Counts {
    /// Counts for the rest of the process, so that no waker can outlive them.
    fn new() -> &'static Self {
        // Found from here, so that nobody takes them for a leak.
        static ALL: Mutex<Vec<&'static Counts>> = Mutex::new(Vec::new());

        let counts = Box::leak(Box::<Self>::default());
        counts.clones_left.store(isize::MAX, Ordering::SeqCst);
        counts.drops_left.store(isize::MAX, Ordering::SeqCst);
        ALL.lock().unwrap().push(counts);
        counts
    }

    fn waker(&'static self) -> Waker {
        self.alive.fetch_add(1, Ordering::SeqCst);
        // SAFETY: the table upholds the contract of `RawWaker`; the data lives for ever.
        unsafe { Waker::from_raw(RawWaker::new(std::ptr::from_ref(self).cast(), &VTABLE)) }
    }

    fn alive(&self) -> isize {
        self.alive.load(Ordering::SeqCst)
    }

    fn woken(&self) -> usize {
        self.woken.load(Ordering::SeqCst)
    }
}

/// A future that keeps each waker it is handed, and wakes what it has been told to.
fn hoards(hoard: &Arc<Mutex<Vec<Waker>>>) -> impl Future<Output = ()> + Send + 'static {
    let hoard = Arc::clone(hoard);
    std::future::poll_fn(move |cx| {
        hoard.lock().unwrap().push(cx.waker().clone());
        Poll::Pending
    })
}

#[test]
fn as_many_drops_as_clones() {
    let counts = Counts::new();
    let waker = counts.waker();
    let mut cx = Context::from_waker(&waker);
    let hoard = Arc::default();
    let (inner, inner_handle) = tasktrace::traced(hoards(&hoard));
    let (outer, handle) = tasktrace::traced(inner);
    let mut outer = Box::pin(outer);
    for _ in 0..10 {
        assert!(outer.as_mut().poll(&mut cx).is_pending());
        let mut askers = [ask(&handle), ask(&inner_handle)];
        assert!(outer.as_mut().poll(&mut cx).is_pending());
        for asker in &mut askers {
            assert!(matches!(asker.poll(), Poll::Ready(Some(_))));
        }
    }
    assert_eq!(counts.woken(), 20, "once for each request");
    for waker in hoard.lock().unwrap().drain(..10) {
        waker.wake();
    }
    assert_eq!(counts.woken(), 30);
    hoard.lock().unwrap().clear();
    assert_eq!(counts.alive(), 3, "the executor's, and one for each task");
    drop(outer);
    assert_eq!(counts.alive(), 1, "a task that has finished keeps none");
    drop(waker);
    assert_eq!(counts.alive(), 0);
}

#[test]
fn a_waker_of_a_capture_outlives_everything() {
    let counts = Counts::new();
    let hoard = Arc::default();
    let (task, handle) = tasktrace::traced(hoards(&hoard));
    let thread = std::thread::spawn({
        let handle = handle.clone();
        move || {
            let waker = counts.waker();
            let mut task = Box::pin(task);
            let mut cx = Context::from_waker(&waker);
            assert!(task.as_mut().poll(&mut cx).is_pending());
            let mut asker = ask(&handle);
            assert!(task.as_mut().poll(&mut cx).is_pending());
            assert!(matches!(asker.poll(), Poll::Ready(Some(_))));
        }
    });
    thread.join().unwrap();
    // The thread, its stack and the task on it are gone. The wakers go on two other threads.
    assert!(handle.is_finished());
    drop(handle);
    let [before, captured] = <[Waker; 2]>::try_from(std::mem::take(&mut *hoard.lock().unwrap()))
        .expect("two polls are two wakers");
    assert_eq!(
        before.data(),
        captured.data(),
        "it is the real waker that was cloned"
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
fn a_waker_is_cloned_by_another_thread_while_it_is_captured() {
    let kept: Arc<Mutex<Vec<Waker>>> = Arc::default();
    let hoard = Arc::clone(&kept);
    let (mut task, handle) = task(std::future::poll_fn(move |cx| {
        let waker = cx.waker();
        std::thread::scope(|threads| {
            let threads = [(); 4].map(|()| {
                threads.spawn(|| {
                    assert!(current().is_none(), "this thread polls nothing");
                    waker.wake_by_ref();
                    hoard.lock().unwrap().push(waker.clone());
                })
            });
            // ThreadSanitizer sees that a thread is joined, but not that a scope is over.
            for thread in threads {
                thread.join().unwrap();
            }
        });
        Poll::<()>::Pending
    }));
    assert!(task.poll().is_pending());
    assert_eq!(task.wakes.count(), 4);
    let mut asker = ask(&handle);
    assert!(task.poll().is_pending());
    assert_eq!(task.wakes.count(), 9);
    let Poll::Ready(Some(trace)) = asker.poll() else {
        panic!("it was captured");
    };
    let text = trace.to_string();
    assert!(text.contains("other threads"), "{text}");
    assert!(!text.contains("nothing can wake"), "{text}");
    drop(task);
    for waker in kept.lock().unwrap().drain(..) {
        waker.wake();
    }
}

/// While one thread records its leaves, others may clone the same waker.
#[test]
fn threads_clone_while_the_poller_does() {
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
        let mut asker = ask(&handle);
        assert!(task.poll().is_pending());
        let Poll::Ready(Some(trace)) = asker.poll() else {
            panic!("it was captured");
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

/// Cloning is the executor's code, and in a capture it is called from ours: what panics for the sake of who asks does
/// not end the task, and what the leaf has done does, as it would have.
#[test]
fn a_clone_that_panics() {
    for clones in 0..3 {
        let counts = Counts::new();
        let waker = counts.waker();
        let mut cx = Context::from_waker(&waker);
        let (leaf, seen) = Leaf::new();
        let (task, handle) = tasktrace::traced(leaf);
        let mut task = Box::pin(task);
        let mut asker = ask(&handle);
        counts.clones_left.store(clones, Ordering::SeqCst);
        let poll = catch_unwind(AssertUnwindSafe(|| {
            task.as_mut().poll(&mut cx).is_pending()
        }));
        assert!(current().is_none());
        // One clone is the leaf's, and one is ours, to ask with.
        if let Err(panic) = poll {
            assert_eq!(clones, 0);
            assert_eq!(*panic.downcast::<&str>().unwrap(), "no more clones");
            assert!(matches!(asker.poll(), Poll::Ready(None)));
        } else {
            assert!(clones > 0);
            assert!(matches!(asker.poll(), Poll::Ready(Some(_))));
        }
        let error = handle.backtrace_timeout(Duration::ZERO).unwrap_err();
        let TraceError::NoAnswer { reason, .. } = error else {
            panic!("{error}");
        };
        assert_eq!(reason, NoAnswer::NotPolled, "it is not in a poll any more");

        counts.clones_left.store(isize::MAX, Ordering::SeqCst);
        let mut asker = ask(&handle);
        assert!(task.as_mut().poll(&mut cx).is_pending());
        assert!(matches!(asker.poll(), Poll::Ready(Some(_))));
        drop((task, seen));
        drop(waker);
        assert_eq!(counts.alive(), 0);
    }
}

/// Whoever asks in the first poll relies on the waker that is kept at its end.
#[test]
fn a_clone_that_panics_after_the_first_poll() {
    let counts = Counts::new();
    let waker = counts.waker();
    counts.clones_left.store(0, Ordering::SeqCst);
    let mut asker = None;
    let (task, handle) = tasktrace::traced(std::future::poll_fn(|_| {
        asker = Some(ask(&current().unwrap()));
        Poll::<()>::Pending
    }));
    let mut task = Box::pin(task);
    let poll = || task.as_mut().poll(&mut Context::from_waker(&waker));
    let polled = catch_unwind(AssertUnwindSafe(poll));
    assert!(polled.is_ok_and(|polled| polled.is_pending()));
    assert!(current().is_none());
    drop(task);
    assert!(handle.is_finished());
    assert!(matches!(asker.unwrap().poll(), Poll::Ready(None)));
}

/// To finish a task is to drop its waker.
#[test]
fn a_drop_that_panics_after_the_last_poll() {
    let counts = Counts::new();
    let waker = counts.waker();
    let mut cx = Context::from_waker(&waker);
    let mut polls = [Poll::Pending, Poll::Ready(())].into_iter();
    let (task, handle) =
        tasktrace::traced(std::future::poll_fn(move |_| polls.next().expect("two")));
    let mut task = Box::pin(task);
    assert!(task.as_mut().poll(&mut cx).is_pending());
    counts.drops_left.store(0, Ordering::SeqCst);
    let poll = catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(&mut cx).is_ready()));
    assert!(
        poll.is_ok_and(|is_ready| is_ready),
        "it is not the task that panics"
    );
    assert!(current().is_none());
    assert!(handle.is_finished());
    drop((task, handle, waker));
    assert_eq!(counts.alive(), 0);
}

/// So is dropping.
#[test]
fn a_drop_that_panics() {
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
    // The task has the last reference. Another waker takes its place, and it goes off.
    drop(waker);
    let mut asker = ask(&handle);
    let mut cx = Context::from_waker(Waker::noop());
    assert!(task.as_mut().poll(&mut cx).is_pending());
    assert!(current().is_none());
    assert!(matches!(asker.poll(), Poll::Ready(Some(_))));

    // It finishes with a bomb.
    let waker = Waker::from(Arc::new(Bomb));
    assert!(
        task.as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    drop(waker);
    let mut asker = ask(&handle);
    drop(task);
    assert!(matches!(asker.poll(), Poll::Ready(None)));
    assert!(handle.is_finished());
}

/// And so is waking, which whoever asks has done.
#[test]
fn a_wake_that_panics() {
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
    let mut asker = ask(&handle);
    let error = handle.backtrace_timeout(Duration::ZERO).unwrap_err();
    assert!(matches!(error, TraceError::NoAnswer { .. }), "{error}");
    assert!(task.as_mut().poll(&mut cx).is_pending());
    assert!(matches!(asker.poll(), Poll::Ready(Some(_))));
}

/// A waker may do anything when it is woken, also ask the task that it wakes.
#[test]
fn a_waker_that_asks() {
    struct Asks(Mutex<Option<tasktrace::TraceHandle>>, AtomicUsize);
    impl std::task::Wake for Asks {
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
    let asks = Arc::new(Asks(Mutex::new(Some(handle.clone())), AtomicUsize::new(0)));
    let waker = Waker::from(Arc::clone(&asks));
    let mut cx = Context::from_waker(&waker);
    assert!(task.as_mut().poll(&mut cx).is_pending());
    let mut asker = ask(&handle);
    // It is called by a thread of ours. Those who ask in it do not wait until it is called for them.
    wait_until(|| asks.1.load(Ordering::SeqCst) > 0);
    assert!(task.as_mut().poll(&mut cx).is_pending());
    assert!(matches!(asker.poll(), Poll::Ready(Some(_))));
    asks.0.lock().unwrap().take();
}

/// An executor that polls from within `wake`, as some do on one thread: whoever asks is the one
/// that polls.
#[test]
fn a_waker_that_polls() {
    type Task = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;
    /// Its task, unless a thread polls it, and `true` if it has been woken since.
    struct Polls(Mutex<Option<Task>>, AtomicBool);
    impl std::task::Wake for Polls {
        fn wake(self: Arc<Self>) {
            self.1.store(true, Ordering::SeqCst);
            while self.1.load(Ordering::SeqCst) {
                let Some(mut task) = self.0.lock().unwrap().take() else {
                    // The thread that polls it looks again when it has put it back.
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
    let polls = Polls(Mutex::new(Some(Box::pin(task))), AtomicBool::new(false));
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
    // The thread that has answered may not have put it back yet.
    wait_until(|| {
        let task = polls.0.lock().unwrap().take();
        task.is_some()
    });
    assert!(handle.is_finished());
}

/// The request finds the task in the middle of a poll.
#[test]
fn asked_while_it_is_polled() {
    let (go, gone) = std::sync::mpsc::channel();
    let gone = Mutex::new(gone);
    let hoard = Arc::default();
    let mut leaf = Box::pin(hoards(&hoard));
    let mut polls = 0;
    let (mut task, handle) = task(std::future::poll_fn(move |cx| {
        polls += 1;
        if polls == 2 {
            gone.lock().unwrap().recv().unwrap();
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
    let asker = ask_from_thread(&handle, &wakes);
    go.send(()).unwrap();
    let mut task = poller.join().unwrap();
    // That poll had begun before, so it takes another, and the task has been woken for it.
    assert!(task.poll().is_pending());
    assert!(asker.join().unwrap().is_ok());
}

/// The payload of a panic that panics when it is dropped.
struct Payload;

impl Drop for Payload {
    fn drop(&mut self) {
        resume_unwind(Box::new("the payload panics as well"));
    }
}

/// Panics in what it is told to.
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
        // SAFETY: all wakers of this table come from `waker`, and so point to a `Panics` that is never freed.
        let panics = unsafe { &*data.cast::<Self>() };
        if which(panics).load(Ordering::SeqCst) {
            resume_unwind(Box::new(Payload));
        }
    }

    fn waker(&'static self) -> Waker {
        // SAFETY: the functions of the table may be called by any thread, and the data lives for ever.
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

/// The payload of a panic is foreign code too, and each of several wakers may panic: those of a task and of the children
/// that it polls with wakers of their own.
#[test]
fn each_of_several_panics_and_its_payload_stay_outside_of_the_task() {
    for panics in [&IN_CLONE, &IN_WAKE, &IN_DROP] {
        let bad = ManuallyDrop::new(panics.waker());
        let mut children: Vec<_> = (0..3)
            .map(|child| Box::pin(std::future::pending::<()>().traced(format!("child {child}"))))
            .collect();
        let bad_of_children = ManuallyDrop::new(panics.waker());
        // It clones no waker: only the code under test does.
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
            let mut asker = ask(&handle);
            assert!(poll(waker).is_pending());
            assert!(matches!(asker.poll(), Poll::Ready(Some(_))));
        }
        drop(task);
        assert!(handle.is_finished());
    }
}
