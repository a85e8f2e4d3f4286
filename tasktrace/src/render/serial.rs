//! Dumps and traces for machines.
//!
//! Here is what is in a document, and [`value`] is what it is made of. It becomes
//!
//! * text in [`json`];
//! * whatever one likes with the feature `serde`, in `serialize`.
//!
//! With the feature `http`, `view` has what the page is made of, which is no format for others.
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

mod json;
#[cfg(feature = "serde")]
mod serialize;
mod value;

use std::panic::Location;
use std::time::SystemTime;

use super::text::HIDDEN_CHILDREN;
use super::walk::{Step, walk};
use crate::diagnosis::{self, Sure};
use crate::dump::{Dump, Hang, HowEnded, Source, Stage, TaskDump, Why};
use crate::profile::{Profile, ProfileSource, Stack};
use crate::symbol::Paths;
use crate::task::{NoAnswer, NoSample, Running, TaskId, TaskState, TraceError};
use crate::trace::{Frame, LineIs, Missing, Notes, Trace, Tree, Wait};
#[cfg(feature = "http")]
pub(crate) use process::Process;
use value::{List, Object, Value};
#[cfg(feature = "http")]
pub(crate) use view::About;

/// The format of a [`Dump`].
const DUMP: &str = "tasktrace.dump/1";

/// The format of a [`Trace`] by itself.
const TRACE: &str = "tasktrace.trace/1";

/// The format of a [`Profile`].
const PROFILE: &str = "tasktrace.profile/1";

/// The format of a report of a test that hangs.
const HANG: &str = "tasktrace.hang/1";

/// An object of this type with these fields.
macro_rules! object {
    ($name:literal, { $($field:literal: $value:expr,)* }) => {
        Value::Object(Object {
            name: $name,
            fields: vec![$(($field, Value::from($value))),*],
        })
    };
}

// They need the macro.
#[cfg(feature = "http")]
mod process;
#[cfg(feature = "http")]
mod view;

impl<'a> From<&'a Dump> for Value<'a> {
    fn from(dump: &'a Dump) -> Self {
        let tasks = List::new(dump.len(), move || {
            let paths = Paths::new();
            Trace::tidy_all(dump.tasks().map(TaskDump::trace));
            dump.tasks().map(move |it| task(it, &paths))
        });
        object!("Dump", {
            "schema": DUMP,
            "taken_unix_ms": unix_ms(dump.taken()),
            "untraced": dump.untraced(),
            "untraced_tasks": untraced_tasks(dump),
            "findings": findings(dump),
            "ended": ended(dump),
            "tasks": tasks,
        })
    }
}

fn ended(dump: &Dump) -> List<'_> {
    let ended = dump.ended();
    List::new(ended.len(), move || {
        let paths = Paths::new();
        ended.iter().map(move |task| {
            object!("EndedTask", {
                "id": &task.id(),
                "name": task.name(),
                "label": task.label(),
                "how": match task.how() {
                    HowEnded::Panicked => "panicked",
                    HowEnded::Dropped => "dropped",
                },
                "ended_unix_ms": unix_ms(task.when()),
                "spawned_at": task.spawned_at().map(|it| place(it, &paths)),
                "parent": task.parent().as_ref().map(Value::from),
                "message": task.panic_message(),
                "panicked_at": task.panicked_at().map(|(file, line, column)| object!("Location", {
                    "file": paths.shorten(file),
                    "line": line,
                    "column": column,
                })),
            })
        })
    })
}

fn untraced_tasks(dump: &Dump) -> List<'_> {
    let untraced = dump.untraced_by_runtime();
    List::new(untraced.len(), move || {
        untraced.iter().map(|untraced| {
            object!("UntracedTasks", {
                "runtime_of": untraced.runtime_of().map(TaskId::get),
                "count": untraced.count(),
            })
        })
    })
}

/// Returns the findings of a dump, the most urgent first.
fn findings(dump: &Dump) -> List<'_> {
    let forest = dump.by_awaiter();
    let standings = diagnosis::of_dump(&forest);
    let findings = diagnosis::findings(&forest, standings.into_iter());
    List::new(findings.len(), move || {
        findings.clone().into_iter().map(|finding| {
            let urgency = finding.urgency;
            let point = diagnosis::likeliest(finding.tasks[0]);
            let function = point.and_then(|point| point.function);
            let ids: Vec<u64> = finding.tasks.iter().map(|task| task.id().get()).collect();
            object!("Finding", {
                "kind": urgency.word(),
                "certainty": match finding.sure {
                    Sure::Certain => "certain",
                    Sure::Likely => "likely",
                },
                "text": urgency.words().map(|words| words.meaning),
                "function": function.map(Frame::name),
                "file": function.and_then(Frame::file),
                "line": function.and_then(Frame::line),
                "library": point.and_then(|point| point.library()),
                "resource": point.and_then(|point| point.resource()),
                "tasks": List::new(ids.len(), move || ids.clone().into_iter()),
            })
        })
    })
}

