//! Compares documents with the examples in `schema/`. Tests in `tests/` validate the examples against the schema.

use std::panic::Location;
use std::time::Duration;

use serde_json::Value as Read;

use super::value::{LazyList, Object, Value};
use crate::dump::fixture::{dump, id, secs, some_time, task};
use crate::dump::{Dump, EndedTask, Hang, HangTrigger, Source, TestStage};
use crate::task::{NoAnswer, NoSample, TraceError};
use crate::trace::{Frame, LineIs, Missing, Notes, Trace, Wait};

/// Returns a dump that has all kinds of values that a dump can have.
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
        .with_line(LineIs::Definition)
        .with_children([Frame::sample("shard", 12)
            .with_line(LineIs::Creation)
            .waiting(Wait::Suspended)])
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
        remote_clones: 2,
    };
    let waits = [
        Wait::Yielded,
        Wait::OutOfBudget,
        Wait::NoWaker,
        Wait::Running,
    ];
    let leaves = waits.map(|wait| Frame::sample("app::leaf", 40).waiting(wait));
    woken.trace = Trace::sample_with_notes(leaves.into(), notes);

    let mut sampled = task(9, "app::sampled").running_for(3.0);
    sampled.source = Source::Sample;
    let no_sample = [
        NoSample::Unsupported,
        NoSample::NoSignal,
        NoSample::SignalBlocked,
        NoSample::NoResponse(secs(0.5)),
        NoSample::Busy,
        NoSample::NoTime,
        NoSample::OtherStack,
        NoSample::Over,
        NoSample::Refused,
        NoSample::NoRoom,
    ];
    let no_sample = (10..).zip(no_sample);

    let mut tasks = vec![
        main,
        blocking,
        woken,
        task(4, "app::new").never_polled(),
        refused(5, TraceError::Finished),
        refused(6, TraceError::Panicked),
        refused(7, TraceError::NeverPolled),
        refused(8, TraceError::InsideOwnPoll),
        sampled,
    ];
    tasks.extend(no_sample.map(|(id, reason)| refused(id, TraceError::NoSample(reason))));
    tasks.push(refused(20, TraceError::OwnWakers));
    let dump = Dump::new(tasks, Some(12)).taken_at(some_time());
    dump.with_ended(vec![
        EndedTask::sample(30, Some("connection lost")),
        EndedTask::sample(31, None),
    ])
}

/// Compares a document with a file in `schema/`. With `TASKTRACE_BLESS=1` it overwrites the file.
fn check(file: &str, text: &str) {
    let path = format!("{}/schema/{file}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("TASKTRACE_BLESS").is_some() {
        std::fs::write(&path, text).expect("the file can be written");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, expected, "see `check`");
}

#[test]
fn the_example_of_a_dump_is_up_to_date() {
    let dump = example();
    let text = format!("{:#}", dump.json());
    // The line of this file is replaced, so that the example does not change with it.
    let place = |file, line, column| {
        let indent = "        ";
        format!("\"file\": {file:?},\n{indent}\"line\": {line},\n{indent}\"column\": {column}\n")
    };
    let here = dump.get(id(1)).and_then(|task| task.spawned_at());
    let here = here.expect("the task has a spawn site");
    let here = place(here.file(), here.line(), here.column());
    assert_eq!(text.matches(&here).count(), 1);
    let text = text.replace(&here, &place("src/main.rs", 5, 18)) + "\n";
    check("example.dump.json", &text);
}

#[test]
fn the_example_of_a_hang_is_up_to_date() {
    let lock = Frame::sample("tokio::sync::Mutex::lock", 455).into_resource();
    let body = Frame::sample("app::tests::hangs", 41).with_children([lock]);
    let hang = Hang {
        name: "app::tests::hangs".to_owned(),
        file: "src/main.rs",
        line: 40,
        after: secs(30.0),
        trigger: HangTrigger::Timeout,
        stage: TestStage::Body(id(1)),
        thread: 4711,
        dump: dump([task(1, "app::tests::hangs").at([body])]),
        unknown: 2,
    };
    check("example.hang.json", &format!("{:#}\n", hang.json()));
}

#[test]
fn both_layouts_have_the_same_values() {
    let dump = example();
    let line = dump.json().to_string();
    assert!(!line.contains('\n'), "{line}");
    assert_eq!(read(&line), read(&format!("{:#}", dump.json())));
}

fn read(text: &str) -> Read {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}:\n{text}"))
}

#[test]
fn a_trace_names_its_format() {
    let trace = Trace::sample(vec![Frame::sample("f", 1)]);
    let document = read(&trace.json().to_string());
    assert_eq!(document["schema"], "tasktrace.trace/1");
    assert_eq!(document["frames"][0]["name"], "f");
}

#[test]
fn empty_lists_and_objects_are_on_one_line() {
    let list = Value::from(LazyList::new(0, std::iter::empty::<u64>));
    let object = Value::from(Object {
        name: "Nothing",
        fields: Vec::new(),
    });
    assert_eq!(
        format!("{list} {list:#} {object} {object:#}"),
        "[] [] {} {}"
    );
}

