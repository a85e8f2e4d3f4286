//! Tests functions with `#[traced]`: tasks that have no header until a handle is requested.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, mpsc};
use std::task::Poll;
use std::time::Duration;

use tasktrace::{NoAnswer, TraceError, TraceHandle, current, traced};

use crate::support::{Driver, LONG, Leaf, block_on, start_request};

type HandleSlot = Arc<Mutex<Option<TraceHandle>>>;

/// Puts its handle into `slot` at the poll after `silent_polls` others.
#[traced]
async fn gives_handle(slot: HandleSlot, leaf: Leaf, silent_polls: usize) {
    let mut leaf = leaf;
    let mut polls = 0;
    std::future::poll_fn(|cx| {
        if polls == silent_polls {
            *slot.lock().unwrap() = current();
        }
        polls += 1;
        std::pin::Pin::new(&mut leaf).poll(cx)
    })
    .await;
}

#[test]
fn a_function_can_be_traced_as_soon_as_its_handle_is_known() {
    for silent_polls in 0..3 {
        let (leaf, seen) = Leaf::new();
        let slot = HandleSlot::default();
        let mut task = Driver::new(gives_handle(Arc::clone(&slot), leaf, silent_polls));
        for polls in 1..=silent_polls + 1 {
            assert!(slot.lock().unwrap().is_none());
            assert!(task.poll().is_pending());
            assert_eq!((seen.polls(), seen.captures()), (polls, 0));
        }
        let handle = slot.lock().unwrap().take().unwrap();
        assert!(handle.name().ends_with("attributes::gives_handle"));
        for captures in 1..=3 {
            let mut request = start_request(&handle);
            assert_eq!(task.wakes.count(), captures);
            assert!(task.poll().is_pending());
            assert_eq!(seen.captures(), captures);
            let Poll::Ready(Some(trace)) = request.poll() else {
                panic!("the request has no trace");
            };
            assert!(trace.contains("attributes::gives_handle"), "{trace:#}");
        }
        let mut request = start_request(&handle);
        drop(task);
        assert!(matches!(request.poll(), Poll::Ready(None)));
        assert!(handle.is_finished());
    }
}

/// A request during the first poll finds no waker. The task is woken for it when the poll ends.
#[test]
fn a_request_during_the_first_poll_wakes_the_task_at_its_end() {
    #[traced]
    async fn sends_handle(
        sender: mpsc::Sender<TraceHandle>,
        released: Arc<Mutex<mpsc::Receiver<()>>>,
    ) {
        sender.send(current().unwrap()).unwrap();
        released.lock().unwrap().recv().unwrap();
        Leaf::new().0.await;
    }

    let (sender, receiver) = mpsc::channel();
    let (release, released) = mpsc::channel();
    let mut task = Driver::new(sends_handle(sender, Arc::new(Mutex::new(released))));
    let wakes = Arc::clone(&task.wakes);
    let poller = std::thread::spawn(move || {
        assert!(task.poll().is_pending());
        task
    });
    let handle = receiver.recv().unwrap();
    let error = handle.backtrace_timeout(Duration::ZERO).unwrap_err();
    let TraceError::NoAnswer { reason, .. } = error else {
        panic!("the task is being polled: {error}");
    };
    assert_eq!(reason, NoAnswer::Running);

    let mut request = start_request(&handle);
    assert_eq!(wakes.count(), 0);
    release.send(()).unwrap();
    let mut task = poller.join().unwrap();
    assert_eq!(wakes.count(), 1);
    assert!(task.poll().is_pending());
    assert!(matches!(request.poll(), Poll::Ready(Some(_))));
}

#[test]
fn a_function_can_trace_itself_when_it_starts() {
    #[traced]
    async fn traces_itself() -> String {
        let handle = current().unwrap();
        assert_eq!(
            handle.backtrace_timeout(LONG).unwrap_err(),
            TraceError::InsideOwnPoll
        );
        handle.backtrace().await.unwrap().to_string()
    }

    assert!(block_on(traces_itself()).contains("traces_itself"));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    let task = runtime.spawn(traces_itself());
    assert!(runtime.block_on(task).unwrap().contains("traces_itself"));
}

