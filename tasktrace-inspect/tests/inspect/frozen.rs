//! Processes that are stopped while they are read.

use tasktrace_inspect::{Options, SourceKind, TaskState, inspect_process};

use crate::program::{Profile, Program};

#[test]
fn a_stopped_process_is_read_and_goes_on() {
    let program = Program::start("busy", Profile::Release);
    let mut options = Options::default();
    options.freeze = true;
    for _ in 0..3 {
        let report = match inspect_process(program.pid(), &options) {
            // Containers may forbid ptrace.
            Err(tasktrace_inspect::Error::Permission { .. }) => return,
            report => report.unwrap(),
        };
        assert_eq!(report.source.kind, SourceKind::Frozen);
        assert_eq!(report.missing, [], "{report}");
        let players = report.tasks.iter().filter(|task| task.id.is_some());
        assert_eq!(players.count(), 400);
        for task in &report.tasks {
            assert!(
                task.state == TaskState::Running || task.problem.is_none(),
                "{task}"
            );
        }
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", program.pid())).unwrap();
    assert!(status.contains("TracerPid:\t0"), "{status}");
    assert!(
        !status.contains("State:\tT") && !status.contains("State:\tt"),
        "{status}"
    );
}
