//! Captures lead to the resource.

use std::time::Duration;

use tokio::sync::Notify;

use crate::{runtime, settle, stacks};

static NEVER: Notify = Notify::const_new();

async fn untraced() {
    NEVER.notified().await;
}

#[test]
fn captures_lead_to_the_resource() {
    let runtime = runtime();
    let (future, handle) = tasktrace::traced(untraced());
    runtime.spawn(future);
    settle(&handle);
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
    // It was not asked so often for nothing: it still waits for the same.
    assert!(!handle.is_finished());
}
