//! Tests that other tools read the output: `inferno` reads folded stacks, and `go tool pprof` reads profiles.

use std::future::pending;
use std::io::{BufReader, Cursor};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use inferno::collapse::Collapse;
use inferno::collapse::recursive::{Folder, Options};
use tasktrace::{Dump, Weight};
use tokio::sync::{Mutex, Notify, Semaphore};

/// A program of three tasks that wait for a lock, one that waits for two resources at once, and one that nothing can
/// wake.
struct Program {
    runtime: tokio::runtime::Runtime,
    tasks: usize,
}

#[tasktrace::traced]
async fn convoy(lock: &'static Mutex<()>) {
    let _guard = lock.lock().await;
    unreachable!("it is never unlocked");
}

#[tasktrace::traced]
async fn both(one: &'static Notify, other: &'static Semaphore) {
    let _both = tokio::join!(one.notified(), other.acquire());
}

impl Program {
    fn new() -> Self {
        let threads = tokio::runtime::Builder::new_multi_thread();
        let runtime = { threads }.worker_threads(1).enable_all().build();
        let runtime = runtime.expect("there can be one");
        let lock: &'static Mutex<()> = Box::leak(Box::new(Mutex::new(())));
        std::mem::forget(lock.try_lock().expect("it is new"));
        static ONE: Notify = Notify::const_new();
        static OTHER: Semaphore = Semaphore::const_new(0);
        for _ in 0..3 {
            let (future, _handle) = tasktrace::traced(convoy(lock));
            runtime.spawn(future);
        }
        runtime.spawn(both(&ONE, &OTHER));
        runtime.spawn(tasktrace::traced(pending::<()>()).0);
        Self { runtime, tasks: 5 }
    }

    /// Takes dumps until all tasks wait in their final places, and returns the last dump.
    fn dump(&self) -> Dump {
        let _entered = self.runtime.enter();
        loop {
            let dump = tasktrace::dump_blocking(Duration::from_secs(10));
            let waits = |task: &tasktrace::TaskDump| *task.source() == tasktrace::Source::Capture;
            if dump.len() == self.tasks && dump.tasks().all(waits) {
                return dump;
            }
            std::thread::yield_now();
        }
    }
}

/// Splits folded stacks into pairs of a stack and a number.
fn split(folded: &str) -> Vec<(Vec<&str>, u64)> {
    let lines = folded.lines().map(|line| {
        let (stack, number) = line.rsplit_once(' ').expect("there is a number");
        let number = number.parse().expect("it is a number");
        (stack.split(';').collect(), number)
    });
    lines.collect()
}

// This file has one test, because the dumps would contain the tasks of another.
#[test]
fn inferno_and_go_read_the_output() {
    let program = Program::new();
    let dump = program.dump();
    check_folded_stacks(&dump);
    check_inferno(&dump);
    check_go(&dump);
}

fn check_folded_stacks(dump: &Dump) {
    let folded = dump.folded(Weight::Tasks).to_string();
    let lines = split(&folded);
    let sum: u64 = lines.iter().map(|(_, tasks)| tasks).sum();
    assert_eq!(sum, 5, "{folded}");
    let lock = lines
        .iter()
        .find(|(stack, _)| *stack == ["formats::convoy", "tokio::sync::Mutex::lock"]);
    assert_eq!(lock.map(|(_, tasks)| *tasks), Some(3), "{folded}");
    assert!(folded.contains("[no waker registered]"), "{folded}");
}

fn check_inferno(dump: &Dump) {
    let folded = dump.folded(Weight::Tasks).to_string();
    // `inferno` merges the frames of recursive functions; this program has none.
    let mut read = Vec::new();
    let mut collapse = Folder::from(Options::default());
    let collapsed = collapse.collapse(BufReader::new(Cursor::new(&folded)), &mut read);
    collapsed.expect("it can be read");
    let mut read: Vec<&str> = std::str::from_utf8(&read)
        .expect("it is text")
        .lines()
        .collect();
    read.sort_unstable();
    assert_eq!(read, folded.lines().collect::<Vec<_>>());

    let mut svg = Vec::new();
    let mut options = inferno::flamegraph::Options::default();
    let drawn = inferno::flamegraph::from_lines(&mut options, folded.lines(), &mut svg);
    drawn.expect("it can be drawn");
    let theirs = String::from_utf8(svg).expect("it is text");
    assert!(
        theirs.contains("tokio::sync::Mutex::lock (3 samples, 60.00%)"),
        "{theirs}"
    );

    let mut svg = Vec::new();
    let written = dump.write_flamegraph(Weight::Tasks, &mut svg);
    written.expect("a `Vec` takes it");
    let ours = String::from_utf8(svg).expect("it is text");
    let lock = "tokio::sync::Mutex::lock (300 hundredths of a task, 60.00%)";
    assert!(ours.contains(lock), "{ours}");
}

/// Prints a note where Go is missing: unit tests of the library check the file as well.
fn check_go(dump: &Dump) {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("formats.pb.gz");
    let mut file = std::fs::File::create(&path).expect("it can be created");
    dump.write_pprof(&mut file).expect("it can be written");
    let pprof = |arguments: &[&str]| {
        let command = Command::new("go")
            .args(["tool", "pprof"])
            .args(arguments)
            .arg(&path)
            .output();
        let output = match command {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
            command => command.expect("it can be run"),
        };
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{errors}");
        Some(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let Some(top) = pprof(&["-top"]) else {
        eprintln!("there is no `go` here: not tested");
        return;
    };
    assert!(top.contains("Type: tasks"), "{top}");
    let first = top
        .lines()
        .skip_while(|line| !line.contains("flat%"))
        .nth(1);
    let first: Vec<&str> = first.expect("there is one").split_whitespace().collect();
    assert_eq!(
        first,
        [
            "3",
            "60.00%",
            "60.00%",
            "3",
            "60.00%",
            "tokio::sync::Mutex::lock"
        ],
        "{top}"
    );

    let waited = pprof(&["-top", "-sample_index=waited", "-unit=ns"]).expect("it is there");
    assert!(waited.contains("Type: waited"), "{waited}");
    // A task that waits for two resources splits its time between them.
    assert!(waited.contains("formats::both"), "{waited}");

    let traces = pprof(&["-traces"]).expect("it is there");
    for word in [
        "task:",
        "state:suspended",
        "name:formats::convoy",
        "wait:no_waker",
    ] {
        let found = traces
            .lines()
            .any(|line| line.replace(' ', "").contains(word));
        assert!(found, "{word}: {traces}");
    }

    // The line of the source that waits.
    let list = Command::new("go")
        .args(["tool", "pprof", "-list=convoy"])
        .arg(&path)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .expect("it can be run");
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    let waits = list.lines().find(|line| line.contains("lock.lock().await"));
    let waits = waits.unwrap_or_else(|| panic!("{list}"));
    let waits: Vec<&str> = waits.split_whitespace().collect();
    assert_eq!(waits[..2], [".", "3"], "{list}");

    let lines = pprof(&["-top", "-lines"]).expect("it is there");
    assert!(lines.contains("formats.rs:"), "{lines}");
}