#[test]
fn the_longest_duration_saturates() {
    let longest = Value::from(Duration::MAX);
    assert_eq!(longest.to_string(), u64::MAX.to_string());
}

/// The characters are tested alone and between others. They include the first and last ones of each UTF-8 length.
#[test]
fn strings_are_escaped_as_by_serde_json() {
    let ends = [
        '\u{7ff}',
        '\u{800}',
        '\u{2028}',
        '\u{2029}',
        '\u{feff}',
        '\u{ffff}',
        '🦀',
        char::MAX,
    ];
    let chars = ('\0'..='\u{100}').chain(ends);
    let mut texts: Vec<String> = chars
        .clone()
        .flat_map(|char| [format!("{char}"), format!("a{char}ä{char}{char}\"")])
        .collect();
    texts.push(String::new());
    texts.push(chars.collect());
    texts.push(r#"C:\new\"folder" // \u0041"#.to_owned());
    for text in texts {
        let ours = Value::from(&*text).to_string();
        let theirs = serde_json::to_string(&text).expect("serialization cannot fail");
        assert_eq!(ours, theirs);
        assert_eq!(read(&ours), text);
    }
}

#[test]
fn a_deep_tree_is_a_flat_list() {
    let on_a_small_stack = || {
        let mut deep = Frame::sample("leaf", 1);
        for line in 0..10_000 {
            deep = Frame::sample("deep", line).with_children([deep]);
        }
        let dump = dump([task(1, "deep").at([deep])]);
        let read = read(&dump.json().to_string());
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
    thread.join().expect("the test does not overflow its stack");
}

/// Tests that `Serialize` produces the same documents as `json`.
#[cfg(feature = "serde")]
mod serialised {
    use serde::Serialize;
    use serde_json::json;

    use super::*;
    use crate::task::TaskId;

    #[track_caller]
    fn check(it: &impl Serialize, ours: impl std::fmt::Display) {
        let line = serde_json::to_string(it).expect("serialization cannot fail");
        assert_eq!(line, ours.to_string());
        let indented = serde_json::to_string_pretty(it).expect("serialization cannot fail");
        assert_eq!(indented, format!("{ours:#}"));
    }

    #[test]
    fn serialized_documents_equal_json_byte_for_byte() {
        check(&example(), example().json());
        check(&dump([]), dump([]).json());
        for task in &example() {
            check(task, Value::from(task));
            check(task.trace(), task.trace().json());
        }
    }

    #[test]
    fn serialized_strings_are_escaped_as_in_json() {
        let strange: String = ('\0'..='\u{100}').collect();
        let frame = Frame::sample(&strange, 1).with_label(&strange);
        let dump = dump([task(1, &strange).with_label(&strange).at([frame])]);
        check(&dump, dump.json());
    }

    #[test]
    fn parts_of_a_dump_are_serialized_alone() {
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
        assert_eq!(json(&NoAnswer::Running), "running");
        assert_eq!(json(&Wait::OutOfBudget), "out_of_budget");
        assert_eq!(json(&TraceError::OwnWakers)["kind"], "own_wakers");
        assert_eq!(json(&TraceError::NoRoom)["kind"], "no_room");
        assert_eq!(json(&Source::Capture), json!({ "kind": "capture" }));
        assert_eq!(json(&TraceError::Finished)["kind"], "finished");
    }

    fn json(value: &impl Serialize) -> Read {
        serde_json::to_value(value).expect("serialization cannot fail")
    }
}

#[test]
fn the_example_of_a_profile_is_up_to_date() {
    let sample = || {
        let lock = Frame::sample("tokio::sync::Mutex::lock", 455);
        let serve = Frame::sample("app::serve", 10).with_children([lock]);
        let mut all = vec![
            task(1, "app::serve").at([serve]).suspended_for(5.0),
            task(2, "app::blocking").running_for(5.0),
            task(3, "app::new").never_polled(),
            task(4, "app::woken").woken(),
            task(5, "app::gone").finished(),
        ];
        all.iter_mut().for_each(|task| task.label = None);
        dump(all)
    };
    let profile = crate::profile::fixture::profile([sample(), sample()]);
    let text = format!("{:#}\n", profile.json());
    check("example.profile.json", &text);
}

#[test]
fn a_finding_names_the_function_of_the_pool_as_text_does() {
    let library = |name: &str| Frame::sample(name, 90).into_dependency();
    let stuck = |number| {
        let permit = library("tokio::sync::Semaphore::acquire").into_resource();
        let acquire = library("sqlx::Pool::acquire").with_children([permit]);
        let query = library("sqlx::Query::fetch_one").with_children([acquire]);
        let fetch = Frame::sample("app::fetch", 10).with_children([query]);
        task(number, "app::fetch").at([fetch]).suspended_for(60.0)
    };
    let dump = dump([stuck(1), stuck(2)]);
    let json: serde_json::Value = serde_json::from_str(&dump.json().to_string()).unwrap();
    let finding = &json["findings"][0];
    assert_eq!(finding["library"], "sqlx::Query::fetch_one");
    assert_eq!(finding["resource"], "sqlx::Pool::acquire");
}
