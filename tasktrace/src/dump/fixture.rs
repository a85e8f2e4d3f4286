//! Makes up dumps for tests.

use std::time::{Duration, SystemTime};

use super::{Dump, Source, Stall, StallPhase, StallReport, StalledFunction, TaskDump, Unpolled};
use crate::task::{NoAnswer, Running, TaskId, TaskState, TraceError};
use crate::trace::{Frame, Trace};

pub(crate) fn id(number: u64) -> TaskId {
    TaskId::from_number(number)
}

pub(crate) fn secs(secs: f64) -> Duration {
    Duration::from_secs_f64(secs)
}

/// Returns the time at which all made-up dumps were taken.
pub(crate) fn some_time() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}

pub(crate) fn dump(tasks: impl IntoIterator<Item = TaskDump>) -> Dump {
    Dump::new(tasks.into_iter().collect(), None).taken_at(some_time())
}

/// Creates a suspended task that was polled half a second ago.
pub(crate) fn task(number: u64, name: &str) -> TaskDump {
    TaskDump {
        id: id(number),
        name: name.to_owned().into(),
        label: None,
        state: TaskState::Suspended,
        age: secs(15.0),
        last_polled: Some(secs(0.5)),
        polls: 41,
        spawned_at: None,
        parent: None,
        awaits: Vec::new(),
        polls_per_second: None,
        unpolled: None,
        trace: Trace::sample(Vec::new()),
        source: Source::Capture,
    }
}

impl TaskDump {
    pub(crate) fn with_label(mut self, label: &str) -> Self {
        self.label = Some(label.into());
        self
    }

    pub(crate) fn suspended_for(mut self, time: f64) -> Self {
        self.state = TaskState::Suspended;
        self.last_polled = Some(secs(time));
        self
    }

    pub(crate) fn running_for(mut self, time: f64) -> Self {
        self.state = TaskState::Running(Running {
            thread_name: Some("tokio-rt-worker".into()),
            thread_id: 4711,
            for_: secs(time),
            computes: None,
        });
        self.last_polled = Some(secs(time));
        self
    }

    pub(crate) fn on_thread(mut self, id: u64) -> Self {
        if let TaskState::Running(running) = &mut self.state {
            running.thread_id = id;
        }
        self
    }

    /// Sets the activity of the thread that polls the task: `true` if it computes, `false` if it is blocked.
    pub(crate) fn computing(mut self, computes: bool) -> Self {
        if let TaskState::Running(running) = &mut self.state {
            running.computes = Some(computes);
        }
        self
    }

    pub(crate) fn polled_per_second(mut self, polls: u64) -> Self {
        self.polls_per_second = Some(polls);
        self
    }

    pub(crate) fn woken(mut self) -> Self {
        self.state = TaskState::Woken;
        self
    }

    /// Makes the task one that was woken to answer and not polled since. `is_proven` is `true` if its executor had the
    /// processor time to poll it.
    pub(crate) fn unpolled_for(mut self, time: f64, is_proven: bool) -> Self {
        self.unpolled = Some(Unpolled {
            for_: secs(time),
            is_proven,
        });
        let error = Some(TraceError::NoAnswer {
            waited: secs(time),
            reason: NoAnswer::NotPolled,
        });
        self.source = Source::Snapshot { error };
        self
    }

    pub(crate) fn finished(mut self) -> Self {
        self.state = TaskState::Finished;
        self
    }

    pub(crate) fn never_polled(mut self) -> Self {
        self.state = TaskState::NeverPolled;
        self.last_polled = None;
        self.polls = 0;
        self.source = Source::Snapshot { error: None };
        self.old(15.0)
    }

    pub(crate) fn old(mut self, age: f64) -> Self {
        self.age = secs(age);
        if self.state == TaskState::NeverPolled {
            self.unpolled = Some(Unpolled {
                for_: self.age,
                is_proven: false,
            });
        }
        self
    }

    pub(crate) fn spawned_by(mut self, parent: u64) -> Self {
        self.parent = Some(id(parent));
        self
    }

    pub(crate) fn awaiting<const N: usize>(mut self, awaited: [u64; N]) -> Self {
        self.awaits = awaited.map(id).into();
        self
    }

    pub(crate) fn at<const N: usize>(mut self, frames: [Frame; N]) -> Self {
        self.trace = Trace::sample(frames.into());
        self
    }
}

/// Creates a stall that has just begun.
pub(crate) fn stall(kind: Stall, duration: f64, limit: f64, task: TaskDump) -> StallReport {
    StallReport {
        kind,
        phase: StallPhase::Began,
        duration: secs(duration),
        limit: secs(limit),
        task,
        function: None,
        blocked_by: None,
        untraced: 0,
        inspected: None,
    }
}

impl StallReport {
    pub(crate) fn ended(mut self, duration: f64) -> Self {
        self.phase = StallPhase::Ended;
        self.duration = secs(duration);
        self
    }

    /// Sets the overdue function, which is called by the task.
    pub(crate) fn of(mut self, name: &'static str, label: Option<&str>) -> Self {
        self.function = Some(StalledFunction {
            name,
            label: label.map(Into::into),
            file: "src/fetch.rs",
            line: 3,
            is_task: false,
        });
        self
    }

    /// Marks the overdue function as the task itself.
    pub(crate) fn of_task(mut self) -> Self {
        if let Some(function) = &mut self.function {
            function.is_task = true;
        }
        self
    }
}
