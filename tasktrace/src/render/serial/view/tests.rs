//! Tests the document of the page. The page itself is tested in a browser, in `tests/browser/`.

use serde_json::{Value as Read, json};

use super::*;
use crate::dump::fixture::{dump, id, secs, task};
use crate::trace::{Frame, Trace};

fn header() -> ViewHeader {
    ViewHeader {
        program: "app".into(),
        pid: 4711,
        taken: UNIX_EPOCH + secs(12.5),
        took: secs(0.25),
        asked: true,
    }
}

fn view(dump: &Dump) -> Read {
    serde_json::from_str(&dump.view(&header()).to_string()).expect("the document is JSON")
}

fn worker(number: u64, label: &str, key: &str) -> TaskDump {
    let load = Frame::sample("app::load", 20).with_label(key).aged(1.0);
    let lock = Frame::sample("tokio::sync::Mutex::lock", 455).into_resource();
    let frames = Frame::sample("app::worker", 10)
        .with_label(label)
        .aged(2.0)
        .with_children([load.with_children([lock])]);
    task(number, "app::worker").at([frames])
}

#[test]
fn the_document_has_the_process_the_times_and_the_numbers_of_tasks() {
    let mut two = dump([task(1, "app::one"), task(2, "app::two")]);
    two = Dump::new(two.tasks().cloned().collect(), Some(3));
    let view = view(&two);
    assert_eq!(view["schema"], "tasktrace.view/1");
    assert_eq!(view["process"], json!({ "name": "app", "pid": 4711 }));
    assert_eq!(
        (&view["taken_ms"], &view["took_ms"]),
        (&json!(12_500), &json!(250))
    );
    assert_eq!((&view["total"], &view["untraced"]), (&json!(2), &json!(3)));
    assert_eq!(view["asked"], 1);
}

#[test]
fn tasks_with_the_same_stack_are_one_group_with_columns_for_their_differences() {
    let view = view(&dump([
        worker(1, "one", "a").suspended_for(3.0),
        worker(2, "two", "a").suspended_for(4.0),
        task(3, "app::other"),
    ]));
    let groups = view["groups"].as_array().expect("a list");
    assert_eq!(groups.len(), 2);
    let group = &groups[0];
    assert_eq!(
        (&group["name"], &group["state"]),
        (&json!("app::worker"), &json!("suspended"))
    );
    let tasks = &group["tasks"];
    assert_eq!(tasks["len"], 2);
    // The longest wait comes first.
    assert_eq!(tasks["id"], json!([2, 1]));
    assert_eq!(tasks["waited_ms"], json!([4_000, 3_000]));
    assert_eq!(
        tasks["label"],
        json!(["two", "one"]),
        "the labels are those of the functions"
    );
    // A value that is equal for all tasks is written once.
    assert_eq!(tasks["polls"], 41);
    assert_eq!(tasks["spawned_at"], Read::Null);

    let frames = &group["frames"];
    assert_eq!(frames["len"], 3);
    assert_eq!(frames["parent"], json!([null, 0, 1]));
    assert_eq!(
        frames["name"],
        json!(["app::worker", "app::load", "tokio::sync::Mutex::lock"])
    );
    assert_eq!(frames["file"], "src/main.rs");
    assert_eq!(frames["wait"], json!([null, null, "registered"]));
    assert_eq!(group["leaves"], json!([2]));
    assert_eq!(group["waiting"], 1);
    assert_eq!(group["operations"], "tokio::sync::Mutex::lock");

    let live = group["live"].as_array().expect("a list");
    assert_eq!(live.len(), 2);
    assert_eq!(
        (&live[0]["frame"], &live[0]["label_is_task"]),
        (&json!(0), &json!(1))
    );
    assert_eq!(
        (&live[1]["frame"], &live[1]["label"]),
        (&json!(1), &json!("a"))
    );
    assert_eq!(live[1]["age_ms"], 1_000);
}

#[test]
fn a_wait_for_a_pool_has_the_line_of_the_program_and_the_operation_of_the_verdict() {
    let library = |name: &str| Frame::sample(name, 90).into_dependency();
    let leaf = |name: &str| library(name).into_resource();
    let permit = leaf("tokio::sync::Semaphore::acquire");
    let end = leaf("event_listener::EventListener");
    let acquire = library("sqlx::Pool::acquire").with_children([end, permit]);
    let query = library("sqlx::Query::fetch_one").with_children([acquire]);
    let timer = leaf("tokio::time::timeout");
    let fetch = Frame::sample("app::fetch", 10).with_children([query, timer]);
    let dump = dump([task(1, "app::fetch").at([fetch])]);
    let view = view(&dump);
    let group = &view["groups"][0];
    // The call of the pool registers twice, and is one wait.
    assert_eq!(group["leaves"], json!([4, 5]));
    assert_eq!(group["waiting"], 0);
    assert_eq!(
        group["operations"],
        json!([
            "sqlx::Query::fetch_one (sqlx::Pool::acquire)",
            "tokio::time::timeout"
        ])
    );
    let point = crate::diagnosis::likeliest(dump.tasks().next().unwrap()).unwrap();
    let text = crate::render::verdict::of_point(&point);
    let operation = group["operations"][0].as_str().unwrap();
    assert!(text.ends_with(&format!("waiting in {operation}")), "{text}");
}

