//! Reads tasks from the memory of a process that does not let other programs attach, and shows them like other tasks.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::PathBuf;

use tasktrace_inspect::{Frame, Options, Report, Task, TaskState, inspect_process};

use crate::document::{Column, Frames, Group, Program, Tasks, View};
use crate::failure::Failure;
use crate::output::visible;

/// A process whose memory can be read.
#[derive(Clone, Debug)]
pub(crate) struct Memory {
    process: u32,
    /// The reason why the process itself was not asked.
    refusal: String,
}

impl Memory {
    pub(crate) fn new(process: u32, refusal: String) -> Self {
        Self { process, refusal }
    }

    /// Reads the memory. If that is not possible, or if there are no tasks, the process counts as not instrumented.
    pub(crate) fn read(&self) -> Result<Report, Failure> {
        let why = match inspect_process(self.process, &Options::default()) {
            Ok(report) if !report.tasks.is_empty() => return Ok(report),
            Ok(_) => "there are no tasks of tokio or smol in its memory either".to_owned(),
            Err(error) => format!("its memory was not read either: {error}"),
        };
        Err(Failure::NotInstrumented(format!("{}\n{why}", self.refusal)))
    }

    /// Returns the failure of `--folded` and `--by-awaiter`, which only the process itself can produce.
    pub(crate) fn unsupported_format(&self) -> Failure {
        Failure::NotInstrumented(format!(
            "{}\nits memory can be read, but not in this format: leave out --folded and --by-awaiter",
            self.refusal
        ))
    }

    /// Tells the user on stderr that memory was read, and why.
    pub(crate) fn tell(&self) {
        let lines: Vec<String> = self.refusal.lines().map(visible).collect();
        let _ = writeln!(
            io::stderr(),
            "tasktrace: read from memory, because {}",
            lines.join("\n")
        );
    }
}

/// Returns a report as one line of JSON.
pub(crate) fn json(report: &Report) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(report).map_err(|error| Failure::Other(error.to_string()))
}

/// Returns the text of the task with this number, or an error if there is none.
pub(crate) fn task_text(report: &Report, number: u64) -> Result<String, String> {
    let mut tasks = report.tasks.iter();
    let task = tasks.find(|task| task.id == Some(number));
    let text = task.map(Task::to_string);
    text.ok_or_else(|| format!("task {number} has ended"))
}

/// The key of a group: name, state, `true` for a deadlock, tree, and `true` if tokio has numbered the tasks.
type GroupKey<'a> = (&'a str, &'static str, bool, Vec<FrameKey<'a>>, bool);

/// A frame of a tree: its parent, its name, its file and line, and `true` for a resource.
type FrameKey<'a> = (Option<usize>, &'a str, Option<&'a str>, Option<u64>, bool);

/// Returns the tasks in groups, those of deadlocks first, then the largest group.
pub(crate) fn view(report: &Report) -> View {
    let mut groups: BTreeMap<GroupKey<'_>, Vec<&Task>> = BTreeMap::new();
    let deadlocks = report.deadlocks.iter();
    let in_deadlocks: BTreeSet<usize> = deadlocks.flat_map(|it| it.indices.clone()).collect();
    for (index, task) in report.tasks.iter().enumerate() {
        let key = (
            task.name.as_str(),
            state(task.state),
            in_deadlocks.contains(&index),
            frames(task),
            task.id.is_some(),
        );
        groups.entry(key).or_default().push(task);
    }
    let mut groups: Vec<Group> = groups.iter().map(group).collect();
    groups.sort_by_key(|group| {
        (
            group.complaint.is_none(),
            std::cmp::Reverse(group.tasks.len),
        )
    });
    let executable = PathBuf::from(&report.source.executable);
    let name = executable.file_name().unwrap_or_default();
    View {
        process: Program {
            name: name.to_string_lossy().into_owned(),
            pid: report.source.pid.unwrap_or_default(),
        },
        took_ms: report.source.read_ms as u64,
        total: report.tasks.len(),
        cycles_total: report.deadlocks.len(),
        groups,
        is_from_memory: true,
        ..View::default()
    }
}

fn state(state: TaskState) -> &'static str {
    match state {
        TaskState::Suspended => "suspended",
        TaskState::Notified => "woken",
        TaskState::Running => "running",
        TaskState::Finished => "finished",
        TaskState::Blocking => "blocking",
        TaskState::BlockOn => "block_on",
        _ => "unknown",
    }
}

/// Returns the tree of a task, each frame before its children. A wait becomes a frame of its own, as in other views, if
/// the frame has a line.
fn frames(task: &Task) -> Vec<FrameKey<'_>> {
    let mut all = Vec::new();
    let mut pending: Vec<(Option<usize>, &Frame)> =
        task.frames.iter().rev().map(|it| (None, it)).collect();
    while let Some((parent, frame)) = pending.pop() {
        let at = all.len();
        let is_resource = frame.wait.is_some() && frame.children.is_empty() && parent.is_some();
        all.push((
            parent,
            frame.name.as_str(),
            frame.file.as_deref(),
            frame.line,
            is_resource,
        ));
        pending.extend(frame.children.iter().rev().map(|it| (Some(at), it)));
    }
    all
}

fn group((key, members): (&GroupKey<'_>, &Vec<&Task>)) -> Group {
    let (name, state, is_in_deadlock, frames, _) = key;
    let parents: BTreeSet<usize> = frames.iter().filter_map(|frame| frame.0).collect();
    let leaves: Vec<usize> = (0..frames.len())
        .filter(|at| !parents.contains(at))
        .collect();
    let waiting = |leaf: &usize| frames[*leaf].0.filter(|_| frames[*leaf].4);
    let operation = |leaf: &usize| frames[*leaf].4.then(|| frames[*leaf].1.to_owned());
    let ids = members.iter().filter_map(|task| task.id).collect();
    // A group keeps its id from one reading to the next.
    let id = format!("{key:?}");
    Group {
        id,
        name: (*name).to_owned(),
        state: (*state).to_owned(),
        urgency: String::new(),
        complaint: is_in_deadlock.then(|| "likely deadlock".to_owned()),
        waiting: Column::Each(leaves.iter().map(waiting).collect()),
        operations: Column::Each(leaves.iter().map(operation).collect()),
        leaves,
        frames: Frames {
            name: Column::Each(frames.iter().map(|frame| frame.1.to_owned()).collect()),
            file: Column::Each(frames.iter().map(|it| it.2.map(str::to_owned)).collect()),
            line: Column::Each(
                frames
                    .iter()
                    .map(|frame| frame.3.and_then(|line| u32::try_from(line).ok()))
                    .collect(),
            ),
            line_is: Column::default(),
        },
        // Memory tells neither ages nor numbers of polls.
        tasks: Tasks {
            len: members.len(),
            id: Column::Each(ids),
            ..Tasks::default()
        },
    }
}
