//! Dumps and traces for machines: `serde::Serialize`, with the feature `serde`.
//!
//! The format is that of `schema/tasktrace.schema.json`. What is different from the types:
//!
//! * A dump or a trace starts with the name and the version of its format. Fields may be added
//!   within a version; whatever else changes makes another.
//! * Durations are whole nanoseconds, in fields whose names end with `_ns`: nothing is lost.
//! * The frames of a trace are a flat list, each before its children, with the position of the one
//!   that it is a child of. A tree of 10,000 frames, one in the other, is too deep for the readers
//!   of many languages, and for a writer that recurses.
//! * A field without a value is `null`, so that all objects of a kind have the same fields.
//!
//! The implementations are written out: there are few, and a derive macro would be compiled by
//! everybody who wants the feature.

use std::panic::Location;
use std::time::Duration;

use serde::ser::{Serialize, SerializeSeq, SerializeStruct, Serializer};

use super::walk::{Step, walk};
use crate::dump::{Dump, Source, TaskDump};
use crate::symbol::Paths;
use crate::task::{NoAnswer, Running, TaskId, TaskState, TraceError};
use crate::trace::{Frame, Missing, Notes, Trace, Tree, Wait};

/// The format of a [`Dump`].
const DUMP: &str = "tasktrace.dump/1";

/// The format of a [`Trace`] by itself.
const TRACE: &str = "tasktrace.trace/1";

/// Serialises an object with these fields.
macro_rules! object {
    ($serializer:expr, $name:literal, { $($field:literal: $value:expr,)* }) => {{
        let mut object = $serializer.serialize_struct($name, [$($field),*].len())?;
        $(object.serialize_field($field, &$value)?;)*
        object.end()
    }};
}

/// The feature `serde`: see [`schema/tasktrace.schema.json`](https://github.com/petrosagg/tasktrace/blob/HEAD/tasktrace/schema/tasktrace.schema.json).
impl Serialize for Dump {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        object!(serializer, "Dump", {
            "schema": DUMP,
            "untraced": self.untraced(),
            "tasks": Tasks(self),
        })
    }
}

struct Tasks<'a>(&'a Dump);

impl Serialize for Tasks<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let paths = Paths::new();
        let tasks = self.0.tasks();
        serializer.collect_seq(tasks.map(|task| Task(task, &paths)))
    }
}

/// The feature `serde`: an element of the `tasks` of a dump.
impl Serialize for TaskDump {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Task(self, &Paths::new()).serialize(serializer)
    }
}

struct Task<'a>(&'a TaskDump, &'a Paths);

impl Serialize for Task<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(task, paths) = self;
        object!(serializer, "TaskDump", {
            "id": task.id(),
            "name": task.name(),
            "label": task.label(),
            "state": task.state(),
            "age_ns": nanos(task.age()),
            "last_polled_ns": task.last_polled().map(nanos),
            "polls": task.polls(),
            "spawned_at": task.spawned_at().map(|place| Place(place, paths)),
            "parent": task.parent(),
            "awaits": task.awaits(),
            "source": task.source(),
            "trace": Body(task.trace().tidy()),
        })
    }
}

struct Place<'a>(&'static Location<'static>, &'a Paths);

impl Serialize for Place<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(place, paths) = self;
        object!(serializer, "Location", {
            "file": paths.shorten(place.file()),
            "line": place.line(),
            "column": place.column(),
        })
    }
}

/// The feature `serde`: the number.
impl Serialize for TaskId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.get())
    }
}

/// The feature `serde`: an object with its `kind`, such as `"suspended"`.
impl Serialize for TaskState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let kind = match self {
            Self::Running(running) => return running.serialize(serializer),
            Self::NeverPolled => "never_polled",
            Self::Suspended => "suspended",
            Self::Woken => "woken",
            Self::Finished => "finished",
        };
        object!(serializer, "TaskState", { "kind": kind, })
    }
}

