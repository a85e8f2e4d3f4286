//! Describes dumps, traces, profiles and reports as documents for programs to read.
//!
//! This module defines the contents of the documents, and [`value`] their parts. A document becomes
//!
//! * JSON text in [`json`];
//! * any format of `serde` in `serialize`, with the feature `serde`.
//!
//! With the feature `http`, `view` describes the data of the page, which is not a format for other readers.
//!
//! The format is that of `schema/tasktrace.schema.json`. It differs from the types as follows:
//!
//! * A dump or a trace starts with the name and the version of its format. Fields may be added within a version. All
//!   other changes need a new version.
//! * Durations are whole nanoseconds, in fields whose names end with `_ns`, so that no precision is lost.
//! * The frames of a trace are a flat list. Each frame comes before its children and has the position of its parent.
//!   A tree of 10,000 nested frames would be too deep for the readers of many languages, and for a recursive writer.
//! * A field without a value is `null`, so that all objects of a kind have the same fields.

mod json;
#[cfg(feature = "serde")]
mod serialize;
mod value;

use std::panic::Location;
use std::time::SystemTime;

use super::text;
use super::walk::{WalkStep, walk};
use crate::diagnosis::{self, Certainty};
use crate::dump::{Dump, Hang, HangTrigger, HowEnded, Source, TaskDump, TestStage};
use crate::profile::{Profile, ProfileSource, ProfileStack};
use crate::symbol::PathShortener;
use crate::task::{NoAnswer, NoSample, Running, TaskId, TaskState, TraceError};
use crate::trace::{Frame, LineIs, Missing, Notes, Trace, Tree, Wait};
#[cfg(feature = "http")]
pub(crate) use process::Process;
use value::{LazyList, Object, Value};
#[cfg(feature = "http")]
pub(crate) use view::ViewHeader;

/// The format of a [`Dump`].
const DUMP: &str = "tasktrace.dump/1";

/// The format of a [`Trace`] by itself.
const TRACE: &str = "tasktrace.trace/1";

/// The format of a [`Profile`].
const PROFILE: &str = "tasktrace.profile/1";

/// The format of a report of a test that hangs.
const HANG: &str = "tasktrace.hang/1";

/// Creates an object with a type name and fields.
macro_rules! object {
    ($name:literal, { $($field:literal: $value:expr,)* }) => {
        Value::Object(Object {
            name: $name,
            fields: vec![$(($field, Value::from($value))),*],
        })
    };
}

// These modules use the macro, so they are declared after it.
#[cfg_attr(not(feature = "inspect"), path = "serial/no_inspected.rs")]
mod inspected;
#[cfg(feature = "http")]
mod process;
#[cfg(feature = "http")]
mod view;

impl<'a> From<&'a Dump> for Value<'a> {
    fn from(dump: &'a Dump) -> Self {
        let tasks = LazyList::new(dump.len(), move || {
            let paths = PathShortener::new();
            Trace::simplify_all(dump.tasks().map(TaskDump::trace));
            dump.tasks().map(move |it| task(it, &paths))
        });
        object!("Dump", {
            "schema": DUMP,
            "taken_unix_ms": unix_ms(dump.taken()),
            "untraced": dump.untraced(),
            "untraced_tasks": untraced_tasks(dump),
            "findings": findings(dump),
            "ended": ended(dump),
            "inspected": dump.inspected(),
            "tasks": tasks,
        })
    }
}

