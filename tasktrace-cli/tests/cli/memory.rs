//! Tests the commands that read the memory of a process which does not let other programs attach.

use crate::support::{Program, Runtime, example};

fn plain(runtime: &Runtime) -> Program {
    runtime.start_other(&example("plain"))
}

/// The tasks of the program reach their last waits soon after it has said that it is ready.
fn wait_for_deadlock(runtime: &Runtime, pid: &str) -> serde_json::Value {
    loop {
        let ended = runtime.run(&["dump", "--json", pid]);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        let report: serde_json::Value = serde_json::from_str(&ended.stdout).expect("it is JSON");
        assert_eq!(report["schema"], "tasktrace.inspect/1");
        if report["deadlocks"]
            .as_array()
            .is_some_and(|it| it.len() == 1)
        {
            return report;
        }
    }
}

#[test]
fn a_plain_program_is_dumped_from_its_memory() {
    let runtime = Runtime::new();
    let program = plain(&runtime);
    let pid = program.pid();
    let report = wait_for_deadlock(&runtime, &pid);
    assert_eq!(report["tasks"].as_array().map(Vec::len), Some(3));

    let ended = runtime.run(&["dump", &pid]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let why = format!("read from memory, because process {pid} does not let other programs attach");
    assert!(ended.stderr.contains(&why), "{}", ended.stderr);
    for part in [
        "likely deadlock: task ",
        "plain::transfer at ",
        "tokio::sync::Mutex::lock",
        "held by task ",
        "plain::listen at ",
    ] {
        assert!(ended.stdout.contains(part), "no {part:?}: {}", ended.stdout);
    }
    program.ends_well();
}

#[test]
fn the_tasks_of_a_plain_program_are_listed_in_groups() {
    let runtime = Runtime::new();
    let program = plain(&runtime);
    let pid = program.pid();
    wait_for_deadlock(&runtime, &pid);
    let ended = runtime.run(&["ps", &pid]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let lines: Vec<&str> = ended.stdout.lines().collect();
    let header = format!("plain ({pid}): 3 tasks; 1 cycle of tasks that wait for each other");
    assert_eq!(lines[0], header);
    let row = lines[2];
    for part in [
        "!      2  suspended",
        "plain::transfer",
        "likely deadlock: tokio::sync::Mutex::lock in plain::transfer at ",
    ] {
        assert!(row.contains(part), "no {part:?}: {}", ended.stdout);
    }
    let each = runtime.run(&["ps", "--each", &pid]);
    assert_eq!(each.stdout.lines().count(), 5, "{}", each.stdout);
}

#[test]
fn top_prints_reports_about_memory() {
    let runtime = Runtime::new();
    let program = plain(&runtime);
    wait_for_deadlock(&runtime, &program.pid());
    let text = runtime.ask(&["top", "--json", "-n", "2", "-i", "0.1", &program.pid()]);
    assert_eq!(text.lines().count(), 2, "{text}");
    for line in text.lines() {
        let report: serde_json::Value = serde_json::from_str(line).expect("it is JSON");
        assert_eq!(report["schema"], "tasktrace.inspect/1");
    }
}

#[test]
fn formats_that_only_a_process_makes_exit_with_5() {
    let runtime = Runtime::new();
    let program = plain(&runtime);
    let pid = program.pid();
    let leave_out = "leave out --folded and --by-awaiter";
    for option in ["--folded", "--by-awaiter"] {
        let ended = runtime.run(&["dump", option, &pid]);
        ended.failed(5, &["does not let other programs attach", leave_out]);
    }
    for command in ["flame", "profile"] {
        let ended = runtime.run(&[command, &pid]);
        ended.failed(5, &["does not let other programs attach"]);
    }
}

/// This process has no executor.
#[test]
fn a_process_without_tasks_exits_with_5() {
    let runtime = Runtime::new();
    let pid = std::process::id().to_string();
    for command in ["ps", "dump"] {
        let ended = runtime.run(&[command, &pid]);
        ended.failed(5, &["does not let other programs attach", "memory"]);
    }
}
