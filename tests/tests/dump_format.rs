//! Tests that the JSON of dumps, traces, profiles and reports matches `schema/tasktrace.schema.json`.

#[path = "../src/schema.rs"]
#[expect(unreachable_pub, reason = "another package exports this module")]
mod schema;

use schema::{assert_valid, published, strict};
use serde_json::{Value, json};
use tasktrace_tests::{HOUR, trace_of};
use tokio::time::sleep;

fn read(file: &str) -> Value {
    let path = format!("{}/../tasktrace/schema/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn the_schema_is_a_valid_json_schema() {
    let schema = read("tasktrace.schema.json");
    assert!(jsonschema::meta::is_valid(&schema));
    assert_eq!(
        schema["$schema"],
        "https://json-schema.org/draft/2020-12/schema"
    );
}

/// A unit test of the library compares the example with a serialised dump.
#[test]
fn the_example_of_a_dump_is_valid() {
    let example = read("example.dump.json");
    assert_eq!(example["schema"], "tasktrace.dump/1");
    assert_valid(&example);
}

#[test]
fn the_example_of_a_report_is_valid() {
    let report = read("example.hang.json");
    assert_eq!(report["schema"], "tasktrace.hang/1");
    assert_valid(&report);
    assert_valid(&report["dump"]);
}

#[test]
fn the_example_of_a_profile_is_valid() {
    let profile = read("example.profile.json");
    assert_eq!(profile["schema"], "tasktrace.profile/1");
    assert_valid(&profile);
}

/// Each choice that the schema offers occurs in an example, so that the tests above cover it.
#[test]
fn the_examples_contain_each_choice_of_the_schema() {
    fn words(schema: &Value, out: &mut Vec<String>) {
        match schema {
            Value::Object(members) => {
                let choices = members.get("enum").and_then(Value::as_array);
                let choices = choices.into_iter().flatten().chain(members.get("const"));
                out.extend(choices.filter_map(Value::as_str).map(str::to_owned));
                members.values().for_each(|member| words(member, out));
            }
            Value::Array(elements) => elements.iter().for_each(|element| words(element, out)),
            _ => {}
        }
    }
    let mut offered = Vec::new();
    words(&read("tasktrace.schema.json"), &mut offered);
    let examples = [
        "example.dump.json",
        "example.hang.json",
        "example.profile.json",
    ];
    let examples = examples.map(|file| read(file).to_string()).concat();
    offered.retain(|word| !examples.contains(&format!("\"{word}\"")));
    // These words cannot occur in the examples: a program lacks one kind of information at a time, a process can start
    // threads or cannot, a test is at one stage, a profile has one source, and a trace is no dump.
    let others = [
        "beginning",
        "captures",
        "end",
        "not_woken",
        "program_file",
        "symbols",
        "tasktrace.trace/1",
    ];
    offered.sort_unstable();
    assert_eq!(offered, others);
}

#[test]
fn a_trace_is_valid() {
    async fn waits(at: tasktrace_tests::AwaitPoint) {
        at.next(line!());
        tokio::join!(sleep(HOUR), std::future::pending::<()>());
    }
    let (trace, line) = trace_of(waits);
    let document = serde_json::to_value(&trace).expect("it is serialised");
    assert_valid(&document);

    assert_eq!(document["schema"], "tasktrace.trace/1");
    let frames = document["frames"].as_array().expect("there are frames");
    assert_eq!(
        frames[0]["name"], "dump_format::a_trace_is_valid::waits",
        "{document:#}"
    );
    assert_eq!(frames[0]["parent"], Value::Null, "{document:#}");
    assert_eq!(frames[0]["line"], line, "{document:#}");
    let sleep = frames
        .iter()
        .find(|frame| frame["name"] == "tokio::time::sleep");
    let sleep = sleep.unwrap_or_else(|| panic!("it sleeps: {document:#}"));
    assert_eq!(sleep["parent"], 0);
    assert_eq!(sleep["wait"], "registered");
}

/// Other tests may run any tasks while the dump is taken.
#[test]
fn a_dump_is_valid() {
    let (future, handle) = tasktrace::traced(std::future::pending::<()>());
    let dump = tasktrace::snapshot();
    let document = serde_json::to_value(&dump).expect("it is serialised");
    assert_valid(&document);
    assert_eq!(document["schema"], "tasktrace.dump/1");
    let written: Value = serde_json::from_str(&dump.json().to_string()).expect("it is JSON");
    assert_eq!(written, document);
    assert!(dump.get(handle.id()).is_some(), "{dump}");
    let ids: Vec<u64> = dump.tasks().map(|task| task.id().get()).collect();
    let tasks = document["tasks"].as_array().expect("there is a list");
    let serialised = tasks
        .iter()
        .map(|task| task["id"].as_u64().expect("a number"));
    assert!(serialised.eq(ids), "{document:#}");
    drop((future, handle));
}

/// Other tests may run any tasks while the profile is taken.
#[test]
fn a_profile_is_valid() {
    let (future, handle) = tasktrace::traced(std::future::pending::<()>());
    let lasting = std::time::Duration::from_millis(50);
    let profile = tasktrace::profile().lasting(lasting).run_blocking();
    let document = serde_json::to_value(&profile).expect("it is serialised");
    assert_valid(&document);
    assert_eq!(document["schema"], "tasktrace.profile/1");
    let written: Value = serde_json::from_str(&profile.json().to_string()).expect("it is JSON");
    assert_eq!(written, document);
    let stacks = document["stacks"].as_array().expect("there is a list");
    assert!(
        stacks.iter().any(|it| it["state"] == "never_polled"),
        "{document:#}"
    );
    drop((future, handle));
}

#[test]
fn the_schema_rejects_wrong_documents() {
    let schema = published();
    let rejects = |what: &str, spoil: &dyn Fn(&mut Value)| {
        let mut document = read("example.dump.json");
        spoil(&mut document);
        assert!(!schema.is_valid(&document), "{what}");
    };
    rejects("another version", &|it| {
        it["schema"] = json!("tasktrace.dump/2")
    });
    rejects("a dump as a trace", &|it| {
        it["schema"] = json!("tasktrace.trace/1")
    });
    rejects("no tasks", &|it| it["tasks"] = Value::Null);
    rejects("a negative count", &|it| it["untraced"] = json!(-1));
    rejects("a task 0", &|it| it["tasks"][0]["id"] = json!(0));
    rejects("seconds", &|it| it["tasks"][0]["age_ns"] = json!(1.5));
    rejects("an unknown state", &|it| {
        it["tasks"][0]["state"]["kind"] = json!("asleep")
    });
    rejects("running on no thread", &|it| {
        it["tasks"][0]["state"]["kind"] = json!("running")
    });
    rejects("an unknown source", &|it| {
        it["tasks"][0]["source"]["kind"] = json!("guess")
    });
    rejects("an error that is text", &|it| {
        it["tasks"][1]["source"]["error"] = json!("no")
    });
    rejects("a place without a line", &|it| {
        it["tasks"][0]["spawned_at"] = json!({ "file": "a" })
    });
    rejects("nested frames", &|it| {
        it["tasks"][0]["trace"]["frames"][0]["parent"] = json!({ "name": "f" });
    });
    rejects("an unknown way to wait", &|it| {
        it["tasks"][0]["trace"]["frames"][0]["wait"] = json!("somehow");
    });
    for field in ["state", "label", "trace", "awaits"] {
        rejects(field, &|it| {
            let task = it["tasks"][0].as_object_mut().expect("a task is an object");
            assert!(task.remove(field).is_some());
        });
    }
    assert!(!schema.is_valid(&json!({})));
    assert!(!schema.is_valid(&json!([])));
}

#[test]
fn only_the_published_schema_allows_unknown_fields() {
    let mut document = read("example.dump.json");
    document["tasks"][0]["colour"] = json!("blue");
    assert!(published().is_valid(&document));
    assert!(!strict().is_valid(&document));
}
