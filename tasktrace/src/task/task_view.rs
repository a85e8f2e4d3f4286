//! Reads the state of tasks without taking references to their headers.
//!
//! The watchdog scans all tasks periodically, and most of them are well. It must not take references, because counting
//! a reference is a locked instruction on a cache line that the poller uses. It need not take them either. Everything
//! that a [`TaskView`] reads is static or an atomic in a header or its [side table](super::side_table), and these are
//! never freed. If the header is reused for another task meanwhile, the result is wrong, but there is no data race.
//!
//! So a view is good for a suspicion only. The watchdog then [retains](TaskView::retain) the task, which keeps the
//! header from being reused, and checks again; only that check counts.
//!
//! The values of one [observation](TaskView::observe) still belong together, because they are in one word: see
//! [`last_poll`](super::last_poll). `header/model.rs` checks the claims that an observation makes about other words.

use super::clock::CoarseInstant;
use super::handle::TraceHandle;
use super::header::Header;
use super::observation::{ExecutorId, Observation};
use super::pool;
use super::task_ref::TaskRef;

/// An unreferenced view of a task: a header that was in use when it was found.
#[derive(Clone, Copy)]
pub(crate) struct TaskView(&'static Header);

/// Returns views of all tasks. Takes no references.
pub(crate) fn task_views() -> impl Iterator<Item = TaskView> {
    pool::headers()
        .filter(|header| header.ref_count.is_referenced())
        .map(TaskView)
}

impl TaskView {
    /// Returns the address of the header. It identifies one task only while there is a reference.
    pub(crate) fn address(self) -> usize {
        std::ptr::from_ref(self.0).addr()
    }

    #[inline]
    pub(crate) fn observe(self) -> Observation {
        self.0.observe()
    }

    #[inline]
    pub(crate) fn executor(self) -> ExecutorId {
        self.0.executor()
    }

    /// Returns `true` if the last poll of the task was inside a poll of another task. Waking it makes that other task
    /// be polled.
    #[inline]
    pub(crate) fn is_nested(self) -> bool {
        self.0.is_nested()
    }

    /// Returns `true` if a requester waits for a capture of the task.
    #[inline]
    pub(crate) fn is_capture_pending(self) -> bool {
        self.0.is_capture_pending()
    }

    /// Returns `true` if the task, which has been suspended since `since`, or one of its frames may have reached its
    /// wait limit.
    pub(crate) fn may_be_overdue(self, since: CoarseInstant, now: CoarseInstant) -> bool {
        self.0.may_be_overdue(since, now) || self.0.may_have_overdue_frame(now)
    }

    /// Takes a reference to the task that is in the header now. Returns `None` if there is none.
    pub(crate) fn retain(self) -> Option<TraceHandle> {
        TaskRef::of_task_in(self.0).map(TraceHandle::new)
    }
}
