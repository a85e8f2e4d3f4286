//! Stacks that are not as simple as they look: switched, interleaved, or with large frames.

use std::cell::RefCell;
use std::future::Future;
use std::task::{Context, Poll, Waker};

use corosensei::stack::{DefaultStack, Stack as _};
use corosensei::{Coroutine, CoroutineResult};
use tasktrace::{Trace, current};

use crate::support::{Leaf, ask, task};

const STACK: usize = 1 << 20;

/// Polls the future inside of it through `call`, which may do with the stack as it likes.
async fn through<F: Future>(call: impl Fn(&mut dyn FnMut()), inner: F) -> F::Output {
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
    let (mut task, handle) = task(through(call, deep_inside()));
    for _ in 0..3 {
        let mut asker = ask(&handle);
        assert!(task.poll().is_pending());
        let Poll::Ready(Some(trace)) = asker.poll() else {
            panic!("it was captured");
        };
        assert_eq!(trace.leaves().len(), 1, "{trace}");
        let plain = trace.to_string();
        assert!(trace.contains("deep_inside"), "{plain}\n{trace:#}");
        assert!(trace.contains("through"), "{plain}\n{trace:#}");
        assert!(!plain.contains("(unknown function)"), "{plain}\n{trace:#}");
        assert!(current().is_none());
    }
}

#[test]
fn a_stack_that_grows() {
    check(|poll| stacker::grow(STACK, poll));
    // Twice over.
    check(|poll| stacker::grow(STACK, || stacker::grow(STACK, &mut *poll)));
}

/// Calls `poll` on `stack`.
fn on_stack(stack: &RefCell<DefaultStack>, poll: &mut dyn FnMut()) {
    corosensei::on_stack(&mut *stack.borrow_mut(), poll);
}

#[test]
fn a_stack_that_is_switched() {
    let mut stacks = [(); 2].map(|()| DefaultStack::new(STACK).unwrap());
    stacks.sort_by_key(|stack| stack.base());
    let [low, high] = stacks.map(RefCell::new);
    // The task is polled on one stack and waits on the other, which is below it or above.
    on_stack(&high, &mut || check(|poll| on_stack(&low, poll)));
    on_stack(&low, &mut || check(|poll| on_stack(&high, poll)));
    // There and back again.
    let third = RefCell::new(DefaultStack::new(STACK).unwrap());
    on_stack(&low, &mut || {
        check(|poll| on_stack(&high, &mut || on_stack(&third, poll)));
    });
    check(|poll| on_stack(&low, poll));
}

/// A step of the walk that is as large as one from stack to stack.
#[test]
fn a_frame_that_is_large() {
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

/// A task in a task, each on a stack of its own: a leaf belongs to both.
#[test]
fn tasks_on_different_stacks() {
    let mut stacks = [(); 2].map(|()| DefaultStack::new(STACK).unwrap());
    stacks.sort_by_key(|stack| stack.base());
    let [low, high] = &stacks.map(RefCell::new);
    for (first, second) in [(low, high), (high, low)] {
        on_stack(first, &mut || {
            let (inner, inner_handle) = tasktrace::traced(deep_inside());
            let (mut outer, outer_handle) = task(through(|poll| on_stack(second, poll), inner));
            let mut askers = [ask(&inner_handle), ask(&outer_handle)];
            assert!(outer.poll().is_pending());
            for (asker, is_outer) in askers.iter_mut().zip([false, true]) {
                let Poll::Ready(Some(trace)) = asker.poll() else {
                    panic!("it was captured");
                };
                assert!(trace.contains("deep_inside"), "{trace}\n{trace:#}");
                assert_eq!(trace.contains("through"), is_outer, "{trace}\n{trace:#}");
                let root = if is_outer {
                    "::through"
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

/// A coroutine may be suspended while it polls a task. Then another can poll, and the two need not
/// leave in the order in which they came.
#[test]
fn polls_that_are_interleaved() {
    type Suspends = Coroutine<(), (), ()>;

    /// A coroutine that polls a task, in which it is suspended twice.
    fn polls() -> Suspends {
        Suspends::new(|suspend, ()| {
            let (task, handle) = tasktrace::traced(std::future::poll_fn(|cx| {
                let mine = current().unwrap().id();
                suspend.suspend(());
                // Which of those that are suspended is the current one cannot be told, but it is
                // one that is alive.
                assert!(!current().unwrap().is_finished());
                assert!(!Trace::here().unwrap().to_string().is_empty());
                let _registered = cx.waker().clone();
                suspend.suspend(());
                assert!(!current().unwrap().is_finished());
                Poll::Ready(mine)
            }));
            let mut asker = ask(&handle);
            let mut task = std::pin::pin!(task);
            let mut cx = Context::from_waker(Waker::noop());
            assert_eq!(task.as_mut().poll(&mut cx), Poll::Ready(handle.id()));
            assert!(asker.poll().is_ready());
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
        let mut coroutines = [(); 3].map(|()| polls());
        for number in order {
            resume(&mut coroutines[*number]);
        }
        drop(coroutines);
        assert!(current().is_none(), "{order:?}");
    }

    // Suspended in a poll when they are dropped, which unwinds them: the first first.
    let (mut first, mut second) = (polls(), polls());
    assert!(resume(&mut first) && resume(&mut second));
    drop(first);
    assert!(resume(&mut second));
    drop(second);
    assert!(current().is_none());
}

/// A coroutine that is suspended in the poll of a frame can outlive the task.
#[test]
fn a_frame_outlives_the_task_that_polls_it() {
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

/// What the future resolves to is in the frames through which it is passed.
#[test]
fn a_result_that_is_large() {
    async fn large() -> [u8; 100_000] {
        deep_inside().await;
        [0; 100_000]
    }
    let (mut task, handle) = task(large());
    let mut asker = ask(&handle);
    assert!(task.poll().is_pending());
    let Poll::Ready(Some(trace)) = asker.poll() else {
        panic!("it was captured");
    };
    let [root] = trace.frames() else {
        panic!("{trace}");
    };
    assert!(root.name().ends_with("large"), "{trace}");
    assert!(trace.contains("deep_inside"), "{trace:#}");
}

/// As above, with a frame that is still being polled when the poll of the task that it began in
/// has ended.
#[test]
fn a_frame_that_is_polled_for_longer_than_its_task() {
    #[tasktrace::traced]
    async fn frame() {
        Leaf::new().0.await;
    }

    for asked in [false, true] {
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
        let asker = asked.then(|| ask(&handle));
        assert!(task.poll().is_ready());
        drop((task, asker, handle));
        // Its record belongs to another task now.
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
