//! Tests `#[traced]` functions on the stack of an interrupted thread.

use tasktrace::traced;
use tasktrace_tests::multi_thread;
use tasktrace_tests::sampled::{Site, alone, sample_until, short};

use crate::support::sleep;

#[traced("number {number}")]
async fn outer(number: u32, site: Site, suspends: bool) {
    if suspends {
        tokio::task::yield_now().await;
    }
    plain(number, site).await;
}

async fn plain(number: u32, site: Site) {
    middle(number, site).await;
}

#[traced]
async fn middle(number: u32, site: Site) {
    inner(number + 1, site).await;
}

#[traced("number {}", number)]
async fn inner(number: u32, site: Site) {
    tokio::join!(suspended(), plain_inner(site));
}

/// A frame beside the one that blocks.
#[traced]
async fn suspended() {
    std::future::pending::<()>().await;
}

async fn plain_inner(site: Site) {
    sleep(&site);
}

#[track_caller]
fn check(suspends: bool) {
    let _alone = alone();
    let site = Site::default();
    let runtime = multi_thread();
    let (task, handle) = tasktrace::traced(outer(7, site.clone(), suspends));
    let task = runtime.spawn(task);
    let seen = sample_until(handle.id(), |leaf| leaf.name() == "std::thread::sleep");
    let trace = seen.trace();
    assert_eq!(
        short(trace),
        r#"outer "number 7" > plain > middle > inner "number 8" > (suspended | plain_inner > sleep > sleep)"#,
        "{trace}\n{trace:#}"
    );
    site.end();
    task.abort();
    assert!(runtime.block_on(task).unwrap_err().is_cancelled());
}

#[test]
fn frames_that_were_never_suspended_are_shown() {
    check(false);
}

#[test]
fn frames_that_were_suspended_before_are_shown() {
    check(true);
}
