//! Many tasks.

use std::time::Duration;

use tasktrace_inspect::{Options, inspect_process};

use crate::program::{Profile, Program};

#[test]
fn ten_thousand_tasks_are_read() {
    let program = Program::start("many", Profile::Release);
    let report = inspect_process(program.pid(), &Options::default()).unwrap();
    let tasks: Vec<_> = report.tasks.iter().filter(|it| it.id.is_some()).collect();
    assert_eq!(tasks.len(), 10_000);
    for task in tasks {
        assert_eq!(task.problem, None);
        let mut frames = &task.frames;
        let mut depth = 0;
        while let Some(frame) = frames.first() {
            depth += 1;
            frames = &frame.children;
        }
        assert_eq!(depth, 11, "{task}");
    }
    println!(
        "10,000 tasks: {:.0} ms of reading, {:.0} ms of debug info",
        report.source.read_ms, report.source.index_ms
    );
    assert!(report.source.read_ms < Duration::from_secs(30).as_millis() as f64);
}
