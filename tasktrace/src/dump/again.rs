//! Asking once more those that were not polled.

use std::time::Duration;

use super::ask::ask;
use super::look::Look;
use super::{Dump, TaskDump};
use crate::task::TraceHandle;

/// Asks those once more that were not polled, and has their answers in the dump. It is proven that their executors do
/// not poll them only if both times say so.
pub(crate) fn ask_again(dump: &mut Dump, tasks: &[TraceHandle], budget: Duration) {
    let is_not_polled = |id| dump.get(id).is_some_and(TaskDump::is_not_polled);
    let unanswered = tasks.iter().filter(|task| is_not_polled(task.id()));
    let unanswered: Vec<TraceHandle> = unanswered.cloned().collect();
    if unanswered.is_empty() {
        return;
    }
    for mut task in ask(&unanswered, budget, &mut Look::at_moment(dump.moment)) {
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
                // That it was woken since was our doing.
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
    fn too_short_a_time_proves_nothing() {
        let mut future = Box::pin(crate::task::traced(std::future::pending::<()>()));
        let handle: TraceHandle = future.1.clone();
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        let first = std::pin::Pin::new(&mut future.0);
        assert!(std::future::Future::poll(first, &mut cx).is_pending());
        let tasks = [handle];
        let short = Duration::from_millis(1);
        let mut dump = crate::dump::dump_of(tasks.to_vec(), short);
        ask_again(&mut dump, &tasks, short);
        let task = dump.tasks().next().expect("it is alive");
        let unpolled = task.unpolled.expect("nobody polls it");
        assert!(
            !unpolled.is_proven && unpolled.for_ >= short,
            "{unpolled:?}"
        );
    }
}
