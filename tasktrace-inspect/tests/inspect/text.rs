//! The report as text and as JSON.

use crate::program::{Profile, Program};

#[test]
fn the_text_begins_with_the_deadlock() {
    let program = Program::start("deadlock", Profile::Dev);
    let text = program.inspect_at_rest().to_string();
    println!("{text}");
    let mut lines = text.lines();
    let first = lines.next().unwrap();
    assert!(
        first.starts_with(&format!("process {} (", program.pid())),
        "{first}"
    );
    assert!(first.ends_with(" ms while it ran"), "{first}");
    let deadlock = lines.find(|line| line.contains("deadlock: "));
    assert!(
        deadlock.unwrap().starts_with("likely deadlock: task "),
        "{text}"
    );
    for part in [
        "  ╼ deadlock::there at ",
        "src/bin/deadlock.rs:",
        "   └╼ tokio::sync::Mutex::lock at tokio-",
        " (locked; held by task ",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}

#[test]
fn the_json_names_states_and_holders() {
    let program = Program::start("deadlock", Profile::Dev);
    let report = serde_json::to_value(program.inspect_at_rest()).unwrap();
    assert_eq!(report["schema"], "tasktrace.inspect/1");
    assert_eq!(report["source"]["kind"], "running");
    let task = &report["tasks"].as_array().unwrap()[0];
    assert_eq!(task["state"], "suspended");
    let wait = &task["frames"][0]["children"][0]["wait"];
    assert_eq!(wait["kind"], "permits");
    assert_eq!(wait["holders"][0]["kind"], "mutex");
    assert_eq!(wait["holders"][0]["is_polled"], true);
}