/// The feature `serde`: an object of the kind `"running"`.
impl Serialize for Running {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        object!(serializer, "Running", {
            "kind": "running",
            "thread_name": self.thread_name(),
            "thread_id": self.thread_id(),
            "duration_ns": nanos(self.duration()),
        })
    }
}

/// The feature `serde`: an object of the kind `"capture"` or `"snapshot"`.
impl Serialize for Source {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Capture => object!(serializer, "Source", { "kind": "capture", }),
            Self::Snapshot { error } => object!(serializer, "Source", {
                "kind": "snapshot",
                "error": error,
            }),
        }
    }
}

/// The feature `serde`: an object with its `kind`, such as `"no_answer"`, and a `message`.
impl Serialize for TraceError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let message = self.to_string();
        let kind = match self {
            Self::NoAnswer { waited, reason } => {
                return object!(serializer, "TraceError", {
                    "kind": "no_answer",
                    "message": message,
                    "waited_ns": nanos(*waited),
                    "reason": reason,
                });
            }
            Self::Finished => "finished",
            Self::Panicked => "panicked",
            Self::NeverPolled => "never_polled",
            Self::InsideOwnPoll => "inside_own_poll",
        };
        object!(serializer, "TraceError", { "kind": kind, "message": message, })
    }
}

/// The feature `serde`: `"running"` or `"not_polled"`.
impl Serialize for NoAnswer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Self::Running => "running",
            Self::NotPolled => "not_polled",
        })
    }
}

/// The feature `serde`: see [`schema/tasktrace.schema.json`](https://github.com/petrosagg/tasktrace/blob/HEAD/tasktrace/schema/tasktrace.schema.json).
///
/// The frames are those of [`frames`](Trace::frames), which are looked up if they have not been.
impl Serialize for Trace {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let tree = self.tidy();
        object!(serializer, "Trace", {
            "schema": TRACE,
            "frames": Frames(&tree.frames),
            "notes": tree.notes,
        })
    }
}

/// A trace in a dump, which has said which format it is.
struct Body<'a>(&'a Tree);

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        object!(serializer, "Trace", {
            "frames": Frames(&self.0.frames),
            "notes": self.0.notes,
        })
    }
}

/// The feature `serde`: the list of this frame and all below it, as in a trace.
impl Serialize for Frame {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Frames(std::slice::from_ref(self)).serialize(serializer)
    }
}

struct Frames<'a>(&'a [Frame]);

impl Serialize for Frames<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut frames = serializer.serialize_seq(Some(walk(self.0).count()))?;
        for step in walk(self.0) {
            frames.serialize_element(&step)?;
        }
        frames.end()
    }
}

impl Serialize for Step<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let frame = self.frame;
        object!(serializer, "Frame", {
            "parent": self.parent,
            "name": frame.name(),
            "label": frame.label(),
            "file": frame.file(),
            "line": frame.line(),
            "column": frame.column(),
            "wait": frame.wait(),
            "count": frame.count(),
            "age_ns": frame.age().map(nanos),
            "not_polled_for_ns": frame.not_polled_for().map(nanos),
        })
    }
}

/// The feature `serde`: a word, such as `"registered"`.
impl Serialize for Wait {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Self::Registered => "registered",
            Self::Yielded => "yielded",
            Self::OutOfBudget => "out_of_budget",
            Self::NoWaker => "no_waker",
            Self::Suspended => "suspended",
            Self::NotPolled => "not_polled",
            Self::Running => "running",
        })
    }
}

impl Serialize for Notes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let missing = self.missing.map(|missing| match missing {
            Missing::Symbols => "symbols",
            Missing::DebugInfo => "debug_info",
        });
        object!(serializer, "Notes", {
            "missing": missing,
            "leaves_not_recorded": self.dropped,
            "wakers_of_other_threads": self.elsewhere,
        })
    }
}

/// In 584 years it does not fit any more.
fn nanos(duration: Duration) -> u64 {
    duration.as_nanos().try_into().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
