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

#[test]
fn a_deep_tree_is_shown_whole_and_is_marked_where_a_bound_cuts_it() {
    let program = Program::start("recursive", Profile::Release);
    let count = |options: &Options| {
        let report = inspect_process(program.pid(), options).unwrap();
        let task = report.tasks.iter().find(|it| it.id.is_some()).unwrap();
        let mut names = Vec::new();
        let mut frames = &task.frames;
        while let Some(frame) = frames.first() {
            names.push(frame.name.clone());
            frames = &frame.children;
        }
        names
    };
    let names = count(&Options::default());
    assert_eq!(names.len(), 801);
    assert_eq!(names[800], "std::future::Pending");
    let mut options = Options::default();
    options.limits.depth = 50;
    let names = count(&options);
    assert!(names.len() < 60, "{}", names.len());
    assert!(names.last().unwrap().starts_with("more is not shown"));
}
