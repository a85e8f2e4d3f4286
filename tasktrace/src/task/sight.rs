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
use super::record::{Record, RecordRef};

/// What a task is doing, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    /// It has not been polled yet.
    New { made: Tick },
    /// It is in a poll, which began then.
    Running { poll: u32, since: Tick },
    /// It is suspended. The last poll that was not for the sake of somebody who asks began then.
    Resting { poll: u32, since: Tick },
    /// It has ended.
    Finished,
    /// It has panicked in its last poll.
    Moving,
}

/// What polls a task, as far as it is known: a runtime and one of its threads.
///
/// Neither would do alone. Of a runtime with many threads, one may be blocked, together with the
/// `LocalSet` that it runs; and a thread may have left a runtime for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Executor {
    /// The number of the runtime. 0 if it is not known.
    pub(crate) runtime: u32,
    /// The token of the thread that has polled it last. 0 if none has.
    pub(crate) thread: u32,
}

/// A record that was in use when it was come across.
#[derive(Clone, Copy)]
pub(crate) struct Glance(&'static Record);

impl Glance {
    pub(super) fn of(record: &'static Record) -> Self {
        Self(record)
    }

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
        self.0.exchange().is_asked()
    }

    /// Whether the task, which has been resting since then, or a function in it may have been
    /// suspended for as long as it is allowed to, or longer.
    pub(crate) fn may_be_overdue(self, since: Tick, now: Tick) -> bool {
        self.0.may_be_overdue(since, now) || self.0.frames().may_be_overdue(now)
    }

    /// A reference to the task that is in the record, if there is one.
    pub(crate) fn retain(self) -> Option<TraceHandle> {
        let retained = self.0.refs.try_retain();
        // SAFETY: it has just been retained.
        retained.then(|| TraceHandle::new(unsafe { RecordRef::from_retained(self.0) }))
    }
}
