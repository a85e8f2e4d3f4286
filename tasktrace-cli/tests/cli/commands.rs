//! Tests each command against a real process, named by its number and by its address.

use std::fs;
use std::time::Duration;

use crate::support::{Program, Runtime};

/// Returns the argument lists that name the process: its number in two forms, its two addresses, and, if there is no
/// other process, nothing.
fn targets(runtime: &Runtime, program: &Program) -> Vec<Vec<String>> {
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    let pid = program.pid();
    let mut targets = vec![
        words(&[&pid]),
        words(&["--pid", &pid]),
        words(&["--addr", &program.said[1]]),
        words(&["--addr", &format!("unix:{}", program.said[0])]),
    ];
    // The user who runs the tests may have further processes that can be attached to.
    let list = runtime.ask_json(&["ps", "--json"]);
    match list["processes"].as_array().map(Vec::len) {
        Some(1) => targets.push(Vec::new()),
        _ => runtime
            .run(&["dump"])
            .failed(2, &["several processes", &pid]),
    }
    targets
}

fn command_with_target<'a>(command: &[&'a str], target: &'a [String]) -> Vec<&'a str> {
    let target = target.iter().map(String::as_str);
    command.iter().copied().chain(target).collect()
}

fn start_program(runtime: &Runtime) -> Program {
    runtime.start(&["attach", "http", "tasks"])
}

#[test]
fn ps_lists_processes_with_tasks_age_and_name() {
    let runtime = Runtime::new();
    let program = start_program(&runtime);
    let text = runtime.ask(&["ps"]);
    let mut lines = text.lines();
    let header: Vec<_> = lines
        .next()
        .expect("there is one")
        .split_whitespace()
        .collect();
    assert_eq!(header, ["PID", "TASKS", "AGE", "NAME"]);
    let ours = lines.find(|line| line.split_whitespace().next() == Some(&program.pid()));
    let ours: Vec<_> = ours.expect("it is listed").split_whitespace().collect();
    assert_eq!((ours[1], ours[3]), ("4", "attached"), "{text}");
    assert!(!text.contains('\u{1b}'), "{text:?}");

    let list = runtime.ask_json(&["ps", "--json"]);
    assert_eq!(list["schema"], "tasktrace.ps/1");
    let processes = list["processes"].as_array().expect("it is a list");
    let ours = processes
        .iter()
        .find(|it| it["pid"] == program.id())
        .expect("it is listed");
    assert_eq!(
        (&ours["name"], &ours["tasks"]),
        (&"attached".into(), &4.into())
    );
    // The system reports the start time in steps, so the age may be 0.
    let age = ours["age_ns"].as_u64().map(Duration::from_nanos);
    assert!(
        age.is_some_and(|age| age < Duration::from_secs(3600)),
        "{ours}"
    );
    assert_eq!(ours["socket"], program.said[0]);
    assert!(ours["error"].is_null());
}

#[test]
fn ps_of_a_process_lists_its_tasks() {
    let runtime = Runtime::new();
    let program = start_program(&runtime);
    for target in targets(&runtime, &program) {
        if target.is_empty() {
            continue;
        }
        let text = runtime.ask(&command_with_target(&["ps"], &target));
        let mut lines = text.lines();
        let header = format!("attached ({}): 4 tasks", program.id());
        assert!(
            lines.next().is_some_and(|line| line.starts_with(&header)),
            "{text}"
        );
        // Tasks with a finding come first. The tasks that wait for the lock are marked as well after a second.
        let tasks: Vec<&str> = lines.skip(1).collect();
        assert!(tasks[0].starts_with('!'), "{text}");
        let has = |parts: &[&str]| {
            let has_all = |line: &&&str| parts.iter().all(|part| line.contains(part));
            tasks.iter().filter(has_all).count() == 1
        };
        assert!(has(&["!", "registered no waker in this poll: "]), "{text}");
        let order = [
            "      3  suspended",
            "attached::order",
            "tokio::sync::Mutex::lock",
        ];
        assert!(has(&order), "{text}");
        assert!(!text.contains('\u{1b}'), "{text:?}");
    }
    let text = runtime.ask(&["ps", "--each", &program.pid()]);
    for label in ["ann", "bob", "eve"] {
        let line = text
            .lines()
            .find(|line| line.contains(&format!("\"order {label}\"")));
        assert!(
            line.is_some_and(|line| line.contains("Mutex::lock")),
            "{text}"
        );
    }
    // A snapshot captures nothing, so it shows no resources.
    let text = runtime.ask(&["ps", "--snapshot", &program.pid()]);
    assert!(
        text.contains("attached::order") && !text.contains("Mutex"),
        "{text}"
    );
    let view = runtime.ask_json(&["ps", "--json", &program.pid()]);
    assert_eq!(
        (&view["schema"], &view["total"]),
        (&"tasktrace.view/1".into(), &4.into())
    );
}

