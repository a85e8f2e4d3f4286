//! What was written for 0.1.1 compiles and runs, and the types are as useful as they can be.

use std::fmt::{Debug, Display};
use std::marker::PhantomPinned;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::rc::Rc;

use tasktrace::{
    Frame, NoAnswer, TaskId, Trace, TraceError, TraceHandle, TracedTask, Wait, traced,
};

/// The example of the README of 0.1.1, as it stands there.
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
fn the_example_runs() {
    readme::main();
}

/// The test of 0.1.1, with what it prints looked at.
#[tokio::test]
async fn it_works() {
    let (foo_fut, trace_handle): (TracedTask<_>, TraceHandle) = traced(foo());
    tokio::spawn(foo_fut);

    let trace: Trace = trace_handle.backtrace().await.unwrap();
    let tidy = format!("{trace}");
    let full = format!("{trace:#}");
    for function in ["foo", "bar", "fiz", "buz", "baz", "pending"] {
        assert!(tidy.contains(&format!("compat::{function} ")), "{tidy}");
        // How the compiler spells it depends on its mangling: `{{closure}}` or `{closure#0}`.
        assert!(full.contains(&format!("compat::{function}::{{")), "{full}");
    }
    assert!(full.lines().count() > tidy.lines().count());
    // As 0.1.1 did: the root first, one frame a line, and the last is the clone of the waker.
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
fn none_if_the_future_is_gone() {
    let (task, handle) = traced(foo());
    drop(task);
    assert!(futures::executor::block_on(handle.backtrace()).is_none());

    let (task, handle) = traced(async {});
    futures::executor::block_on(task);
    assert!(futures::executor::block_on(handle.backtrace()).is_none());
}

/// Whether a type has a trait, where both answers are good.
///
/// The inherent constant is found before the one that all types have from the trait.
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
fn a_task_is_what_its_future_is() {
    const { assert!(has!(TracedTask<u8>: Send)) };
    const { assert!(has!(TracedTask<u8>: Sync)) };
    const { assert!(has!(TracedTask<u8>: Unpin)) };
    const { assert!(has!(TracedTask<u8>: Debug)) };
    const { assert!(!has!(TracedTask<Rc<u8>>: Send)) };
    const { assert!(!has!(TracedTask<Rc<u8>>: Sync)) };
    // Sync alone: a guard. Send alone: a cell.
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
fn what_is_asked_with_and_answered_goes_anywhere() {
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

/// Nothing needs to live for ever to be traced.
#[test]
fn a_future_may_borrow() {
    let text = String::from("borrowed");
    let (task, handle) = traced(async { text.len() });
    assert!(handle.name().contains("a_future_may_borrow"));
    assert_eq!(futures::executor::block_on(task), text.len());
}