/// Returns the tasks that ended before they finished.
fn ended(dump: &Dump) -> LazyList<'_> {
    let ended = dump.ended();
    LazyList::new(ended.len(), move || {
        let paths = PathShortener::new();
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

/// Returns the numbers of untraced tasks on each runtime.
fn untraced_tasks(dump: &Dump) -> LazyList<'_> {
    let untraced = dump.untraced_by_runtime();
    LazyList::new(untraced.len(), move || {
        untraced.iter().map(|untraced| {
            object!("UntracedTasks", {
                "runtime_of": untraced.runtime_of().map(TaskId::get),
                "count": untraced.count(),
            })
        })
    })
}

/// Returns the findings of a dump, the most severe first.
fn findings(dump: &Dump) -> LazyList<'_> {
    let forest = dump.by_awaiter();
    let statuses = diagnosis::statuses(&forest);
    let findings = diagnosis::findings(&forest, statuses.into_iter());
    LazyList::new(findings.len(), move || {
        findings.clone().into_iter().map(|finding| {
            let severity = finding.severity;
            let point = diagnosis::likeliest(finding.tasks[0]);
            let function = point.and_then(|point| point.function);
            let ids: Vec<u64> = finding.tasks.iter().map(|task| task.id().get()).collect();
            object!("Finding", {
                "kind": severity.json_name(),
                "certainty": match finding.certainty {
                    Certainty::Certain => "certain",
                    Certainty::Likely => "likely",
                },
                "text": severity.problem_text().map(|words| words.meaning),
                "function": function.map(Frame::name),
                "file": function.and_then(Frame::file),
                "line": function.and_then(Frame::line),
                "library": point.and_then(|point| point.library()),
                "resource": point.and_then(|point| point.awaited()),
                "tasks": LazyList::new(ids.len(), move || ids.clone().into_iter()),
            })
        })
    })
}

/// Returns the milliseconds since 1970. Many languages read numbers as floats, which are exact for milliseconds, but
/// not for nanoseconds.
fn unix_ms(time: SystemTime) -> u64 {
    let since_1970 = time.duration_since(SystemTime::UNIX_EPOCH);
    u64::try_from(since_1970.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

impl<'a> From<&'a Hang> for Value<'a> {
    fn from(hang: &'a Hang) -> Self {
        let (stage, body) = match hang.stage {
            TestStage::Beginning => ("beginning", None),
            TestStage::Body(id) => ("body", Some(id.get())),
            TestStage::End => ("end", None),
            TestStage::Late => ("late", None),
        };
        let signal = match &hang.trigger {
            HangTrigger::Timeout => None,
            HangTrigger::Signal(signal) => Some(signal.as_str()),
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
            "present": profile.tasks_present(),
            "looks": profile.tasks_read(),
            "waited_ns": profile.waited(),
            "stacks": LazyList::new(stacks.len(), move || stacks.iter()),
        })
    }
}

impl<'a> From<&'a ProfileStack> for Value<'a> {
    fn from(stack: &'a ProfileStack) -> Self {
        object!("ProfileStack", {
            "name": &*stack.name,
            "state": stack.state_kind.json_name(),
            "seen": stack.seen,
            "waited_ns": stack.waited,
            "trace": tree(&stack.tree),
        })
    }
}

impl<'a> From<&'a TaskDump> for Value<'a> {
    fn from(it: &'a TaskDump) -> Self {
        task(it, &PathShortener::new())
    }
}

fn task<'a>(task: &'a TaskDump, paths: &PathShortener) -> Value<'a> {
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
        "awaits": LazyList::new(awaits.len(), move || awaits.iter()),
        "source": task.source(),
        "trace": tree(task.trace().simplified()),
    })
}

fn place<'a>(place: &'static Location<'static>, paths: &PathShortener) -> Value<'a> {
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
        let tree = trace.simplified();
        object!("Trace", {
            "schema": TRACE,
            "frames": frames(&tree.frames),
            "notes": &tree.notes,
        })
    }
}

/// Describes a trace inside a dump. It has no format of its own, because the dump has one.
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

fn frames(frames: &[Frame]) -> LazyList<'_> {
    LazyList::new(walk(frames).count(), move || walk(frames))
}

impl<'a> From<WalkStep<'a>> for Value<'a> {
    fn from(step: WalkStep<'a>) -> Self {
        let WalkStep { parent, frame, .. } = step;
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
            "note": text::note(frame),
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
            "wakers_of_other_threads": notes.remote_clones,
        })
    }
}

fn missing_word(missing: Missing) -> &'static str {
    match missing {
        Missing::Symbols => "symbols",
        Missing::DebugInfo => "debug_info",
        Missing::File(_) | Missing::FileGone => "program_file",
    }
}

#[cfg(test)]
mod tests;
