//! Tests the list of tasks that ended before they finished.

use super::*;
use crate::dump::EndedTask;

#[test]
fn panicked_tasks_come_before_dropped_ones() {
    let ended = vec![
        EndedTask::sample(31, None),
        EndedTask::sample(30, Some("lost\x1b[31m\nforged")),
    ];
    let dump = dump([]).with_ended(ended);
    let taken = std::time::SystemTime::UNIX_EPOCH + secs(1_700_000_002.0);
    check(
        dump.taken_at(taken),
        &[
            "no traced tasks",
            "",
            "ended by panic or cancellation:",
            "  task 30 app::work \"conn 1\" panicked 2.0s ago at src/worker.rs:20:9: \"lost\\u{1b}[31m\\nforged\", spawned by task 1",
            "  task 31 app::work \"conn 1\" was dropped 2.0s ago, spawned by task 1",
        ],
    );
}
