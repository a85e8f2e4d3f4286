//! Tests profiles of captures.

use std::time::Duration;

use tokio::sync::Notify;

use crate::{runtime, spawn_suspended, stacks};

static NEVER: Notify = Notify::const_new();

async fn untraced() {
    NEVER.notified().await;
}

#[test]
fn a_profile_of_captures_names_the_resource() {
    let _alone = tasktrace_tests::sampled::alone();
    let runtime = runtime();
    let handle = spawn_suspended(&runtime, untraced());
    let profile = tasktrace::profile()
        .captures()
        .every(Duration::from_millis(50))
        .lasting(Duration::from_millis(500))
        .run_blocking();
    assert_eq!(profile.source(), tasktrace::ProfileSource::Captures);
    let stacks = stacks(&profile, "asking::untraced");
    let frames = stacks
        .iter()
        .flat_map(|it| it["trace"]["frames"].as_array().expect("a list"));
    let names: Vec<&str> = frames.filter_map(|frame| frame["name"].as_str()).collect();
    assert!(
        names.contains(&"tokio::sync::Notify::notified"),
        "{names:?}\n{profile}"
    );
    // The captures did not make the task progress.
    assert!(!handle.is_finished());
}
