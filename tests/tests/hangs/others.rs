//! Tests that end, one way or the other.

use std::process::ExitCode;
use std::sync::atomic::Ordering;

use tasktrace::traced;
use tokio::task::yield_now;

use crate::hung::IS_ASLEEP;
use crate::support::is_wanted;

#[tasktrace::test]
async fn passes() {
    tokio::spawn(works()).await.unwrap();
}

#[traced]
async fn works() {
    yield_now().await;
}

#[tasktrace::test]
async fn panics() {
    if is_wanted() {
        calls(1).await;
    }
}

/// Not one of ours: only the panic hook sees it, which the first of ours has installed.
#[test]
fn plain() {
    if is_wanted() {
        while !IS_ASLEEP.load(Ordering::Acquire) {
            std::thread::yield_now();
        }
        panic!("plainly on purpose");
    }
}

#[traced("call {number}")]
async fn calls(number: u32) {
    yield_now().await;
    fails(number).await;
}

async fn fails(number: u32) {
    assert_eq!(number, 0, "on purpose");
}

/// In a task of its own.
#[tasktrace::test(flavor = "multi_thread", worker_threads = 1)]
async fn panics_elsewhere() {
    if is_wanted() {
        tokio::spawn(calls(2)).await.unwrap();
    }
}

#[tasktrace::test]
async fn returns_an_error() -> Result<(), String> {
    yield_now().await;
    match is_wanted() {
        true => Err("an error on purpose".to_owned()),
        false => Ok(()),
    }
}

#[tasktrace::test]
async fn returns_an_exit_code() -> ExitCode {
    match is_wanted() {
        true => ExitCode::from(3),
        false => ExitCode::SUCCESS,
    }
}

#[tasktrace::test]
#[should_panic(expected = "as expected")]
async fn panics_as_expected() {
    calls_to_panic("as expected").await;
}

#[tasktrace::test]
#[should_panic = "as expected"]
async fn panics_otherwise() {
    let message = if is_wanted() {
        "otherwise"
    } else {
        "as expected"
    };
    calls_to_panic(message).await;
}

#[tasktrace::test]
#[should_panic]
async fn does_not_panic() {
    if !is_wanted() {
        calls_to_panic("as it should").await;
    }
}

#[traced]
async fn calls_to_panic(message: &str) {
    yield_now().await;
    panic!("{message}");
}

/// The panic of the test only says that there was another.
#[tasktrace::test(flavor = "multi_thread", worker_threads = 1)]
async fn panics_after_its_task() {
    if is_wanted() {
        assert!(tokio::spawn(calls(3)).await.is_ok(), "a task has panicked");
    }
}

/// No panic hook is called.
#[tasktrace::test]
async fn passes_a_panic_on() {
    if is_wanted() {
        std::panic::resume_unwind(Box::new("passed on"));
    }
}