#[test]
fn dump_prints_text_json_and_folded_stacks() {
    let runtime = Runtime::new();
    let program = start_program(&runtime);
    for target in targets(&runtime, &program) {
        let text = runtime.ask(&command_with_target(&["dump"], &target));
        assert!(text.starts_with("4 tasks: 4 suspended"), "{text}");
        assert!(text.contains("3 tasks attached::order"), "{text}");
        assert!(text.contains("tokio::sync::Mutex::lock at "), "{text}");
        assert!(text.ends_with('\n') && !text.contains('\u{1b}'), "{text:?}");

        let dump = runtime.ask_json(&command_with_target(&["dump", "--json"], &target));
        assert_eq!(dump["schema"], "tasktrace.dump/1");
        assert_eq!(dump["tasks"].as_array().map(Vec::len), Some(4));

        let folded = runtime.ask(&command_with_target(&["dump", "--folded"], &target));
        let order = folded.lines().find(|line| line.contains("attached::order"));
        assert!(order.is_some_and(|line| line.ends_with(" 3")), "{folded}");

        let forest = runtime.ask(&command_with_target(&["dump", "--by-awaiter"], &target));
        assert!(forest.contains("attached::order"), "{forest}");
    }
    let pid = program.pid();
    let snapshot = runtime.ask(&["dump", "--snapshot", &pid]);
    assert!(!snapshot.contains("Mutex::lock"), "{snapshot}");
    let waited = runtime.ask(&["dump", "--folded", "--weight", "waited", &pid]);
    let order = waited.lines().find(|line| line.contains("attached::order"));
    let nanos = order.and_then(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
    assert!(nanos.is_some_and(|nanos| nanos > 3), "{waited}");
}

#[test]
fn dump_writes_a_file_and_reports_its_path() {
    let runtime = Runtime::new();
    let program = start_program(&runtime);
    let file = runtime.path().join("dump.json").display().to_string();
    let told = runtime.ask_json(&["dump", "--json", "-o", &file, &program.pid()]);
    let written = fs::read_to_string(&file).expect("it is there");
    assert_eq!(
        (&told["path"], &told["bytes"]),
        (&file.as_str().into(), &written.len().into())
    );
    let dump: serde_json::Value = serde_json::from_str(&written).expect("it is JSON");
    assert_eq!(dump["schema"], "tasktrace.dump/1");

    let ended = runtime.run(&["dump", "-o", &file, &program.pid()]);
    assert_eq!((ended.code, &*ended.stdout), (Some(0), ""));
    assert_eq!(ended.stderr, format!("written to {file}\n"));
}

#[test]
fn colours_can_be_forced() {
    let runtime = Runtime::new();
    let program = start_program(&runtime);
    for command in ["ps", "dump"] {
        let text = runtime.ask(&[command, "--color", "always", &program.pid()]);
        assert!(text.contains("\u{1b}[1;31m! "), "{text:?}");
    }
}

#[test]
fn flame_prints_or_writes_an_svg() {
    let runtime = Runtime::new();
    let program = start_program(&runtime);
    for target in targets(&runtime, &program) {
        // The standard output is no terminal, so the picture goes there.
        let svg = runtime.ask(&command_with_target(&["flame"], &target));
        assert!(
            svg.starts_with("<?xml") && svg.trim_end().ends_with("</svg>"),
            "{svg}"
        );
        assert!(svg.contains("attached::order"), "{svg}");
    }
    let file = runtime.path().join("flame.svg").display().to_string();
    let ended = runtime.run(&["flame", "--weight", "waited", "-o", &file, &program.pid()]);
    assert_eq!(
        (ended.code, &*ended.stdout),
        (Some(0), ""),
        "{}",
        ended.stderr
    );
    assert!(
        fs::read_to_string(&file)
            .expect("it is there")
            .contains("attached::order")
    );
}

#[test]
fn profile_prints_or_writes_each_format() {
    let runtime = Runtime::new();
    let program = start_program(&runtime);
    for target in targets(&runtime, &program) {
        let folded = runtime.ask(&command_with_target(
            &["profile", "-s", "0.3", "-f", "folded"],
            &target,
        ));
        let order = folded.lines().find(|line| line.contains("attached::order"));
        let nanos = order.and_then(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
        assert!(nanos.is_some_and(|nanos| nanos > 0), "{folded}");
    }
    let pid = program.pid();
    let text = runtime.ask(&["profile", "-s", "0.3", &pid]);
    assert!(
        text.contains("attached::order") && !text.contains("Mutex"),
        "{text}"
    );
    let text = runtime.ask(&["profile", "-s", "0.3", "--capture", &pid]);
    assert!(text.contains("tokio::sync::Mutex::lock"), "{text}");
    let json = runtime.ask_json(&["profile", "-s", "0.3", "--every", "0.05", "--json", &pid]);
    assert!(
        json["schema"]
            .as_str()
            .is_some_and(|it| it.starts_with("tasktrace.profile/")),
        "{json}"
    );
    // A busy machine may skip some of the six samples.
    assert!(
        json["samples"]
            .as_u64()
            .is_some_and(|it| (1..=7).contains(&it)),
        "{json}"
    );
    let svg = runtime.ask(&["profile", "-s", "0.3", "-f", "svg", &pid]);
    assert!(svg.contains("attached::order"), "{svg}");
    let file = runtime.path().join("profile.pb.gz").display().to_string();
    let ended = runtime.run(&["profile", "-s", "0.3", "-f", "pprof", "-o", &file, &pid]);
    assert_eq!((ended.code, &*ended.stdout), (Some(0), ""));
    // There is no progress bar, because there is no terminal.
    assert_eq!(ended.stderr, format!("written to {file}\n"));
    assert_eq!(
        fs::read(&file).expect("it is there")[..2],
        [0x1f, 0x8b],
        "gzip"
    );
}

#[test]
fn top_prints_json_documents_without_a_terminal() {
    let runtime = Runtime::new();
    let program = start_program(&runtime);
    let text = runtime.ask(&["top", "--json", "-n", "2", "-i", "50ms", &program.pid()]);
    let documents: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("it is one a line"))
        .collect();
    assert_eq!(documents.len(), 2);
    assert!(
        documents
            .iter()
            .all(|it| it["schema"] == "tasktrace.view/1")
    );
}

/// All threads of the program's runtime are blocked.
#[test]
fn a_process_with_blocked_workers_answers() {
    let runtime = Runtime::new();
    let program = runtime.start(&["attach", "blocked"]);
    let text = runtime.ask(&["dump", &program.pid()]);
    assert!(text.starts_with("2 tasks: 2 running"), "{text}");
    assert!(text.contains("attached::blocks"), "{text}");
    let text = runtime.ask(&["ps", &program.pid()]);
    assert!(text.contains("running"), "{text}");
    runtime.ask(&["profile", "-s", "0.2", &program.pid()]);
}

#[test]
fn completions_are_printed_for_each_shell() {
    let runtime = Runtime::new();
    for (shell, part) in [
        ("bash", "complete -F _tasktrace"),
        ("zsh", "#compdef tasktrace"),
        ("fish", "complete -c tasktrace"),
        ("elvish", "tasktrace"),
        ("powershell", "tasktrace"),
    ] {
        let script = runtime.ask(&["completions", shell]);
        assert!(script.contains(part), "{shell}: {script}");
        assert!(script.contains("profile"), "{shell}: {script}");
    }
    // The shell accepts the script.
    let script = runtime.path().join("completions");
    fs::write(&script, runtime.ask(&["completions", "bash"])).expect("it can be written");
    let checked = std::process::Command::new("bash")
        .arg("-n")
        .arg(&script)
        .status();
    if let Ok(status) = checked {
        assert!(status.success());
    }
}

#[test]
fn help_shows_examples_exit_codes_and_options() {
    let runtime = Runtime::new();
    let help = runtime.ask(&["--help"]);
    for part in [
        "Examples:",
        "tasktrace top 4711",
        "Exit codes:",
        "no such process",
        "completions",
    ] {
        assert!(help.contains(part), "{help}");
    }
    for command in ["ps", "dump", "top", "flame", "profile"] {
        let help = runtime.ask(&[command, "--help"]);
        for part in ["[PID]", "--addr", "TASKTRACE_TOKEN", "--json", "--timeout"] {
            assert!(help.contains(part), "{command}: {help}");
        }
    }
    assert!(runtime.ask(&["--version"]).starts_with("tasktrace "));
}
