//! Tests the content and the destination of a dump on a signal.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use libc::{SIGINT, SIGTERM, SIGUSR1, SIGUSR2};

use super::support::*;

#[test]
fn a_dump_is_written_while_all_workers_are_blocked() {
    let mut program = Program::start(TASKS, &["SIGUSR1", "blocked"]);
    program.send(SIGUSR1);
    let told = program.tells("╼ signal_tasks::blocks");
    let mut lines = told.lines();
    assert_eq!(lines.next(), Some(&*program.header("SIGUSR1")));
    assert_eq!(lines.next(), Some("2 tasks: 2 running"), "{told}");
    program.ends_well();
}

#[test]
fn nothing_is_written_before_the_signal() {
    let program = Program::start(TASKS, &["SIGUSR1", "SIGTERM", "waiting"]);
    assert_eq!(program.ends_well().stderr, "");
}

#[test]
fn a_program_without_tasks_says_so() {
    let mut program = Program::start(TASKS, &["SIGUSR1"]);
    program.send(SIGUSR1);
    program.tells("no traced tasks");
    program.ends_well();
}

#[test]
fn each_signal_has_options_of_its_own() {
    let directory = Directory::new("each");
    let file = directory.path("tasks.txt");
    let to_file = format!("SIGUSR2:{file}");
    let mut program = Program::start(TASKS, &["SIGUSR1", &to_file, "waiting"]);
    program.send(SIGUSR2);
    let told = program.tells("tasktrace");
    let header = program.header("SIGUSR2");
    assert_eq!(told, format!("{header} written to {file}\n"));
    let dump = read(&file);
    assert!(
        dump.starts_with(&format!("{header}\n1 task: 1 suspended\n")),
        "{dump}"
    );
    assert!(
        dump.contains("signal_tasks::waits") && dump.ends_with('\n'),
        "{dump}"
    );

    program.send(SIGUSR1);
    program.tells(&program.header("SIGUSR1"));
    program.tells("signal_tasks::waits");
    assert_eq!(read(&file), dump);
    program.ends_well();
}

#[test]
fn a_second_call_replaces_the_options() {
    let directory = Directory::new("second");
    let file = directory.path("tasks.txt");
    let to_file = format!("SIGUSR1:{file}");
    let mut program = Program::start(TASKS, &["SIGUSR1", &to_file, "SIGTERM"]);
    program.send(SIGUSR1);
    program.tells("written to");
    program.send(SIGTERM);
    let ended = program.ended();
    assert_eq!(
        ended.stderr.matches("SIGUSR1").count(),
        0,
        "{}",
        ended.stderr
    );
    read(&file);
}

#[test]
fn a_file_named_json_contains_json() {
    let directory = Directory::new("json");
    let file = directory.path("tasks.json");
    let to_file = format!("SIGUSR1:{file}");
    let mut program = Program::start(TASKS, &[&to_file, "waiting"]);
    program.send(SIGUSR1);
    program.tells("written to");
    let dump: serde_json::Value = serde_json::from_str(&read(&file)).expect("it is JSON");
    assert_eq!(dump["schema"], "tasktrace.dump/1");
    assert_eq!(dump["tasks"][0]["name"], "signal_tasks::waits");
    program.ends_well();
}

#[test]
fn dump_files_are_readable_by_their_owner_only() {
    let directory = Directory::new("owner");
    for mask in ["gives nothing", "gives everything"] {
        let file = directory.path(mask);
        let mut program = Program::start(TASKS, &[mask, &format!("SIGUSR1:{file}")]);
        program.send(SIGUSR1);
        program.tells("written to");
        let permissions = fs::metadata(&file).expect("it is there").permissions();
        assert_eq!(permissions.mode() & 0o7777, 0o600, "{mask}");
        program.ends_well();
    }
}

#[test]
fn a_symbolic_link_at_the_path_is_replaced_and_not_followed() {
    let directory = Directory::new("links");
    let victim = directory.path("victim");
    fs::write(&victim, "precious").expect("it can be written");
    let file = directory.path("tasks.txt");
    symlink(&victim, &file).expect("it can be created");
    let mut program = Program::start(TASKS, &[&format!("SIGUSR1:{file}")]);
    program.send(SIGUSR1);
    program.tells("written to");
    assert_eq!(read(&victim), "precious");
    assert!(read(&file).contains("no traced tasks"));
    program.ends_well();
}

