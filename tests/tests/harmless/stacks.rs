//! Tests captures on stacks that are switched, interleaved, or have large frames.

use std::cell::RefCell;
use std::future::Future;
use std::task::{Context, Poll, Waker};

use corosensei::stack::{DefaultStack, Stack as _};
use corosensei::{Coroutine, CoroutineResult};
use tasktrace::{Trace, current};

use crate::support::{Leaf, start_request, task};

const STACK: usize = 1 << 20;

/// Polls `inner` inside of `call`, which may switch the stack.
async fn polls_through<F: Future>(call: impl Fn(&mut dyn FnMut()), inner: F) -> F::Output {
    let mut inner = std::pin::pin!(inner);
    std::future::poll_fn(|cx| {
        let mut result = Poll::Pending;
        call(&mut || result = inner.as_mut().poll(cx));
        result
    })
    .await
}

async fn deep_inside() -> bool {
    let here = Trace::here().expect("in a task");
    assert!(!here.frames().is_empty());
    assert!(here.contains("deep_inside"), "{here:#}");
    Leaf::new().0.await;
    true
}

#[track_caller]
fn check(call: impl Fn(&mut dyn FnMut())) {
    let (mut task, handle) = task(polls_through(call, deep_inside()));
    for _ in 0..3 {
        let mut request = start_request(&handle);
        assert!(task.poll().is_pending());
        let Poll::Ready(Some(trace)) = request.poll() else {
            panic!("the request has no trace");
        };
        assert_eq!(trace.leaves().len(), 1, "{trace}");
        let plain = trace.to_string();
        assert!(trace.contains("deep_inside"), "{plain}\n{trace:#}");
        assert!(trace.contains("polls_through"), "{plain}\n{trace:#}");
        assert!(!plain.contains("(unknown function)"), "{plain}\n{trace:#}");
        assert!(current().is_none());
    }
}

#[test]
fn a_stack_that_grows_is_captured_whole() {
    check(|poll| stacker::grow(STACK, poll));
    // Grows twice: inside of itself too.
    check(|poll| stacker::grow(STACK, || stacker::grow(STACK, &mut *poll)));
}

/// Calls `poll` on `stack`.
fn on_stack(stack: &RefCell<DefaultStack>, poll: &mut dyn FnMut()) {
    corosensei::on_stack(&mut *stack.borrow_mut(), poll);
}

#[test]
fn a_stack_that_is_switched_is_captured_whole() {
    let mut stacks = [(); 2].map(|()| DefaultStack::new(STACK).unwrap());
    stacks.sort_by_key(|stack| stack.base());
    let [low, high] = stacks.map(RefCell::new);
    // The task is polled on one stack, and waits on the other, which may be at a lower or a higher address.
    on_stack(&high, &mut || check(|poll| on_stack(&low, poll)));
    on_stack(&low, &mut || check(|poll| on_stack(&high, poll)));
    // Switches to the other stack and back.
    let third = RefCell::new(DefaultStack::new(STACK).unwrap());
    on_stack(&low, &mut || {
        check(|poll| on_stack(&high, &mut || on_stack(&third, poll)));
    });
    check(|poll| on_stack(&low, poll));
}

/// The stack walk takes a step that is as large as one between two stacks.
#[test]
fn a_large_stack_frame_is_captured() {
    #[inline(never)]
    fn on_top_of(poll: &mut dyn FnMut()) {
        let large = std::hint::black_box([1_u8; 3 * STACK]);
        poll();
        std::hint::black_box(large);
    }
    let thread = std::thread::Builder::new().stack_size(16 * STACK);
    let checks = thread.spawn(|| check(on_top_of)).unwrap();
    checks.join().unwrap();
}

/// A task is polled by another task, each on a stack of its own. A leaf belongs to both.
#[test]
fn tasks_on_different_stacks_are_captured_whole() {
    let mut stacks = [(); 2].map(|()| DefaultStack::new(STACK).unwrap());
    stacks.sort_by_key(|stack| stack.base());
    let [low, high] = &stacks.map(RefCell::new);
    for (first, second) in [(low, high), (high, low)] {
        on_stack(first, &mut || {
            let (inner, inner_handle) = tasktrace::traced(deep_inside());
            let (mut outer, outer_handle) =
                task(polls_through(|poll| on_stack(second, poll), inner));
            let mut requests = [start_request(&inner_handle), start_request(&outer_handle)];
            assert!(outer.poll().is_pending());
            for (request, is_outer) in requests.iter_mut().zip([false, true]) {
                let Poll::Ready(Some(trace)) = request.poll() else {
                    panic!("the request has no trace");
                };
                assert!(trace.contains("deep_inside"), "{trace}\n{trace:#}");
                assert_eq!(
                    trace.contains("polls_through"),
                    is_outer,
                    "{trace}\n{trace:#}"
                );
                let root = if is_outer {
                    "::polls_through"
                } else {
                    "::deep_inside"
                };
                assert!(
                    trace.frames()[0].name().ends_with(root),
                    "{trace}\n{trace:#}"
                );
            }
        });
    }
}

