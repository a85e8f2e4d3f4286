//! A process that reads its own memory.

use std::thread;
use std::time::Duration;

use tasktrace_inspect::{Limits, OwnProcess, TaskState};
use tokio::runtime::Builder;
use tokio::sync::oneshot;

#[test]
fn a_process_reads_its_own_tasks() {
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
            loop {
                let report = process.read(&[], Limits::default()).unwrap();
                let mut tasks = report.tasks.iter();
                if tasks.any(|task| task.state == TaskState::Suspended) {
                    return report;
                }
            }
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

/// The line of the `.await`.
const LINE: u32 = line!() + 3;

async fn own_sleeper() {
    tokio::time::sleep(Duration::from_secs(3600)).await;
}
