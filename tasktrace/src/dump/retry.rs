//! Asks the tasks that were not polled for a dump a second time.

use std::time::Duration;

use super::ask::ask;
use super::scan::Scan;
use super::{Dump, TaskDump};
use crate::task::TraceHandle;

/// Asks the tasks that were not polled for `dump` once more, and replaces their entries in the dump if they answer.
///
/// An executor is proven not to poll a task only if both attempts prove it.
pub(crate) fn retry_unpolled(dump: &mut Dump, tasks: &[TraceHandle], budget: Duration) {
    let is_not_polled = |id| dump.get(id).is_some_and(TaskDump::is_not_polled);
    let unanswered = tasks.iter().filter(|task| is_not_polled(task.id()));
    let unanswered: Vec<TraceHandle> = unanswered.cloned().collect();
    if unanswered.is_empty() {
        return;
    }
    for mut task in ask(&unanswered, budget, &mut Scan::at_moment(dump.moment)) {
        let Some(at) = dump.position(task.id()) else {
            continue;
        };
        let before = &mut dump.tasks[at];
        match (&mut before.unpolled, task.unpolled) {
            (Some(first), Some(second)) => {
                first.for_ += second.for_;
                first.is_proven &= second.is_proven;
            }
            _ => {
                // The first request woke the task, so the state from before that request is the right one.
                task.state = before.state.clone();
                *before = task;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::TraceHandle;

    #[test]
    fn two_short_attempts_do_not_prove_starvation() {
        let mut future = Box::pin(crate::task::traced(std::future::pending::<()>()));
        let handle: TraceHandle = future.1.clone();
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        let first = std::pin::Pin::new(&mut future.0);
        assert!(std::future::Future::poll(first, &mut cx).is_pending());
        let tasks = [handle];
        let short = Duration::from_millis(1);
        let mut dump = crate::dump::dump_of(tasks.to_vec(), short);
        retry_unpolled(&mut dump, &tasks, short);
        let task = dump.tasks().next().expect("the task is alive");
        let unpolled = task.unpolled.expect("no executor polls the task");
        assert!(
            !unpolled.is_proven && unpolled.for_ >= short,
            "{unpolled:?}"
        );
    }
}
