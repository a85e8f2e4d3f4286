//! Tests the waiting times in a profile.

use std::future::pending;
use std::time::Duration;

use tasktrace::Weight;

use crate::{number, runtime, spawn_suspended, stacks};

#[tasktrace::traced]
async fn convoy() {
    inner().await;
}

#[tasktrace::traced]
async fn inner() {
    pending().await
}

#[tasktrace::traced]
async fn alone() {
    pending().await
}

#[test]
fn waiting_times_are_added_up_by_stack() {
    let _alone = tasktrace_tests::sampled::alone();
    let runtime = runtime();
    for _ in 0..3 {
        spawn_suspended(&runtime, convoy());
    }
    spawn_suspended(&runtime, alone());

    let profile = tasktrace::profile()
        .lasting(Duration::from_millis(300))
        .run_blocking();
    assert!(profile.samples() > 0, "{profile}");
    assert!(profile.lasted() >= Duration::from_millis(300));
    assert!(profile.most_tasks() >= 4);

    let convoy = stacks(&profile, "waiting::convoy");
    let alone = stacks(&profile, "waiting::alone");
    let ([convoy], [alone]) = (&convoy[..], &alone[..]) else {
        panic!("{profile}");
    };
    assert_eq!(convoy["state"], "suspended");
    assert_eq!(number(convoy, "seen"), 3 * profile.samples());
    assert_eq!(number(alone, "seen"), profile.samples());
    // Each task has been waiting all the time, so it has waited as long as the samples stand for.
    let document = serde_json::to_value(&profile).expect("it is serialised");
    let sampled = number(&document, "sampled_ns");
    assert_eq!(number(alone, "waited_ns"), sampled);
    assert_eq!(number(convoy, "waited_ns"), 3 * sampled);

    let folded = profile.folded(Weight::Waited).to_string();
    let line = format!(
        "profile::waiting::convoy;profile::waiting::inner {}\n",
        3 * sampled / 1000
    );
    assert!(folded.contains(&line), "{line}{folded}");
    let text = profile.to_string();
    assert!(
        text.contains("profile::waiting::convoy, suspended: 3.0 tasks on average"),
        "{text}"
    );
}

#[tasktrace::traced]
async fn ticks() {
    loop {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// A task that is polled again and again has waited only since its last poll.
#[test]
fn no_task_waits_longer_than_the_profile_lasts() {
    let _alone = tasktrace_tests::sampled::alone();
    let runtime = runtime();
    let (future, handle) = tasktrace::traced(ticks());
    runtime.spawn(future);
    while handle.polls() < 3 {
        std::thread::yield_now();
    }
    let profile = tasktrace::profile()
        .lasting(Duration::from_millis(200))
        .run_blocking();
    let waited: u64 = stacks(&profile, "waiting::ticks")
        .iter()
        .map(|it| number(it, "waited_ns"))
        .sum();
    assert!(
        u128::from(waited) <= profile.lasted().as_nanos(),
        "{profile}"
    );
}
