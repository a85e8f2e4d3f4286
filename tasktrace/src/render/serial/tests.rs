//! The document in `schema/` is what is serialised. That it is as the schema says is tested with
//! other packages' help, in `tests/`.

use std::panic::Location;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use super::nanos;
use crate::dump::sample::{dump, id, secs, task};
use crate::dump::{Dump, Source};
use crate::task::{NoAnswer, TaskId, TraceError};
use crate::trace::{Frame, Missing, Notes, Trace, Wait};

/// A dump with everything that there can be in one.
fn example() -> Dump {
    let no_answer = |reason| Source::Snapshot {
        error: Some(TraceError::NoAnswer {
            waited: secs(2.0),
            reason,
        }),
    };
    let refused = |number, error| {
        let mut task = task(number, "app::refuses").finished();
        task.source = Source::Snapshot { error: Some(error) };
        task
    };

    let held = Frame::sample("app::store", 20)
        .aged(8.0)
        .with_children([Frame::sample("tokio::time::sleep", 447).waiting(Wait::Suspended)])
        .held(5.0);
    let load = Frame::sample("app::load", 30)
        .with_label("key")
        .aged(7.5)
        .with_children([Frame::sample("tokio::sync::Mutex::lock", 455).times(3)]);
    let mut main = task(1, "app::main")
        .with_label("all of it")
        .awaiting([2, 3])
        .at([Frame::sample("app::main", 10).with_children([held, load])]);
    main.spawned_at = Some(Location::caller());

    let mut blocking = task(2, "app::blocking").running_for(12.3);
    blocking.parent = Some(id(1));
    blocking.source = no_answer(NoAnswer::Running);

    let mut woken = task(3, "app::woken").woken();
    woken.source = no_answer(NoAnswer::NotPolled);
    let notes = Notes {
        missing: Some(Missing::DebugInfo),
        dropped: 1,
        elsewhere: 2,
    };
    let waits = [
        Wait::Yielded,
        Wait::OutOfBudget,
        Wait::NoWaker,
        Wait::Running,
    ];
    let leaves = waits.map(|wait| Frame::sample("app::leaf", 40).waiting(wait));
    woken.trace = Trace::sample_with_notes(leaves.into(), notes);

    let tasks = vec![
        main,
        blocking,
        woken,
        task(4, "app::new").never_polled(),
        refused(5, TraceError::Finished),
        refused(6, TraceError::Panicked),
        refused(7, TraceError::NeverPolled),
        refused(8, TraceError::InsideOwnPoll),
    ];
    Dump::new(tasks, Some(12))
}

/// With `TASKTRACE_BLESS=1`, the file is written anew.
#[test]
fn the_example_is_what_is_serialised() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schema/example.dump.json");
    let dump = example();
    let text = serde_json::to_string_pretty(&dump).expect("it is serialised");
    // The example need not change with the lines of this file.
    let place = |file, line, column| {
        let indent = "        ";
        format!("\"file\": {file:?},\n{indent}\"line\": {line},\n{indent}\"column\": {column}\n")
    };
    let here = dump.get(id(1)).and_then(|task| task.spawned_at());
    let here = here.expect("it was spawned");
    let here = place(here.file(), here.line(), here.column());
    assert_eq!(text.matches(&here).count(), 1);
    let text = text.replace(&here, &place("src/main.rs", 5, 18)) + "\n";

    if std::env::var_os("TASKTRACE_BLESS").is_some() {
        std::fs::write(path, &text).expect("the file can be written");
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(text, expected, "see the test");
}

#[test]
fn parts_are_serialised_by_themselves() {
    let frame = Frame::sample("f", 1).with_children([Frame::sample("g", 2)]);
    assert_eq!(json(&frame)[1]["parent"], 0);
    assert_eq!(
        json(&Trace::sample(vec![frame]))["schema"],
        "tasktrace.trace/1"
    );
    assert_eq!(json(&task(7, "app::main"))["id"], 7);
    assert_eq!(
        json(task(7, "app::main").state()),
        json!({ "kind": "suspended" })
    );
    assert_eq!(json(&TaskId::from_number(u64::MAX)), u64::MAX);
    assert_eq!(nanos(Duration::MAX), u64::MAX);
}

fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).expect("it is serialised")
}

#[test]
fn a_deep_tree_is_a_flat_list() {
    let on_a_small_stack = || {
        let mut deep = Frame::sample("leaf", 1);
        for line in 0..10_000 {
            deep = Frame::sample("deep", line).with_children([deep]);
        }
        let dump = dump([task(1, "deep").at([deep])]);
        let text = serde_json::to_string(&dump).expect("it is serialised");
        let read: Value = serde_json::from_str(&text).expect("it is not deep");
        let frames = read["tasks"][0]["trace"]["frames"].as_array();
        let parents = frames
            .into_iter()
            .flatten()
            .map(|frame| frame["parent"].as_u64());
        assert!(parents.eq((0..=10_000).map(|at: u64| at.checked_sub(1))));
    };
    let builder = std::thread::Builder::new().stack_size(128 * 1024);
    let thread = builder
        .spawn(on_a_small_stack)
        .expect("a thread can be spawned");
    thread.join().expect("it fits");
}
