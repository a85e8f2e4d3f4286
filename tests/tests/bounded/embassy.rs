//! Tests an executor whose leaves need its own wakers, as embassy's do: they find the task in the waker.

use std::future::Future;
use std::pin::Pin;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tasktrace::{Source, TraceError, TracedExt, traced};

use self::embassy_executor::raw::waker;
use crate::alone;

/// The library recognises embassy by the names of these functions.
mod embassy_executor {
    pub(super) mod raw {
        pub(in super::super) mod waker {
            use std::sync::atomic::{AtomicUsize, Ordering};
            use std::task::{RawWaker, RawWakerVTable, Waker};

            /// Counts how often it is woken. Tasks are never freed.
            pub(in super::super::super) type Task = AtomicUsize;

            static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake, drop);

            pub(in super::super::super) fn from_task(task: &'static Task) -> Waker {
                let data = std::ptr::from_ref(task).cast();
                // SAFETY: the task is static and atomic, so the functions of the vtable may use it at any time, on any thread.
                unsafe { Waker::from_raw(RawWaker::new(data, &VTABLE)) }
            }

            pub(in super::super::super) fn task_from_waker(waker: &Waker) -> &Task {
                assert!(
                    std::ptr::eq(waker.vtable(), &raw const VTABLE),
                    "found a waker that was not made by this executor"
                );
                // SAFETY: the assertion above proves that the waker is from `from_task`, so its data is a static task.
                unsafe { &*waker.data().cast() }
            }

            unsafe fn clone(data: *const ()) -> RawWaker {
                RawWaker::new(data, &VTABLE)
            }

            unsafe fn wake(data: *const ()) {
                // SAFETY: only `from_task` and `clone` create wakers with this vtable, so the data is a static task.
                unsafe { &*data.cast::<Task>() }.fetch_add(1, Ordering::SeqCst);
            }

            unsafe fn drop(_: *const ()) {}
        }
    }
}

/// A leaf that finds its task in the waker.
async fn timer() {
    std::future::poll_fn(|cx| {
        waker::task_from_waker(cx.waker());
        let _registered = cx.waker().clone();
        Poll::<()>::Pending
    })
    .await;
}

#[tasktrace::traced]
async fn blinks() {
    timer().traced("the timer").await;
}

fn poll<F: Future>(future: Pin<&mut F>, task: &'static waker::Task) -> Poll<F::Output> {
    let waker = waker::from_task(task);
    future.poll(&mut Context::from_waker(&waker))
}

#[test]
fn tasks_of_embassy_are_not_captured() {
    let _alone = alone();
    let task: &'static _ = Box::leak(Box::new(AtomicUsize::new(0)));
    let (future, handle) = traced(blinks());
    let mut future = Box::pin(future);
    assert!(poll(future.as_mut(), task).is_pending());
    for _ in 0..2 {
        let error = handle.backtrace_timeout(Duration::from_secs(60));
        assert_eq!(error.unwrap_err(), TraceError::OwnWakers);
        assert!(poll(future.as_mut(), task).is_pending());
    }
    assert_eq!(
        task.load(Ordering::SeqCst),
        0,
        "the task was woken for a request that it cannot answer"
    );

    let dump = tasktrace::dump_blocking(Duration::from_secs(1));
    let dumped = dump.get(handle.id()).expect("the dump lists the task");
    let error = Some(TraceError::OwnWakers);
    assert_eq!(*dumped.source(), Source::Snapshot { error });
    assert!(dumped.trace().contains("the timer"), "{dump}");
}

/// In a stripped program the functions of the executor have no names.
#[cfg(target_os = "linux")]
#[test]
fn tasks_of_embassy_in_a_stripped_program_are_not_captured() {
    let directory = std::env::temp_dir();
    let program = directory.join(format!("tasktrace-stripped-{}", std::process::id()));
    let mut strip = Command::new("strip");
    strip
        .arg("-o")
        .arg(&program)
        .arg(std::env::current_exe().unwrap());
    if !strip.output().is_ok_and(|output| output.status.success()) {
        println!("not run: there is no `strip`, or it is refused");
        return;
    }
    let output = Command::new(&program)
        .args(["--exact", "embassy::tasks_of_embassy_are_not_captured"])
        .output();
    let _ = std::fs::remove_file(&program);
    let output = output.unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(stdout.contains("1 passed"), "{stdout}");
}

/// Before the first poll there is no waker to check, so the task answers the request.
#[test]
fn a_request_before_the_first_poll_of_an_embassy_task_is_answered_without_a_trace() {
    let _alone = alone();
    let task: &'static _ = Box::leak(Box::new(AtomicUsize::new(0)));
    let (future, handle) = traced(blinks());
    let mut future = Box::pin(future);
    let mut request = Box::pin(handle.backtrace());
    let mut cx = Context::from_waker(Waker::noop());
    assert!(request.as_mut().poll(&mut cx).is_pending());
    assert!(poll(future.as_mut(), task).is_pending());
    assert!(poll(future.as_mut(), task).is_pending());
    assert!(matches!(request.as_mut().poll(&mut cx), Poll::Ready(None)));
}

/// A captured task of another executor polls futures with embassy's wakers. Only those futures are not captured.
#[test]
fn a_captured_task_may_poll_futures_with_wakers_of_embassy() {
    let _alone = alone();
    let inner: &'static _ = Box::leak(Box::new(AtomicUsize::new(0)));
    let (future, handle) = traced(async move {
        let mut blinks = Box::pin(blinks());
        let (task, _handle) = traced(timer());
        let mut task = Box::pin(task);
        let mut children: FuturesUnordered<_> =
            [std::future::pending::<()>()].into_iter().collect();
        std::future::poll_fn(|cx| {
            assert!(poll(blinks.as_mut(), inner).is_pending());
            assert!(poll(task.as_mut(), inner).is_pending());
            assert!(children.poll_next_unpin(cx).is_pending());
            let _registered = cx.waker().clone();
            Poll::<()>::Pending
        })
        .await;
    });
    let mut future = Box::pin(future);
    let mut cx = Context::from_waker(Waker::noop());
    assert!(future.as_mut().poll(&mut cx).is_pending());
    let mut request = Box::pin(handle.backtrace());
    assert!(request.as_mut().poll(&mut cx).is_pending());
    assert!(future.as_mut().poll(&mut cx).is_pending());
    let Poll::Ready(Some(trace)) = request.as_mut().poll(&mut cx) else {
        panic!("the request was not answered");
    };
    assert!(trace.contains("the timer"), "{trace}");
}