/// A coroutine may be suspended while it polls a task. Then another coroutine can poll, and the two polls can end in
/// any order.
#[test]
fn polls_that_are_interleaved() {
    type Suspends = Coroutine<(), (), ()>;

    /// Returns a coroutine that polls a task, and is suspended twice in that poll.
    fn suspends_in_poll() -> Suspends {
        Suspends::new(|suspend, ()| {
            let (task, handle) = tasktrace::traced(std::future::poll_fn(|cx| {
                let mine = current().unwrap().id();
                suspend.suspend(());
                // The current task cannot be known among the suspended ones, but it must be one that is alive.
                assert!(!current().unwrap().is_finished());
                assert!(!Trace::here().unwrap().to_string().is_empty());
                let _registered = cx.waker().clone();
                suspend.suspend(());
                assert!(!current().unwrap().is_finished());
                Poll::Ready(mine)
            }));
            let mut request = start_request(&handle);
            let mut task = std::pin::pin!(task);
            let mut cx = Context::from_waker(Waker::noop());
            assert_eq!(task.as_mut().poll(&mut cx), Poll::Ready(handle.id()));
            assert!(request.poll().is_ready());
        })
    }

    fn resume(coroutine: &mut Suspends) -> bool {
        matches!(coroutine.resume(()), CoroutineResult::Yield(()))
    }

    let orders: [&[usize]; 4] = [
        &[0, 1, 0, 0, 1, 1],
        &[0, 1, 1, 0, 0, 1],
        &[0, 1, 2, 1, 1, 0, 0, 2, 2],
        &[0, 1, 2, 0, 0, 2, 2, 1, 1],
    ];
    for order in orders {
        let mut coroutines = [(); 3].map(|()| suspends_in_poll());
        for number in order {
            resume(&mut coroutines[*number]);
        }
        drop(coroutines);
        assert!(current().is_none(), "{order:?}");
    }

    // The coroutines are dropped while they are suspended in a poll, which unwinds them in the order of their creation.
    let (mut first, mut second) = (suspends_in_poll(), suspends_in_poll());
    assert!(resume(&mut first) && resume(&mut second));
    drop(first);
    assert!(resume(&mut second));
    drop(second);
    assert!(current().is_none());
}

#[test]
fn a_suspended_poll_of_a_frame_may_outlive_its_task() {
    #[tasktrace::traced]
    async fn inside(suspends: impl Fn()) {
        suspends();
        drop(current());
        Leaf::new().0.await;
    }
    let mut coroutine = Coroutine::<(), (), ()>::new(|suspend, ()| {
        let mut inside = Box::pin(inside(|| suspend.suspend(())));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(inside.as_mut().poll(&mut cx).is_pending());
    });
    let (mut first, handle) = task(std::future::poll_fn(|_| {
        let _suspended = coroutine.resume(());
        Poll::<()>::Pending
    }));
    assert!(first.poll().is_pending());
    drop((first, handle));
    assert!(matches!(coroutine.resume(()), CoroutineResult::Return(())));
    let [(_one, one), (_two, two)] = [(); 2].map(|()| task(std::future::pending::<()>()));
    assert_ne!(one.id(), two.id());
    assert!(current().is_none());
}

/// The output of the future lies in the stack frames through which it is returned.
#[test]
fn a_large_output_is_captured() {
    async fn large() -> [u8; 100_000] {
        deep_inside().await;
        [0; 100_000]
    }
    let (mut task, handle) = task(large());
    let mut request = start_request(&handle);
    assert!(task.poll().is_pending());
    let Poll::Ready(Some(trace)) = request.poll() else {
        panic!("the request has no trace");
    };
    let [root] = trace.frames() else {
        panic!("{trace}");
    };
    assert!(root.name().ends_with("large"), "{trace}");
    assert!(trace.contains("deep_inside"), "{trace:#}");
}

/// As above, but the poll of the frame goes on after the poll of the task in which it began has ended.
#[test]
fn a_poll_of_a_frame_may_outlast_the_poll_of_its_task() {
    #[tasktrace::traced]
    async fn frame() {
        Leaf::new().0.await;
    }

    for is_requested in [false, true] {
        let inner = std::cell::Cell::new(None::<Coroutine<(), (), ()>>);
        let (mut task, handle) = task(std::future::poll_fn(|_| {
            // A coroutine that is suspended while it polls a frame.
            let mut coroutine = Coroutine::<(), (), ()>::new(|suspend, ()| {
                let mut frame = Box::pin(async {
                    let mut inside = std::pin::pin!(frame());
                    std::future::poll_fn(|cx| {
                        assert!(inside.as_mut().poll(cx).is_pending());
                        suspend.suspend(());
                        assert!(inside.as_mut().poll(cx).is_pending());
                        let _ = (current(), Trace::here());
                        Poll::<()>::Pending
                    })
                    .await;
                });
                let mut traced = Box::pin(tasktrace::TracedExt::traced(frame.as_mut(), "outer"));
                let mut cx = Context::from_waker(Waker::noop());
                assert!(traced.as_mut().poll(&mut cx).is_pending());
            });
            assert!(matches!(coroutine.resume(()), CoroutineResult::Yield(())));
            inner.set(Some(coroutine));
            Poll::Ready(())
        }));
        let request = is_requested.then(|| start_request(&handle));
        assert!(task.poll().is_ready());
        drop((task, request, handle));
        // The header of its task belongs to another task now.
        let (mut other, other_handle) = crate::support::task(async { Leaf::new().0.await });
        assert!(other.poll().is_pending());
        let mut coroutine = inner.take().unwrap();
        assert!(matches!(coroutine.resume(()), CoroutineResult::Return(())));
        drop(coroutine);
        assert!(current().is_none());
        assert!(!other_handle.snapshot().contains("outer"));
        drop(other);
    }
}
