//! Contains tests that end: that pass, fail or panic when they run in a child process.

use std::process::ExitCode;
use std::sync::atomic::Ordering;

use tasktrace::traced;
use tokio::task::yield_now;

use crate::hung::IS_ASLEEP;
use crate::support::is_wanted;

/// The path of this file in messages.
pub(crate) const FILE: &str = file!();

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

/// A plain `#[test]`: the library sees it only in the panic hook, which the first `#[tasktrace::test]` has installed.
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

/// Panics in a task other than the test's.
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

/// The panic of the test only reports the panic of the task.
#[tasktrace::test(flavor = "multi_thread", worker_threads = 1)]
async fn panics_after_its_task() {
    if is_wanted() {
        assert!(tokio::spawn(calls(3)).await.is_ok(), "a task has panicked");
    }
}

/// `resume_unwind` calls no panic hook.
#[tasktrace::test]
async fn passes_a_panic_on() {
    if is_wanted() {
        std::panic::resume_unwind(Box::new("passed on"));
    }
}
