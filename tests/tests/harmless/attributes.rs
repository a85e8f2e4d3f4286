//! Functions with attributes: tasks that have no record until somebody asks for a handle.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, mpsc};
use std::task::Poll;
use std::time::Duration;

use tasktrace::{NoAnswer, TraceError, TraceHandle, current, traced};

use crate::support::{Driver, LONG, Leaf, ask, block_on};

type Told = Arc<Mutex<Option<TraceHandle>>>;

/// Gives away its handle at a poll of its choice.
#[traced]
async fn tells(told: Told, leaf: Leaf, silent_polls: usize) {
    let mut leaf = leaf;
    let mut polls = 0;
    std::future::poll_fn(|cx| {
        if polls == silent_polls {
            *told.lock().unwrap() = current();
        }
        polls += 1;
        std::pin::Pin::new(&mut leaf).poll(cx)
    })
    .await;
}

#[test]
fn a_task_is_asked_from_whenever_its_handle_is_known() {
    for silent_polls in 0..3 {
        let (leaf, seen) = Leaf::new();
        let told = Told::default();
        let mut task = Driver::new(tells(Arc::clone(&told), leaf, silent_polls));
        for polls in 1..=silent_polls + 1 {
            assert!(told.lock().unwrap().is_none());
            assert!(task.poll().is_pending());
            assert_eq!((seen.polls(), seen.captures()), (polls, 0));
        }
        let handle = told.lock().unwrap().take().unwrap();
        assert!(handle.name().ends_with("attributes::tells"));
        for captures in 1..=3 {
            let mut asker = ask(&handle);
            assert_eq!(task.wakes.count(), captures);
            assert!(task.poll().is_pending());
            assert_eq!(seen.captures(), captures);
            let Poll::Ready(Some(trace)) = asker.poll() else {
                panic!("it was captured");
            };
            assert!(trace.contains("attributes::tells"), "{trace:#}");
        }
        let mut asker = ask(&handle);
        drop(task);
        assert!(matches!(asker.poll(), Poll::Ready(None)));
        assert!(handle.is_finished());
    }
}

/// Whoever asks during the first poll finds no waker to wake: it is woken for when the poll ends.
#[test]
fn asked_during_the_first_poll() {
    #[traced]
    async fn asked(tell: mpsc::Sender<TraceHandle>, go: Arc<Mutex<mpsc::Receiver<()>>>) {
        tell.send(current().unwrap()).unwrap();
        go.lock().unwrap().recv().unwrap();
        Leaf::new().0.await;
    }

    let (tell, told) = mpsc::channel();
    let (let_go, go) = mpsc::channel();
    let mut task = Driver::new(asked(tell, Arc::new(Mutex::new(go))));
    let wakes = Arc::clone(&task.wakes);
    let poller = std::thread::spawn(move || {
        assert!(task.poll().is_pending());
        task
    });
    let handle = told.recv().unwrap();
    let error = handle.backtrace_timeout(Duration::ZERO).unwrap_err();
    let TraceError::NoAnswer { reason, .. } = error else {
        panic!("it is being polled: {error}");
    };
    assert_eq!(reason, NoAnswer::Running);

    let mut asker = ask(&handle);
    assert_eq!(wakes.count(), 0);
    let_go.send(()).unwrap();
    let mut task = poller.join().unwrap();
    assert_eq!(wakes.count(), 1);
    assert!(task.poll().is_pending());
    assert!(matches!(asker.poll(), Poll::Ready(Some(_))));
}

#[test]
fn a_function_asks_for_itself_when_it_starts() {
    #[traced]
    async fn asks() -> String {
        let handle = current().unwrap();
        assert_eq!(
            handle.backtrace_timeout(LONG).unwrap_err(),
            TraceError::InsideOwnPoll
        );
        handle.backtrace().await.unwrap().to_string()
    }

    assert!(block_on(asks()).contains("asks"));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    let asked = runtime.spawn(asks());
    assert!(runtime.block_on(asked).unwrap().contains("asks"));
}

#[test]
fn a_function_that_resolves_at_once() {
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
fn a_first_poll_that_panics() {
    #[traced]
    async fn panics(told: Told) {
        *told.lock().unwrap() = current();
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

    let told = Told::default();
    let mut task = Driver::new(panics(Arc::clone(&told)));
    let panic = catch_unwind(AssertUnwindSafe(|| task.poll().is_ready())).unwrap_err();
    assert_eq!(*panic.downcast::<&str>().unwrap(), "first poll");
    assert!(current().is_none());
    let handle = told.lock().unwrap().take().unwrap();
    assert_eq!(
        handle.backtrace_timeout(LONG).unwrap_err(),
        TraceError::Finished,
        "a function that panics has dropped its body"
    );
    assert!(handle.is_finished());
}

/// A traced function in a task is no task of its own, until it is polled without the other.
#[test]
fn a_function_that_leaves_its_task() {
    let (leaf, seen) = Leaf::new();
    let told = Told::default();
    let mut inner = Box::pin(tells(Arc::clone(&told), leaf, 0));
    let (outer, outer_handle) = tasktrace::traced(std::future::poll_fn(|cx| {
        assert!(inner.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    }));
    block_on(outer);
    // It was in the other task when it asked who it is.
    let handle = told.lock().unwrap().take().unwrap();
    assert_eq!(handle.id(), outer_handle.id());
    assert!(handle.is_finished());

    let mut alone = Driver::new(inner);
    assert!(alone.poll().is_pending());
    assert_eq!(seen.captures(), 0);
    seen.finish();
    assert!(alone.poll().is_ready());
}

/// The other way round: whoever has its handle can ask for it wherever it goes.
#[test]
fn a_task_that_becomes_part_of_another() {
    let (leaf, _seen) = Leaf::new();
    let told = Told::default();
    let mut alone = Driver::new(tells(Arc::clone(&told), leaf, 0));
    assert!(alone.poll().is_pending());
    let handle = told.lock().unwrap().take().unwrap();
    let (mut outer, outer_handle) = crate::support::task(alone.into_future());
    let mut askers = [ask(&handle), ask(&outer_handle)];
    assert!(outer.poll().is_pending());
    for asker in &mut askers {
        assert!(matches!(asker.poll(), Poll::Ready(Some(_))));
    }
}

#[tasktrace::test]
async fn a_test_is_a_task() {
    let me = current().unwrap();
    assert!(me.name().ends_with("a_test_is_a_task"));
    let trace = me.backtrace().await.unwrap();
    assert!(trace.contains("a_test_is_a_task"), "{trace:#}");

    let asker = std::thread::spawn(move || me.backtrace_timeout(LONG));
    wait_until_async(|| asker.is_finished()).await;
    assert!(asker.join().unwrap().is_ok());
}

/// The runtime of the test goes on while it waits.
async fn wait_until_async(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::task::yield_now().await;
    }
}
