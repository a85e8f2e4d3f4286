//! What is known of tasks without asking them, one after the other.

use std::sync::Arc;

use super::{Source, TaskDump, Unpolled};
use crate::task::{Moment, TaskId, TaskState, TraceError, TraceHandle};
use crate::trace::Trace;

/// Looks at tasks as of one moment: the clock is read once for all of them, so that what began at the same time is of
/// the same age wherever it is told.
pub(super) struct Look {
    now: Moment,
    /// The names that were made last, by what they were made of.
    names: Vec<([usize; 4], &'static str)>,
    /// The trace of the last task of which only the origin is known: very many tasks may share it.
    plain: Option<Trace>,
}

/// Most programs have fewer kinds of tasks than this.
const NAMES: usize = 64;

impl Look {
    pub(super) fn now() -> Self {
        Self::at_moment(Moment::now())
    }

    pub(super) fn at_moment(now: Moment) -> Self {
        Self {
            now,
            names: Vec::new(),
            plain: None,
        }
    }

    /// The moment as of which it looks.
    pub(super) fn moment(&self) -> Moment {
        self.now
    }

    /// All but the trace.
    pub(super) fn at(&mut self, handle: &TraceHandle) -> TaskDump {
        self.with(handle, Trace::empty())
    }

    /// The task as far as its live frames tell.
    pub(super) fn snapshot(&mut self, handle: &TraceHandle) -> TaskDump {
        let trace = self.trace(handle);
        self.with(handle, trace)
    }

    /// Adds its live frames to the dump of a task that cannot be asked, or has not answered.
    pub(super) fn complete(
        &mut self,
        task: &mut TaskDump,
        handle: &TraceHandle,
        error: TraceError,
    ) {
        let error = Some(error);
        task.complete(self.trace(handle), Source::Snapshot { error });
    }

    /// Has a trace tell its times as of the same moment.
    pub(super) fn of_moment(&self, trace: Trace) -> Trace {
        trace.told_at(self.now.of_steps())
    }

    fn trace(&mut self, handle: &TraceHandle) -> Trace {
        handle.snapshot_at(self.now, &mut self.plain)
    }

    /// Inlined, so that what is made is made where it is to be.
    #[inline(always)]
    fn with(&mut self, handle: &TraceHandle, trace: Trace) -> TaskDump {
        // The first of a kind takes long. What may change meanwhile is read after that.
        let name = self.name(handle).into();
        let age = handle.age_at(self.now);
        let state = handle.state_at(self.now);
        // When another requester has woken a task is not known.
        let unpolled = (state == TaskState::NeverPolled).then_some(Unpolled {
            for_: age,
            is_proven: false,
        });
        TaskDump {
            id: handle.id(),
            name,
            label: handle.label().map(Arc::from),
            state,
            age,
            last_polled: handle.last_polled_at(self.now),
            polls: handle.polls(),
            spawned_at: handle.spawned_at(),
            parent: handle.parent(),
            awaits: awaits(&trace),
            polls_per_second: None,
            unpolled,
            trace,
            source: Source::Snapshot { error: None },
        }
    }

    fn name(&mut self, handle: &TraceHandle) -> &'static str {
        let origin = handle.origin();
        let addresses = origin.addresses();
        let hash = addresses.iter().fold(0_usize, |hash, word| {
            (hash.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9)
        });
        if self.names.is_empty() {
            self.names.resize(NAMES, ([0; 4], ""));
        }
        let known = &mut self.names[(hash >> 16) % NAMES];
        if known.0 != addresses {
            *known = (addresses, origin.name());
        }
        known.1
    }
}

/// The tasks whose handles are awaited.
fn awaits(trace: &Trace) -> Vec<TaskId> {
    let numbers = trace.awaits().into_iter();
    numbers.map(TaskId::from_number).collect()
}

impl TaskDump {
    /// All but the trace.
    pub(super) fn of(handle: &TraceHandle) -> Self {
        Look::now().at(handle)
    }

    pub(super) fn with_snapshot(self, handle: &TraceHandle, error: Option<TraceError>) -> Self {
        self.with(handle.snapshot(), Source::Snapshot { error })
    }

    pub(super) fn with(mut self, trace: Trace, source: Source) -> Self {
        self.complete(trace, source);
        self
    }

    pub(super) fn complete(&mut self, trace: Trace, source: Source) {
        // The trace may be of later than the rest, and no frame is older than its task.
        self.age = self.age.max(trace.oldest());
        self.awaits = awaits(&trace);
        self.trace = trace;
        self.source = source;
    }
}
