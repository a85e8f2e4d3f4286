//! A process whose tasks are polled all the time: nothing is shown that cannot be.

use tasktrace_inspect::{Options, TaskState, inspect_process};

use crate::program::{Profile, Program};
use crate::tree::tree;

/// All that a player can wait for.
const LEGAL: &[&str] = &[
    "busy::player @ begin\n  busy::give @ send\n    tokio::sync::mpsc::Sender::send\n",
    "busy::player @ take\n  busy::take @ recv\n    tokio::sync::mpsc::Receiver::recv\n",
    "busy::player @ give\n  busy::give @ send\n    tokio::sync::mpsc::Sender::send\n",
];

#[test]
fn tasks_that_change_meanwhile_are_shown_as_they_were_or_not_at_all() {
    let program = Program::start("busy", Profile::Release);
    let mut shown = 0;
    for _ in 0..10 {
        let report = inspect_process(program.pid(), &Options::default()).unwrap();
        for task in report.tasks.iter().filter(|task| task.id.is_some()) {
            if task.problem.is_some() {
                continue;
            }
            assert_ne!(task.state, TaskState::Running);
            let tree = tree(task);
            assert!(LEGAL.contains(&&*tree), "{tree}");
            shown += 1;
        }
    }
    assert!(shown > 1000, "{shown}");
}