#[test]
fn a_file_that_cannot_be_written_is_reported() {
    let directory = Directory::new("cannot");
    let file = directory.path("missing/tasks.txt");
    let mut program = Program::start(TASKS, &[&format!("SIGUSR1:{file}")]);
    program.send(SIGUSR1);
    let told = program.tells("tasktrace");
    let expected = format!(
        "{} cannot be written to {file}: ",
        program.header("SIGUSR1")
    );
    assert!(told.starts_with(&expected), "{told}");
    program.ends_well();
}

#[test]
fn a_fatal_signal_dumps_before_it_ends_the_program() {
    for signal in [SIGTERM, SIGINT, libc::SIGHUP, libc::SIGALRM] {
        let number = signal.to_string();
        let mut program = Program::start(TASKS, &[&number, "waiting"]);
        program.send(signal);
        program.tells("tasktrace: dump of process");
        program.tells("signal_tasks::waits");
        assert_eq!(program.ended().status.signal(), Some(signal));
    }
}

/// The dump on the first signal would take an hour.
#[test]
fn a_second_signal_ends_the_program_at_once() {
    let in_an_hour = "SIGTERM::3600000";
    let mut program = Program::start(TASKS, &[in_an_hour, "SIGINT::3600000", "blocked"]);
    // The program is sent two signals in turns, because the system may merge repeated signals of one number.
    let mut signals = [SIGTERM, SIGINT].into_iter().cycle();
    while program.child.try_wait().expect("it is our child").is_none() {
        program.send(signals.next().expect("there is no end"));
        thread::sleep(Duration::from_millis(10));
    }
    let ended = program.ended();
    let signal = ended.status.signal();
    assert!(
        signal == Some(SIGTERM) || signal == Some(SIGINT),
        "{signal:?}"
    );
    assert_eq!(ended.stderr, "");
}

/// The reader of the dump does not read.
#[test]
fn a_dump_that_nobody_reads_delays_the_end_of_the_program_by_seconds_only() {
    let mut program = Program::start(TASKS, &["SIGUSR1", "SIGTERM::0", "stuck", "waiting"]);
    let begun = Instant::now();
    program.send(SIGUSR1);
    program.send(SIGTERM);
    let status = program.child.wait().expect("it is our child");
    assert_eq!(status.signal(), Some(SIGTERM));
    assert!(begun.elapsed() >= Duration::from_secs(5));
}

#[test]
fn a_closed_stderr_neither_panics_nor_kills_by_sigpipe() {
    for is_fatal in [false, true] {
        let mut arguments = vec!["SIGUSR1", "SIGTERM", "waiting"];
        arguments.extend(is_fatal.then_some("dies of SIGPIPE"));
        let mut program = Program::start(TASKS, &arguments);
        drop(program.stderr.take());
        program.send(SIGUSR1);
        program.send(SIGTERM);
        // The program dies of SIGTERM, and neither of SIGPIPE nor of a panic.
        assert_eq!(program.ended().status.signal(), Some(SIGTERM));
    }
}

#[test]
fn a_burst_of_signals_merges_into_few_dumps() {
    let budget = Duration::from_millis(200);
    let mut program = Program::start(TASKS, &["SIGUSR1::200", "SIGTERM::0", "blocked"]);
    let begun = Instant::now();
    for _ in 0..1000 {
        program.send(SIGUSR1);
    }
    // Dumps are taken one after the other, and one more was requested during the last.
    let most = begun.elapsed().as_millis() / budget.as_millis() + 2;
    let told = program.tells("tasktrace: dump of process");
    program.send(SIGTERM);
    let ended = program.ended();
    assert_eq!(ended.status.signal(), Some(SIGTERM));
    let dumps = dumps(&(told + &ended.stderr), "SIGUSR1");
    assert!((1..=most).contains(&(dumps as u128)), "{dumps} of {most}");
}
