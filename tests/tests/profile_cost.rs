//! Tests that a profile measures its cost, and stays below the allowed cost with very many tasks.

use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tasktrace::{ProfileBuilder, TaskState};

const TASKS: usize = 20_000;

/// The allowed cost, as a share of a core.
const SHARE: f64 = 0.05;

#[tasktrace::traced]
async fn reads() {
    pending().await
}

#[tasktrace::traced]
async fn writes() {
    pending().await
}

/// Starts equal numbers of the two tasks, in turns.
fn program() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(1).enable_all().build();
    let runtime = runtime.expect("there can be one");
    let mut handles = Vec::new();
    for _ in 0..TASKS / 2 {
        let (future, handle) = tasktrace::traced(reads());
        runtime.spawn(future);
        handles.push(handle);
        let (future, handle) = tasktrace::traced(writes());
        runtime.spawn(future);
        handles.push(handle);
    }
    for handle in handles {
        while handle.state() != TaskState::Suspended {
            std::thread::yield_now();
        }
    }
    runtime
}

// This file has one test, because the profile would contain the tasks of another.
#[test]
fn a_profile_that_would_cost_too_much_samples_less() {
    let _runtime = program();
    // This first profile reads the unwind tables, a cost that occurs once per process.
    let once = tasktrace::profile().captures();
    once.lasting(Duration::from_millis(50)).run_blocking();
    check(tasktrace::profile());
    check(tasktrace::profile().captures());
}

fn check(profile: ProfileBuilder) {
    let costs = Arc::new(Mutex::new(vec![Duration::ZERO]));
    let known = Arc::clone(&costs);
    let profile = profile
        .every(Duration::from_millis(1))
        .lasting(Duration::from_secs(5))
        .max_cpu(SHARE)
        .on_sample(move |progress| known.lock().unwrap().push(progress.cost()))
        .run_blocking();
    assert_eq!(profile.most_tasks(), TASKS);
    assert!(profile.cost() > Duration::ZERO);
    // Each sample covers a part of the tasks, and there are several samples.
    assert!(profile.portion() < 1.0, "{profile}");
    assert!(profile.samples() >= 3, "{profile}");
    assert!(profile.skipped() > profile.samples(), "{profile}");

    // The cost may exceed the allowed cost by that of one sample that cost more than expected.
    let costs = costs.lock().unwrap();
    assert_eq!(costs.last(), Some(&profile.cost()));
    let dearest = costs.windows(2).map(|two| two[1] - two[0]).max();
    let allowed = profile.lasted().mul_f64(SHARE) + dearest.expect("there were samples");
    assert!(
        profile.cost() <= allowed,
        "{:?} of {allowed:?}",
        profile.cost()
    );

    // The sampled tasks stand for all tasks, and all have waited all the time.
    let document = serde_json::to_value(&profile).expect("it is serialised");
    let sampled = document["sampled_ns"].as_f64().expect("a number") / 1e9;
    let waited = profile.waited().as_secs_f64() / sampled;
    assert!((waited - TASKS as f64).abs() < 1.0, "{waited} tasks waited");
    let stacks = document["stacks"].as_array().expect("a list");
    for name in ["reads", "writes"] {
        let is_it = |it: &&serde_json::Value| it["name"].as_str().unwrap().ends_with(name);
        let waited = stacks
            .iter()
            .filter(is_it)
            .map(|it| it["waited_ns"].as_f64().unwrap());
        let part = waited.sum::<f64>() / 1e9 / sampled / TASKS as f64;
        assert!((0.3..0.7).contains(&part), "{part} of the time in {name}");
    }
}
