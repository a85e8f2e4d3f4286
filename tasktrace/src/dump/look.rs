//! What is known of tasks without asking them, one after the other.

use std::sync::Arc;

use super::{Source, TaskDump};
use crate::task::{Moment, TaskId, TraceError, TraceHandle};
use crate::trace::Trace;

/// Looks at tasks at one moment: the clock is read once for all of them.
pub(super) struct Look {
    now: Moment,
    /// The names that were made last, by what they were made of.
    names: Vec<([usize; 4], &'static str)>,
}

/// Most programs have fewer kinds of tasks than this.
const NAMES: usize = 64;

impl Look {
    pub(super) fn now() -> Self {
        Self {
            now: Moment::now(),
            names: Vec::new(),
        }
    }

    /// As of now, from here on.
    pub(super) fn again(&mut self) {
        self.now = Moment::now();
    }

    /// All but the trace.
    pub(super) fn at(&mut self, handle: &TraceHandle) -> TaskDump {
        self.with(handle, Trace::empty())
    }

    /// The task as far as its live frames tell.
    pub(super) fn snapshot(&mut self, handle: &TraceHandle) -> TaskDump {
        self.with(handle, handle.snapshot_at(self.now))
    }

    /// Inlined, so that what is made is made where it is to be.
    #[inline(always)]
    fn with(&mut self, handle: &TraceHandle, trace: Trace) -> TaskDump {
        TaskDump {
            id: handle.id(),
            name: self.name(handle).into(),
            label: handle.label().map(Arc::from),
            state: handle.state(),
            age: handle.age_at(self.now),
            last_polled: handle.last_polled_at(self.now),
            polls: handle.polls(),
            spawned_at: handle.spawned_at(),
            parent: handle.parent(),
            awaits: awaits(&trace),
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
        self.awaits = awaits(&trace);
        self.trace = trace;
        self.source = source;
        self
    }
}