#[test]
fn the_task_of_a_function_that_resolves_at_once_is_finished() {
    #[traced]
    async fn hands_out() -> TraceHandle {
        current().unwrap()
    }
    let handle = block_on(hands_out());
    assert!(handle.is_finished());
    assert!(block_on(handle.backtrace()).is_none());
}

/// The handle was given away, but the poll that made it did not return.
#[test]
fn a_function_whose_first_poll_panics_is_finished() {
    #[traced]
    async fn panics(slot: HandleSlot) {
        *slot.lock().unwrap() = current();
        let mut polls = 0;
        std::future::poll_fn(|cx| {
            let _registered = cx.waker().clone();
            polls += 1;
            if polls == 1 {
                resume_unwind(Box::new("first poll"));
            }
            Poll::<()>::Pending
        })
        .await;
    }

    let slot = HandleSlot::default();
    let mut task = Driver::new(panics(Arc::clone(&slot)));
    let panic = catch_unwind(AssertUnwindSafe(|| task.poll().is_ready())).unwrap_err();
    assert_eq!(*panic.downcast::<&str>().unwrap(), "first poll");
    assert!(current().is_none());
    let handle = slot.lock().unwrap().take().unwrap();
    assert_eq!(
        handle.backtrace_timeout(LONG).unwrap_err(),
        TraceError::Finished,
        "a function that panics has dropped its body"
    );
    assert!(handle.is_finished());
}

/// A traced function in a task is a frame of that task, until it is polled outside of it.
#[test]
fn a_function_that_leaves_its_task_becomes_a_task() {
    let (leaf, seen) = Leaf::new();
    let slot = HandleSlot::default();
    let mut inner = Box::pin(gives_handle(Arc::clone(&slot), leaf, 0));
    let (outer, outer_handle) = tasktrace::traced(std::future::poll_fn(|cx| {
        assert!(inner.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    }));
    block_on(outer);
    // The function was in the other task when it called `current`.
    let handle = slot.lock().unwrap().take().unwrap();
    assert_eq!(handle.id(), outer_handle.id());
    assert!(handle.is_finished());

    let mut alone = Driver::new(inner);
    assert!(alone.poll().is_pending());
    assert_eq!(seen.captures(), 0);
    seen.finish();
    assert!(alone.poll().is_ready());
}

/// A handle of a function can request a trace also when the function is polled inside of another task.
#[test]
fn a_task_that_moves_into_another_task_is_still_answered_for() {
    let (leaf, _seen) = Leaf::new();
    let slot = HandleSlot::default();
    let mut alone = Driver::new(gives_handle(Arc::clone(&slot), leaf, 0));
    assert!(alone.poll().is_pending());
    let handle = slot.lock().unwrap().take().unwrap();
    let (mut outer, outer_handle) = crate::support::task(alone.into_future());
    let mut requests = [start_request(&handle), start_request(&outer_handle)];
    assert!(outer.poll().is_pending());
    for request in &mut requests {
        assert!(matches!(request.poll(), Poll::Ready(Some(_))));
    }
}

#[tasktrace::test]
async fn a_test_is_a_task() {
    let me = current().unwrap();
    assert!(me.name().ends_with("a_test_is_a_task"));
    let trace = me.backtrace().await.unwrap();
    assert!(trace.contains("a_test_is_a_task"), "{trace:#}");

    let request = std::thread::spawn(move || me.backtrace_timeout(LONG));
    wait_until_async(|| request.is_finished()).await;
    assert!(request.join().unwrap().is_ok());
}

/// Waits until `condition` returns `true`. The runtime of the test goes on meanwhile.
async fn wait_until_async(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::task::yield_now().await;
    }
}
