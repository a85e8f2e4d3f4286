//! A process that reads its own memory.

use std::process;
use std::thread;
use std::time::Duration;

use tasktrace_inspect::{Options, TaskState, inspect_process};
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
    let report = loop {
        let report = inspect_process(process::id(), &Options::default()).unwrap();
        let mut tasks = report.tasks.iter();
        if tasks.any(|task| task.state == TaskState::Suspended) {
            break report;
        }
    };
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
