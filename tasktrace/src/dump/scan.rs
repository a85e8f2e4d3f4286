//! Reads the metadata and the live frames of tasks without asking them, one task after the other.

use std::sync::Arc;

use super::{Source, TaskDump, Unpolled};
use crate::task::{ExactInstant, TaskId, TaskState, TraceError, TraceHandle};
use crate::trace::Trace;

/// A scanner that reads tasks as of one moment.
///
/// It reads the clock once for all tasks, so that everything that began at the same time has the same age in the dump.
pub(super) struct Scan {
    now: ExactInstant,
    /// A cache of the kinds of tasks, at indices that their origins determine. Empty until the first task is read.
    kinds: Vec<Kind>,
}

/// All tasks of one origin.
#[derive(Clone)]
struct Kind {
    /// The addresses of the origin.
    addresses: [usize; 4],
    name: &'static str,
    /// The last snapshot of a task of this kind. The next tasks share it if theirs are equal.
    snapshot: Option<Trace>,
}

/// The number of places in the cache. Most programs have fewer kinds of tasks.
const KINDS: usize = 64;

impl Scan {
    pub(super) fn now() -> Self {
        Self::at_moment(ExactInstant::now())
    }

    pub(super) fn at_moment(now: ExactInstant) -> Self {
        Self {
            now,
            kinds: Vec::new(),
        }
    }

    /// Returns the moment to which all ages and durations refer.
    pub(super) fn moment(&self) -> ExactInstant {
        self.now
    }

    /// Reads a task, without its trace.
    pub(super) fn read(&mut self, handle: &TraceHandle) -> TaskDump {
        self.read_with_trace(handle, Trace::empty())
    }

    /// Reads a task, with its live frames as its trace.
    pub(super) fn snapshot(&mut self, handle: &TraceHandle) -> TaskDump {
        let trace = self.trace(handle);
        self.read_with_trace(handle, trace)
    }

    /// Adds the live frames to the dump of a task that cannot be asked or has not answered, for the reason `error`.
    pub(super) fn add_live_frames(
        &mut self,
        task: &mut TaskDump,
        handle: &TraceHandle,
        error: TraceError,
    ) {
        let error = Some(error);
        task.complete(self.trace(handle), Source::Snapshot { error });
    }

    /// Recomputes the ages of a trace as of the moment of this scan.
    pub(super) fn at_same_moment(&self, trace: Trace) -> Trace {
        trace.at_moment(self.now.to_snapshot_time())
    }

    fn trace(&mut self, handle: &TraceHandle) -> Trace {
        let now = self.now;
        handle.snapshot_at(now, &mut self.kind(handle).snapshot)
    }

    /// Reads a task and combines it with `trace`. Inlined, so that the dump is built in its final place.
    #[inline(always)]
    fn read_with_trace(&mut self, handle: &TraceHandle, trace: Trace) -> TaskDump {
        // The first name of a kind takes a long time to make, so everything that may change is read after it.
        let name = self.kind(handle).name.into();
        let age = handle.age_at(self.now);
        let state = handle.state_at(self.now);
        // For a task that another requester has woken, the time of that wake is not known.
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

    /// Returns the kind of a task. A kind that is not in the cache replaces the one at its index.
    fn kind(&mut self, handle: &TraceHandle) -> &mut Kind {
        let origin = handle.origin();
        let addresses = origin.addresses();
        let hash = addresses.iter().fold(0_usize, |hash, word| {
            (hash.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9)
        });
        let kind = |addresses, name| Kind {
            addresses,
            name,
            snapshot: None,
        };
        if self.kinds.is_empty() {
            self.kinds.resize(KINDS, kind([0; 4], ""));
        }
        let known = &mut self.kinds[(hash >> 16) % KINDS];
        if known.addresses != addresses {
            *known = kind(addresses, origin.name());
        }
        known
    }
}

/// Returns the tasks whose handles are awaited in `trace`.
fn awaits(trace: &Trace) -> Vec<TaskId> {
    let numbers = trace.awaits().into_iter();
    numbers.map(TaskId::from_number).collect()
}

impl TaskDump {
    /// Reads a task as of now, without its trace.
    pub(super) fn read(handle: &TraceHandle) -> Self {
        Scan::now().read(handle)
    }

    pub(super) fn with_snapshot(self, handle: &TraceHandle, error: Option<TraceError>) -> Self {
        self.with(handle.snapshot(), Source::Snapshot { error })
    }

    pub(super) fn with(mut self, trace: Trace, source: Source) -> Self {
        self.complete(trace, source);
        self
    }

    pub(super) fn complete(&mut self, trace: Trace, source: Source) {
        // The trace may have been taken after the age was read, and no frame is older than its task.
        self.age = self.age.max(trace.oldest());
        self.awaits = awaits(&trace);
        self.trace = trace;
        self.source = source;
    }
}
