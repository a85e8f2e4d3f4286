//! Tests the texts of made-up dumps, traces and reports.

mod ansi_adds_only_colours;
mod awaited_tasks_are_nested;
mod ended_tasks_are_listed;
mod headers_describe_tasks;
mod names_cannot_control_terminals;
mod severe_groups_come_first;
mod similar_siblings_are_folded;
mod similar_tasks_are_grouped;
mod stall_reports_name_the_cause;
mod the_summary_counts_tasks;
mod trees_show_frames;

use std::panic::Location;
use std::time::Duration;

use crate::dump::fixture::{dump, id, secs, stall, task};
use crate::dump::{Dump, Source, Stall, TaskDump};
use crate::task::{NoAnswer, TraceError};
use crate::trace::{Frame, LineIs, Missing, Notes, Trace, Wait};

/// Asserts that a text has exactly these lines.
#[track_caller]
fn check(text: impl ToString, expected: &[&str]) {
    let text = text.to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines, expected, "\n{text}");
}

/// Returns the start of each header of a dump, up to the first comma.
fn headers(dump: &Dump) -> Vec<String> {
    let text = dump.to_string();
    let headers = text.split("\n\n").skip(1);
    let words = headers.map(|group| group.split(',').next().unwrap_or_default().to_owned());
    words.collect()
}

/// Returns a location for a task to have been spawned at, and its text.
fn spawn_site() -> (&'static Location<'static>, String) {
    let here = Location::caller();
    let shown = format!("{}:{}:{}", here.file(), here.line(), here.column());
    (here, shown)
}

/// Runs a test on a thread whose stack is too small for recursion over tasks or over the frames of a trace.
fn on_a_small_stack(test: fn()) {
    let builder = std::thread::Builder::new().stack_size(128 * 1024);
    let thread = builder.spawn(test).expect("a thread can be spawned");
    thread.join().expect("the test does not overflow its stack");
}

/// Returns the processor time of this thread, which a busy machine does not prolong. Where the system does not tell it,
/// the time stands still.
fn cpu_time() -> Duration {
    crate::os::thread::cpu_time().unwrap_or_default()
}
