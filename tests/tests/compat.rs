//! Tests that code written for 0.1.1 compiles and runs, and that types implement the traits that they can.

use std::fmt::{Debug, Display};
use std::marker::PhantomPinned;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::rc::Rc;

use tasktrace::{
    Frame, NoAnswer, TaskId, Trace, TraceError, TraceHandle, TracedTask, Wait, traced,
};

/// The example in the README of 0.1.1, unchanged.
#[rustfmt::skip]
mod readme {
    #[tokio::main]
    pub(super) async fn main() {
        let (foo_fut, trace_handle) = tasktrace::traced(foo());
        tokio::spawn(foo_fut);

        println!("{}", trace_handle.backtrace().await.unwrap());
    }

    async fn pending() {
        let mut waker = None;
        std::future::poll_fn(|cx| {
            // Pretend to stash the waker for some future time like a real leaf Future would do.
            // This is what records the stacktrace.
            waker = Some(cx.waker().clone());
            std::task::Poll::Pending
        }).await
    }

    async fn foo() {
        bar().await;
    }

    async fn bar() {
        tokio::join!(fiz(), buz());
    }

    async fn fiz() {
        pending().await;
    }

    async fn buz() {
        baz().await;
    }

    async fn baz() {
        pending().await;
    }
}

#[test]
fn the_example_of_the_old_readme_runs() {
    readme::main();
}

/// The test of 0.1.1, with assertions about its output.
#[tokio::test]
async fn the_test_of_the_old_version_passes() {
    let (foo_fut, trace_handle): (TracedTask<_>, TraceHandle) = traced(foo());
    tokio::spawn(foo_fut);

    let trace: Trace = trace_handle.backtrace().await.unwrap();
    let tidy = format!("{trace}");
    let full = format!("{trace:#}");
    for function in ["foo", "bar", "fiz", "buz", "baz", "pending"] {
        assert!(tidy.contains(&format!("compat::{function} ")), "{tidy}");
        // The compiler's symbol mangling decides the spelling: `{{closure}}` or `{closure#0}`.
        assert!(full.contains(&format!("compat::{function}::{{")), "{full}");
    }
    assert!(full.lines().count() > tidy.lines().count());
    // The output of 0.1.1 has the root first and one frame a line, and ends with the clone of the waker.
    assert!(full.starts_with("╼ "), "{full}");
    assert!(
        full.contains("Waker as core::clone::Clone>::clone"),
        "{full}"
    );
}

async fn pending() {
    let mut waker = None;
    std::future::poll_fn(|cx| {
        waker = Some(cx.waker().clone());
        std::task::Poll::Pending
    })
    .await
}

async fn foo() {
    bar().await;
}

async fn bar() {
    tokio::join!(fiz(), buz());
}

async fn fiz() {
    pending().await;
}

async fn buz() {
    baz().await;
}

async fn baz() {
    pending().await;
}

#[test]
fn a_dropped_task_has_no_backtrace() {
    let (task, handle) = traced(foo());
    drop(task);
    assert!(futures::executor::block_on(handle.backtrace()).is_none());

    let (task, handle) = traced(async {});
    futures::executor::block_on(task);
    assert!(futures::executor::block_on(handle.backtrace()).is_none());
}

/// Evaluates to `true` if a type implements a trait.
///
/// The compiler finds the inherent constant before the one that all types have from the trait.
macro_rules! has {
    ($type:ty: $($bound:tt)+) => {{
        #[allow(dead_code, reason = "of the two constants, one is used")]
        trait Fallback {
            const HAS: bool = false;
        }
        impl<T> Fallback for Of<T> {}
        struct Of<T>(std::marker::PhantomData<T>);
        #[allow(dead_code, reason = "of the two constants, one is used")]
        impl<T: $($bound)+> Of<T> {
            const HAS: bool = true;
        }
        Of::<$type>::HAS
    }};
}

#[test]
fn a_task_implements_the_auto_traits_of_its_future() {
    const { assert!(has!(TracedTask<u8>: Send)) };
    const { assert!(has!(TracedTask<u8>: Sync)) };
    const { assert!(has!(TracedTask<u8>: Unpin)) };
    const { assert!(has!(TracedTask<u8>: Debug)) };
    const { assert!(!has!(TracedTask<Rc<u8>>: Send)) };
    const { assert!(!has!(TracedTask<Rc<u8>>: Sync)) };
    // A guard is only `Sync`, a cell is only `Send`.
    type SyncOnly = std::sync::MutexGuard<'static, u8>;
    const { assert!(has!(TracedTask<SyncOnly>: Sync)) };
    const { assert!(!has!(TracedTask<SyncOnly>: Send)) };
    type SendOnly = std::cell::Cell<u8>;
    const { assert!(has!(TracedTask<SendOnly>: Send)) };
    const { assert!(!has!(TracedTask<SendOnly>: Sync)) };
    const { assert!(!has!(TracedTask<PhantomPinned>: Unpin)) };
    const { assert!(has!(TracedTask<std::future::Ready<u8>>: Future)) };
    const { assert!(!has!(TracedTask<u8>: Future)) };
    const { assert!(has!(TracedTask<u8>: UnwindSafe)) };
    const { assert!(!has!(TracedTask<&mut u8>: UnwindSafe)) };
}

#[test]
fn handles_traces_and_errors_can_be_shared_between_threads() {
    fn anywhere<T: Clone + Debug + Send + Sync + Unpin + 'static>() {}
    fn shared<T: Debug + Send + Sync + Unpin + 'static>() {}
    fn error<T: std::error::Error + Display + PartialEq>() {}

    anywhere::<TraceHandle>();
    anywhere::<Trace>();
    anywhere::<TraceError>();
    anywhere::<NoAnswer>();
    anywhere::<TaskId>();
    anywhere::<Wait>();
    shared::<Frame>();
    error::<TraceError>();
    const { assert!(has!(Trace: Display)) };
    const { assert!(has!(TaskId: Display)) };
    const { assert!(has!(NoAnswer: Display)) };
    const { assert!(has!(Trace: UnwindSafe)) };
    const { assert!(has!(Trace: RefUnwindSafe)) };
    const { assert!(has!(TraceHandle: UnwindSafe)) };
    const { assert!(has!(TraceHandle: RefUnwindSafe)) };

    fn spawnable<T: Future + Send>(_: T) {}
    let (_task, handle) = traced(foo());
    spawnable(async move { handle.backtrace().await });
}

/// A traced future need not be `'static`.
#[test]
fn a_traced_future_may_borrow() {
    let text = String::from("borrowed");
    let (task, handle) = traced(async { text.len() });
    assert!(handle.name().contains("a_traced_future_may_borrow"));
    assert_eq!(futures::executor::block_on(task), text.len());
}
