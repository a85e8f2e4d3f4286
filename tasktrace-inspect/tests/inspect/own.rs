//! A process that reads its own memory.

use std::future::pending;
use std::thread;
use std::time::Duration;

use tasktrace_inspect::{Limits, OwnProcess, Report, TaskState};
use tokio::runtime::Builder;
use tokio::sync::oneshot;

/// The only test of this program that makes runtimes: memory is searched again if others have ended.
#[test]
fn a_process_reads_its_own_tasks_and_searches_only_for_new_runtimes() {
    let (stop, stopped) = oneshot::channel::<()>();
    let runtime = thread::spawn(|| {
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            tokio::spawn(own_sleeper());
            let _ = stopped.await;
        });
    });
    let reader = thread::Builder::new().stack_size(OwnProcess::STACK);
    let reader = reader.spawn(|| {
        OwnProcess::open(|process| {
            // The debug info is read once, and the memory as often as it takes until the task waits.
            let report = loop {
                let report = process.read(&[], Limits::default()).unwrap();
                let mut tasks = report.tasks.iter();
                if tasks.any(|task| task.state == TaskState::Suspended) {
                    break report;
                }
            };
            searches_only_for_new_runtimes(process);
            report
        })
    });
    let report = reader.unwrap().join().unwrap().unwrap();
    let task = report
        .tasks
        .iter()
        .find(|task| task.name == "inspect::own::own_sleeper");
    let task = task.unwrap_or_else(|| panic!("{report}"));
    assert_eq!(task.frames[0].line, Some(u64::from(LINE)));
    assert_eq!(task.frames[0].children[0].name, "tokio::time::sleep");
    stop.send(()).unwrap();
    runtime.join().unwrap();
}

/// Expects that one runtime was found before.
fn searches_only_for_new_runtimes(process: &OwnProcess<'_>) {
    let mut no_search = Limits::default();
    no_search.search = 0;
    let read = |limits| process.read(&[], limits).unwrap();
    let tries_to_search = |report: &Report| {
        let mut missing = report.missing.iter();
        missing.any(|missing| missing.reason.starts_with("the memory was not searched"))
    };
    let report = read(no_search);
    assert!(!tries_to_search(&report), "{report}");
    assert_eq!(report.runtimes, 1);
    let new = Builder::new_current_thread().build().unwrap();
    new.spawn(pending::<()>());
    assert!(tries_to_search(&read(no_search)));
    assert_eq!(read(Limits::default()).runtimes, 2);
    // Tasks that are spawned later are in lists that are known.
    let tasks = read(no_search).tasks.len();
    new.spawn(pending::<()>());
    let report = read(no_search);
    assert!(!tries_to_search(&report), "{report}");
    assert_eq!(report.tasks.len(), tasks + 1, "{report}");
    drop(new);
    let report = read(no_search);
    assert!(!tries_to_search(&report), "{report}");
    assert_eq!(report.runtimes, 1);
}

/// The line of the `.await`.
const LINE: u32 = line!() + 3;

async fn own_sleeper() {
    tokio::time::sleep(Duration::from_secs(3600)).await;
}
