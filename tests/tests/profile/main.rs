//! Tests profiles: the places where tasks wait, over a while. A profile contains the tasks of all tests, and a profile of
//! captures wakes them, so one test runs at a time.

mod asking;
mod running;
mod stopping;
mod waiting;

use serde_json::Value;
use tasktrace::{Profile, TraceHandle};
use tokio::runtime::Runtime;

/// Returns the stacks of a profile whose names end with `name`.
fn stacks(profile: &Profile, name: &str) -> Vec<Value> {
    let document = serde_json::to_value(profile).expect("it is serialised");
    let stacks = document["stacks"].as_array().expect("there is a list");
    let is_it = |stack: &&Value| stack["name"].as_str().is_some_and(|it| it.ends_with(name));
    stacks.iter().filter(is_it).cloned().collect()
}

fn number(value: &Value, field: &str) -> u64 {
    value[field]
        .as_u64()
        .unwrap_or_else(|| panic!("{field}: {value:#}"))
}

fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build();
    runtime.expect("there can be one")
}

/// Spawns `future` as a traced task, and waits until the task is suspended.
fn spawn_suspended(
    runtime: &Runtime,
    future: impl Future<Output = ()> + Send + 'static,
) -> TraceHandle {
    let (future, handle) = tasktrace::traced(future);
    runtime.spawn(future);
    while handle.state() != tasktrace::TaskState::Suspended {
        std::thread::yield_now();
    }
    handle
}