#[test]
fn awaited_tasks_cycles_roots_and_spawn_sites_are_listed() {
    let mut one = task(1, "app::one").awaiting([2, 9]);
    one.parent = Some(id(7));
    one.spawned_at = Some(Location::caller());
    let view = view(&dump([
        one,
        task(2, "app::two"),
        task(3, "app::three").awaiting([4]),
        task(4, "app::four").awaiting([3]),
    ]));
    assert_eq!(view["cycles"], json!([[3, 4]]));
    assert_eq!(view["cycles_total"], 1);
    assert_eq!(view["roots"], json!([1, 3]));
    let groups = view["groups"].as_array().expect("a list");
    let of = |name: &str| {
        let group = groups.iter().find(|group| group["name"] == name);
        group.expect("the group exists").clone()
    };
    assert_eq!(
        groups[0]["urgency"], "in_cycle",
        "the most severe group comes first"
    );
    let one = of("app::one");
    assert_eq!(one["tasks"]["awaits"], json!([[0, 2, 9]]));
    assert_eq!(one["tasks"]["parent"], 7);
    let place = view["places"][0].as_str().expect("a place");
    assert!(place.contains("view/tests.rs:"), "{place}");
    assert_eq!(one["tasks"]["spawned_at"], 0);
    assert_eq!(of("app::two")["tasks"]["awaits"], json!([]));
}

#[test]
fn a_group_has_the_same_identifier_in_later_dumps() {
    let ids = |view: &Read| -> Vec<String> {
        let groups = view["groups"].as_array().expect("a list");
        let mut ids: Vec<String> = groups.iter().map(|group| group["id"].to_string()).collect();
        ids.sort();
        ids
    };
    let earlier = view(&dump([
        worker(1, "one", "a"),
        task(3, "app::other"),
        task(4, "app::other").woken(),
    ]));
    let later = view(&dump([
        task(13, "app::other").suspended_for(60.0),
        task(14, "app::other").woken(),
        worker(11, "two", "b").old(99.0),
        worker(12, "three", "c"),
    ]));
    assert_eq!(ids(&earlier).len(), 3);
    assert_eq!(ids(&earlier), ids(&later));
    let mut unique = ids(&earlier);
    unique.dedup();
    assert_eq!(unique.len(), 3);
}

#[test]
fn a_running_task_has_a_thread() {
    let view = view(&dump([task(1, "app::busy").running_for(2.0)]));
    let group = &view["groups"][0];
    assert_eq!(
        (&group["state"], &group["urgency"]),
        (&json!("running"), &json!("blocking"))
    );
    assert_eq!(group["tasks"]["thread"], "tokio-rt-worker (thread 4711)");
}

#[test]
fn a_task_is_starved_only_if_that_is_proven() {
    let of = |is_proven| {
        let view = view(&dump([task(1, "app::ready").unpolled_for(2.0, is_proven)]));
        let group = view["groups"][0].clone();
        (group["urgency"].clone(), group["complaint"].clone())
    };
    let (starved, late) = (
        "is ready, but not polled",
        "is ready, but has not been polled yet",
    );
    assert_eq!(of(true), (json!("starved"), json!(starved)));
    assert_eq!(of(false), (json!("late"), json!(late)));
}

#[test]
fn labels_are_escaped() {
    let label = "</script>\"\\\u{0}\u{2028}";
    let view = view(&dump([task(1, "app::one").with_label(label)]));
    assert_eq!(view["groups"][0]["tasks"]["label"], label);
}

#[test]
fn a_dump_without_tasks_and_a_task_without_frames_have_documents() {
    assert_eq!(view(&dump([]))["groups"], json!([]));
    let mut bare = task(1, "app::bare").never_polled();
    bare.trace = Trace::sample(Vec::new());
    let view = view(&dump([bare]));
    assert_eq!(view["groups"][0]["frames"]["len"], 0);
    assert_eq!(view["groups"][0]["tasks"]["waited_ms"], 15_000);
}

/// At this size 100,000 tasks are a few megabytes.
#[test]
fn each_task_of_a_large_group_takes_less_than_50_bytes() {
    const MANY: u64 = 20_000;
    let connection = |number: u64| worker(number, &format!("10.0.0.1:{number}"), "key");
    let text = dump((1..=MANY).map(connection)).view(&header()).to_string();
    let each = text.len() as u64 / MANY;
    assert!(each < 50, "{each} bytes a task");
    let read: Read = serde_json::from_str(&text).expect("the document is JSON");
    assert_eq!(read["groups"].as_array().map(Vec::len), Some(1));
}