/// Of these more digits are right in any language than of nanoseconds.
fn unix_ms(time: SystemTime) -> u64 {
    let since_1970 = time.duration_since(SystemTime::UNIX_EPOCH);
    u64::try_from(since_1970.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

impl<'a> From<&'a Hang> for Value<'a> {
    fn from(hang: &'a Hang) -> Self {
        let (stage, body) = match hang.stage {
            Stage::Beginning => ("beginning", None),
            Stage::Body(id) => ("body", Some(id.get())),
            Stage::End => ("end", None),
            Stage::Late => ("late", None),
        };
        let signal = match &hang.why {
            Why::Timeout => None,
            Why::Signal(signal) => Some(signal.as_str()),
        };
        object!("Hang", {
            "schema": HANG,
            "test": hang.name.as_str(),
            "file": hang.file,
            "line": hang.line,
            "verdict": hang.verdict(),
            "after_ns": hang.after,
            "signal": signal,
            "stage": stage,
            "body": body,
            "thread_id": hang.thread,
            "unknown": hang.unknown,
            "dump": &hang.dump,
        })
    }
}

impl<'a> From<&'a Profile> for Value<'a> {
    fn from(profile: &'a Profile) -> Self {
        let stacks = profile.stacks();
        object!("Profile", {
            "schema": PROFILE,
            "began_unix_ms": unix_ms(profile.began()),
            "lasted_ns": profile.lasted(),
            "sampled_ns": profile.sampled(),
            "every_ns": profile.every(),
            "source": match profile.source() {
                ProfileSource::Snapshots => "snapshots",
                ProfileSource::Captures => "captures",
            },
            "samples": profile.samples(),
            "skipped": profile.skipped(),
            "cost_ns": profile.cost(),
            "most_tasks": profile.most_tasks(),
            "present": profile.present(),
            "looks": profile.looks(),
            "waited_ns": profile.waited(),
            "stacks": List::new(stacks.len(), move || stacks.iter()),
        })
    }
}

impl<'a> From<&'a Stack> for Value<'a> {
    fn from(stack: &'a Stack) -> Self {
        object!("ProfileStack", {
            "name": &*stack.name,
            "state": stack.state_kind.word(),
            "seen": stack.seen,
            "waited_ns": stack.waited,
            "trace": tree(&stack.tree),
        })
    }
}

impl<'a> From<&'a TaskDump> for Value<'a> {
    fn from(it: &'a TaskDump) -> Self {
        task(it, &Paths::new())
    }
}

fn task<'a>(task: &'a TaskDump, paths: &Paths) -> Value<'a> {
    let awaits = task.awaits();
    object!("TaskDump", {
        "id": &task.id(),
        "name": task.name(),
        "label": task.label(),
        "state": task.state(),
        "age_ns": task.age(),
        "last_polled_ns": task.last_polled(),
        "polls": task.polls(),
        "polls_per_second": task.polls_per_second(),
        "spawned_at": task.spawned_at().map(|it| place(it, paths)),
        "parent": task.parent().as_ref(),
        "awaits": List::new(awaits.len(), move || awaits.iter()),
        "source": task.source(),
        "trace": tree(task.trace().tidy()),
    })
}

fn place<'a>(place: &'static Location<'static>, paths: &Paths) -> Value<'a> {
    object!("Location", {
        "file": paths.shorten(place.file()),
        "line": place.line(),
        "column": place.column(),
    })
}

impl From<&TaskId> for Value<'_> {
    fn from(id: &TaskId) -> Self {
        id.get().into()
    }
}

impl<'a> From<&'a TaskState> for Value<'a> {
    fn from(state: &'a TaskState) -> Self {
        match state {
            TaskState::Running(running) => running.into(),
            other => object!("TaskState", { "kind": state_word(other), }),
        }
    }
}

fn state_word(state: &TaskState) -> &'static str {
    match state {
        TaskState::NeverPolled => "never_polled",
        TaskState::Running(_) => "running",
        TaskState::Suspended => "suspended",
        TaskState::Woken => "woken",
        TaskState::Finished => "finished",
    }
}

impl<'a> From<&'a Running> for Value<'a> {
    fn from(running: &'a Running) -> Self {
        object!("Running", {
            "kind": "running",
            "thread_name": running.thread_name(),
            "thread_id": running.thread_id(),
            "duration_ns": running.duration(),
            "activity": running.computes().map(|computes| match computes {
                true => "computing",
                false => "blocked",
            }),
        })
    }
}

impl<'a> From<&'a Source> for Value<'a> {
    fn from(source: &'a Source) -> Self {
        match source {
            Source::Capture => object!("Source", { "kind": "capture", }),
            Source::Sample => object!("Source", { "kind": "sample", }),
            Source::Snapshot { error } => object!("Source", {
                "kind": "snapshot",
                "error": error.as_ref(),
            }),
        }
    }
}

