//! What can be seen of a task without a reference to its record.
//!
//! Whoever looks at all tasks again and again, most of which are well, must not take references: to
//! count one is a locked instruction on a line that the poller uses. It need not either. What is read
//! here are atomics of records, and of their [extras](super::extras), which are never
//! freed, and what is static. A record that is used again for another task meanwhile makes what was
//! read wrong, but no data race. So a [`Glance`] is good for a suspicion. Whoever has one
//! [retains](Glance::retain) the record, after which it belongs to the task that is in it, and looks
//! again: only that counts.
//!
//! What is seen in one look is consistent for another reason: it is in one word, see
//! [`stamp`](super::stamp). What that says of others is checked in `record/model.rs`.

use super::clock::Tick;
use super::handle::TraceHandle;
use super::pool;
use super::record::Record;
use super::reference::RecordRef;
use super::sight::{Executor, Sight};

/// A record that was in use when it was come across.
#[derive(Clone, Copy)]
pub(crate) struct Glance(&'static Record);

/// All tasks whose records are in use, at a glance: no reference is taken.
pub(crate) fn glances() -> impl Iterator<Item = Glance> {
    pool::records()
        .filter(|record| record.refs.any())
        .map(Glance)
}

impl Glance {
    /// Tells the record from others. It is that of one task only as long as there is a reference.
    pub(crate) fn address(self) -> usize {
        std::ptr::from_ref(self.0).addr()
    }

    #[inline]
    pub(crate) fn sight(self) -> Sight {
        self.0.sight()
    }

    #[inline]
    pub(crate) fn executor(self) -> Executor {
        self.0.executor()
    }

    /// Whether it was last polled by another task. To wake it is to have that polled.
    #[inline]
    pub(crate) fn is_nested(self) -> bool {
        self.0.is_nested()
    }

    /// Whether somebody has asked for a trace, and waits.
    #[inline]
    pub(crate) fn is_asked(self) -> bool {
        self.0.is_asked()
    }

    /// Whether the task, which has been resting since then, or a function in it may have been
    /// suspended for as long as it is allowed to, or longer.
    pub(crate) fn may_be_overdue(self, since: Tick, now: Tick) -> bool {
        self.0.may_be_overdue(since, now) || self.0.may_have_overdue_frame(now)
    }

    /// A reference to the task that is in the record, if there is one.
    pub(crate) fn retain(self) -> Option<TraceHandle> {
        RecordRef::of_task_in(self.0).map(TraceHandle::new)
    }
}