impl From<&TraceError> for Value<'_> {
    fn from(error: &TraceError) -> Self {
        let message = error.to_string();
        let kind = match error {
            TraceError::NoAnswer { waited, reason } => {
                return object!("TraceError", {
                    "kind": "no_answer",
                    "message": message,
                    "waited_ns": *waited,
                    "reason": reason,
                });
            }
            TraceError::Finished => "finished",
            TraceError::Panicked => "panicked",
            TraceError::NeverPolled => "never_polled",
            TraceError::OwnWakers => "own_wakers",
            TraceError::NoRoom => "no_room",
            TraceError::InsideOwnPoll => "inside_own_poll",
            TraceError::NoSample(reason) => {
                return object!("TraceError", {
                    "kind": "no_sample",
                    "message": message,
                    "reason": reason,
                });
            }
        };
        object!("TraceError", { "kind": kind, "message": message, })
    }
}

impl From<&NoSample> for Value<'_> {
    fn from(reason: &NoSample) -> Self {
        match reason {
            NoSample::Unsupported => "unsupported",
            NoSample::NoSignal => "no_signal",
            NoSample::SignalBlocked => "signal_blocked",
            NoSample::NoResponse(_) => "no_response",
            NoSample::Busy => "busy",
            NoSample::NoTime => "no_time",
            NoSample::OtherStack => "other_stack",
            NoSample::Over => "over",
            NoSample::Refused => "refused",
            NoSample::NoRoom => "no_room",
        }
        .into()
    }
}

impl From<&NoAnswer> for Value<'_> {
    fn from(reason: &NoAnswer) -> Self {
        let word = match reason {
            NoAnswer::Running => "running",
            NoAnswer::NotPolled => "not_polled",
            NoAnswer::NotWoken => "not_woken",
        };
        word.into()
    }
}

impl<'a> From<&'a Trace> for Value<'a> {
    fn from(trace: &'a Trace) -> Self {
        let tree = trace.tidy();
        object!("Trace", {
            "schema": TRACE,
            "frames": frames(&tree.frames),
            "notes": &tree.notes,
        })
    }
}

/// A trace in a dump, which has said which format it is.
fn tree(tree: &Tree) -> Value<'_> {
    object!("Trace", {
        "frames": frames(&tree.frames),
        "notes": &tree.notes,
    })
}

#[cfg(feature = "serde")]
impl<'a> From<&'a Frame> for Value<'a> {
    fn from(frame: &'a Frame) -> Self {
        frames(std::slice::from_ref(frame)).into()
    }
}

fn frames(frames: &[Frame]) -> List<'_> {
    List::new(walk(frames).count(), move || walk(frames))
}

impl<'a> From<Step<'a>> for Value<'a> {
    fn from(step: Step<'a>) -> Self {
        let Step { parent, frame, .. } = step;
        object!("Frame", {
            "parent": parent,
            "name": frame.name(),
            "label": frame.label(),
            "file": frame.file(),
            "line": frame.line(),
            "column": frame.column(),
            "line_is": frame.line().map(|_| line_word(frame.line_is())),
            "wait": frame.wait().as_ref(),
            "count": frame.count(),
            "age_ns": frame.age(),
            "not_polled_for_ns": frame.not_polled_for(),
            "note": frame.hides_children().then_some(HIDDEN_CHILDREN),
            "dependency": frame.is_dependency(),
            "folded": step.is_folded,
        })
    }
}

fn line_word(line_is: LineIs) -> &'static str {
    match line_is {
        LineIs::Current => "current",
        LineIs::Definition => "definition",
        LineIs::Creation => "creation",
    }
}

impl From<&Wait> for Value<'_> {
    fn from(wait: &Wait) -> Self {
        wait_word(wait).into()
    }
}

fn wait_word(wait: &Wait) -> &'static str {
    match wait {
        Wait::Registered => "registered",
        Wait::Yielded => "yielded",
        Wait::OutOfBudget => "out_of_budget",
        Wait::NoWaker => "no_waker",
        Wait::Suspended => "suspended",
        Wait::NotPolled => "not_polled",
        Wait::Running => "running",
    }
}

impl From<&Notes> for Value<'_> {
    fn from(notes: &Notes) -> Self {
        object!("Notes", {
            "missing": notes.missing.map(missing_word),
            "leaves_not_recorded": notes.dropped,
            "wakers_of_other_threads": notes.elsewhere,
        })
    }
}

fn missing_word(missing: Missing) -> &'static str {
    match missing {
        Missing::Symbols => "symbols",
        Missing::DebugInfo => "debug_info",
        Missing::File(_) => "program_file",
    }
}

#[cfg(test)]
mod tests;
