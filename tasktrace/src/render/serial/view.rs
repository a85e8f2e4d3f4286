//! Describes all tasks for the page: in groups, with a column for each property of the tasks of a group.
//!
//! A dump as JSON has an object for each task, with its whole tree: 100 MB for 100,000 tasks. But most tasks of a
//! program have the same stack as many others. Here the tree of a group is written once, and of each task only the
//! differences. So 100,000 tasks are a few megabytes, which a browser reads in less time than it takes to blink.
//!
//! * A column is the list of its values, or one value if all are equal.
//! * Times are whole milliseconds, because the page shows no more digits.
//! * The most severe problems come first, as in the text.
//!
//! The format is for the page of the same version only. Other readers use [`json`](crate::Dump::json).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::iter;
use std::panic::Location;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::super::group::{self, Group, Member};
use super::super::line_writer::DetailLevel;
use super::super::walk::{WalkStep, walk};
use super::super::{ended, header, shape, text, untraced};
use super::value::{LazyList, Object, Value};
use super::{inspected, line_word, missing_word, state_word, wait_word};
use crate::diagnosis::{Severity, ordered_leaves};
use crate::dump::{Dump, Forest, TaskDump};
use crate::symbol::PathShortener;
use crate::task::{TaskId, TaskState};
use crate::trace::{Frame, Tree};

/// The format of the document.
const VIEW: &str = "tasktrace.view/1";

/// The number of cycles that the page shows. Each set of tasks that wait for each other has one cycle.
const MAX_CYCLES: usize = 100;

/// The information about a dump that the dump itself does not have.
#[derive(Clone, Debug)]
pub(crate) struct ViewHeader {
    /// The name of the program.
    pub(crate) program: String,
    pub(crate) pid: u32,
    /// The time at which the dump was taken.
    pub(crate) taken: SystemTime,
    /// The time that it took to take the dump.
    pub(crate) took: Duration,
    /// `true` if the dump has captures, `false` if it has snapshots.
    pub(crate) asked: bool,
}

impl Dump {
    /// Returns the document of the page as JSON.
    pub(crate) fn view<'a>(&'a self, header: &'a ViewHeader) -> impl fmt::Display + 'a {
        ViewJson { dump: self, header }
    }
}

struct ViewJson<'a> {
    dump: &'a Dump,
    header: &'a ViewHeader,
}

impl fmt::Display for ViewJson<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let forest = self.dump.by_awaiter();
        let view = View::new(&forest, self.header);
        Value::from(&view).fmt(f)
    }
}

/// The data of the document.
struct View<'a> {
    header: &'a ViewHeader,
    forest: &'a Forest<'a>,
    groups: Vec<GroupView<'a>>,
    /// The tasks that await others and are not awaited, except by other tasks of their cycle.
    roots: Vec<usize>,
    /// The locations at which tasks were spawned.
    places: Vec<&'static Location<'static>>,
    /// A line for each ended task.
    ended: Vec<String>,
    paths: PathShortener,
}

/// A group of tasks with its identifier, and the differences between the trees of its tasks.
struct GroupView<'a> {
    id: String,
    group: Group<'a>,
    /// The label of each task.
    labels: Vec<Option<&'a str>>,
    columns: Vec<FrameColumns<'a>>,
    leaves: Vec<LeafView>,
}

/// A leaf of the tree of a group, as the text of a verdict describes it.
struct LeafView {
    /// The position of the leaf in the order of [`walk`].
    at: usize,
    /// The position of the function of the program that waits, if that is not the leaf itself.
    function: Option<usize>,
    /// The operation that the function waits for.
    operation: Option<String>,
}

impl<'a> GroupView<'a> {
    fn new(id: String, group: Group<'a>) -> Self {
        let columns = FrameColumns::of(&group.members);
        // A task without a label has the label of its outermost function.
        let outermost = columns.first().filter(|columns| columns.at == 0);
        let labels = group.members.iter().enumerate().map(|(at, member)| {
            let of_function = || outermost.and_then(|columns| columns.labels[at]);
            member.task.label().or_else(of_function)
        });
        Self {
            labels: labels.collect(),
            leaves: leaf_views(group.first().tree()),
            id,
            group,
            columns,
        }
    }
}

impl<'a> View<'a> {
    fn new(forest: &'a Forest<'a>, header: &'a ViewHeader) -> Self {
        let members = group::members(forest, DetailLevel::Simplified);
        let places: BTreeSet<_> = forest
            .dump()
            .tasks()
            .filter_map(TaskDump::spawned_at)
            .collect();
        let roots = forest.root_positions().iter().copied();
        let mut used = BTreeSet::new();
        let groups = group::groups(members, DetailLevel::Simplified).into_iter();
        let groups = groups.map(|group| GroupView::new(id(&group, &mut used), group));
        Self {
            header,
            forest,
            groups: groups.collect(),
            roots: roots
                .filter(|at| !forest.task(*at).awaits().is_empty())
                .collect(),
            places: places.into_iter().collect(),
            ended: ended::lines(forest.dump()),
            paths: PathShortener::new(),
        }
    }

    /// Returns the reason why names or lines are missing.
    fn missing(&self) -> Option<&'static str> {
        let mut trees = self
            .groups
            .iter()
            .map(|group_view| group_view.group.first().tree());
        trees.find_map(|tree| tree.notes.missing).map(missing_word)
    }
}

/// Returns the identifier of a group, which is the same in all dumps of a running program.
fn id(group: &Group<'_>, used: &mut BTreeSet<String>) -> String {
    let first = group.first();
    let mut hasher = DefaultHasher::new();
    first.task.name().hash(&mut hasher);
    std::mem::discriminant(first.task.state()).hash(&mut hasher);
    shape::hash_shape(&first.tree().frames, &mut hasher);
    let mut hash = hasher.finish();
    loop {
        let id = format!("{hash:016x}");
        if used.insert(id.clone()) {
            return id;
        }
        // Groups may differ only in the reason why their tasks gave no answer.
        hash = hash.wrapping_add(1);
    }
}

impl<'a> From<&'a View<'a>> for Value<'a> {
    fn from(view: &'a View<'a>) -> Self {
        let header = view.header;
        let dump = view.forest.dump();
        let taken = header.taken.duration_since(UNIX_EPOCH).unwrap_or_default();
        let cycles = view.forest.cycle_positions();
        let id = |at: &usize| view.forest.task(*at).id().get();
        object!("View", {
            "schema": VIEW,
            "process": object!("Process", {
                "name": header.program.as_str(),
                "pid": header.pid,
            }),
            "taken_ms": millis(taken),
            "took_ms": millis(header.took),
            "asked": u32::from(header.asked),
            "total": dump.len(),
            "untraced": dump.untraced_total(),
            "untraced_text": untraced::note(dump, view.awaits_handle()),
            "inspected": dump.inspected().map(|inspection| inspected::for_page(inspection, dump)),
            "ended": LazyList::new(view.ended.len(), move || view.ended.iter().map(String::as_str)),
            "missing": view.missing(),
            // Each task awaits the next one, and the last task awaits the first.
            "cycles": LazyList::new(cycles.len().min(MAX_CYCLES), move || {
                let cycles = cycles.iter().take(MAX_CYCLES);
                cycles.map(move |cycle| LazyList::new(cycle.len(), move || cycle.iter().map(id)))
            }),
            "cycles_total": cycles.len(),
            "roots": LazyList::new(view.roots.len(), move || view.roots.iter().map(id)),
            "places": LazyList::new(view.places.len(), move || {
                view.places.iter().map(|place| view.location_text(place))
            }),
            // All kinds of findings, the most severe first, with their titles and meanings.
            "wrong": LazyList::new(Severity::MARKED.len(), || {
                Severity::MARKED.iter().filter_map(|severity| {
                    let words = severity.problem_text()?;
                    Some(object!("Wrong", {
                        "urgency": severity.json_name(),
                        "title": words.title,
                        "meaning": words.meaning,
                    }))
                })
            }),
            "groups": LazyList::new(view.groups.len(), move || {
                view.groups.iter().map(move |group_view| view.group(group_view))
            }),
        })
    }
}

impl<'a> View<'a> {
    fn awaits_handle(&self) -> bool {
        let mut trees = self
            .groups
            .iter()
            .map(|group_view| group_view.group.first().tree());
        trees.any(untraced::awaits_handle)
    }

    fn group(&'a self, group_view: &'a GroupView<'a>) -> Value<'a> {
        let GroupView {
            id,
            group,
            columns,
            leaves,
            ..
        } = group_view;
        let tree = group.first().tree();
        let first = group.first();
        let notes = &tree.notes;
        object!("Group", {
            "id": id.as_str(),
            "name": first.task.name(),
            "state": state_word(first.task.state()),
            "urgency": group.severity.json_name(),
            "complaint": complaint(group),
            "source": first.task.source(),
            "leaves_not_recorded": notes.dropped,
            "wakers_of_other_threads": notes.remote_clones,
            "frames": frames(&tree.frames),
            // The likeliest wait comes first.
            "leaves": LazyList::new(leaves.len(), move || leaves.iter().map(|leaf| leaf.at as u64)),
            // For each of them, the function that waits and the operation that it waits for.
            "waiting": column(leaves, |leaf| leaf.function),
            "operations": column(leaves, |leaf| leaf.operation.as_deref()),
            "tasks": self.tasks(group_view),
            "live": LazyList::new(columns.len(), move || columns.iter().map(|columns| columns.value(&group_view.labels))),
        })
    }

    /// Returns the columns of the tasks of a group.
    fn tasks(&'a self, group_view: &'a GroupView<'a>) -> Value<'a> {
        let members = &group_view.group.members[..];
        let place = move |member: &Member<'_>| {
            let place = member.task.spawned_at()?;
            self.places.binary_search(&place).ok()
        };
        // Most tasks await no other task, so this is a list of the exceptions and not a column.
        let awaiting = move || {
            members
                .iter()
                .enumerate()
                .filter(|(_, it)| !it.task.awaits().is_empty())
        };
        object!("Tasks", {
            "len": members.len(),
            "id": column(members, |it| it.task.id().get()),
            "label": column(&group_view.labels, |label| *label),
            "age_ms": column(members, |it| millis(it.task.age())),
            "waited_ms": column(members, |it| it.task.in_state().map(millis)),
            "polls": column(members, |it| it.task.polls()),
            "spawned_at": column(members, place),
            "parent": column(members, |it| it.task.parent().map(TaskId::get)),
            "thread": column(members, thread),
            "urgency": column(members, |it| it.status.severity.json_name()),
            // Each element is the position of a member, followed by the tasks that it awaits.
            "awaits": LazyList::new(awaiting().count(), move || {
                awaiting().map(|(at, it)| {
                    let awaited = it.task.awaits();
                    let all = move || iter::once(at as u64).chain(awaited.iter().map(|id| id.get()));
                    LazyList::new(awaited.len() + 1, all)
                })
            }),
        })
    }

    fn location_text(&self, place: &'static Location<'static>) -> String {
        let file = self.paths.shorten(place.file());
        format!("{file}:{}:{}", place.line(), place.column())
    }
}

/// Returns the leaves of a tree, the likeliest wait first. A call of a pool is one wait.
fn leaf_views(tree: &Tree) -> Vec<LeafView> {
    let leaves = ordered_leaves(tree).into_iter();
    let leaves = leaves.filter(|leaf| !leaf.is_part_of_call);
    let views = leaves.map(|leaf| LeafView {
        at: leaf.at,
        function: leaf.function_at.filter(|function| *function != leaf.at),
        operation: leaf.operation(),
    });
    views.collect()
}

/// Returns the columns of the frames of a tree.
fn frames<'a>(all: &'a [Frame]) -> Value<'a> {
    object!("Frames", {
        "len": walk(all).count(),
        "parent": frame_column(all, |step| step.parent),
        "name": frame_column(all, |step| step.frame.name()),
        "file": frame_column(all, |step| step.frame.file()),
        "line": frame_column(all, |step| step.frame.line()),
        "column": frame_column(all, |step| step.frame.column()),
        "line_is": frame_column(all, |step| line_word(step.frame.line_is())),
        "wait": frame_column(all, |step| step.frame.wait().map(|wait| wait_word(&wait))),
        "count": frame_column(all, |step| step.frame.count()),
        "note": frame_column(all, |step| text::note(step.frame)),
        "folded": frame_column(all, |step| u32::from(step.is_folded)),
    })
}

/// A frame that has a label or an age in some trees of a group, with its label and times in each tree.
struct FrameColumns<'a> {
    /// The position of the frame in the order of [`walk`].
    at: usize,
    labels: Vec<Option<&'a str>>,
    ages: Vec<Option<Duration>>,
    held: Vec<Option<Duration>>,
}

impl<'a> FrameColumns<'a> {
    /// Returns the columns of each such frame of tasks whose trees have the same shape, in the order of [`walk`].
    fn of(members: &[Member<'a>]) -> Vec<Self> {
        let mut all: BTreeMap<usize, Self> = BTreeMap::new();
        for (number, member) in members.iter().enumerate() {
            let add = |at: usize, label, age, held| {
                let columns = all.entry(at).or_insert_with(|| Self::new(at));
                columns.fill(number);
                columns.labels.push(label);
                columns.ages.push(age);
                columns.held.push(held);
            };
            each_labelled_frame(member, add);
        }
        let mut all: Vec<Self> = all.into_values().collect();
        all.iter_mut()
            .for_each(|columns| columns.fill(members.len()));
        all
    }

    fn new(at: usize) -> Self {
        Self {
            at,
            labels: Vec::new(),
            ages: Vec::new(),
            held: Vec::new(),
        }
    }

    /// Extends the columns to a number of members. Those that are added have neither a label nor times.
    fn fill(&mut self, members: usize) {
        self.labels.resize(members, None);
        self.ages.resize(members, None);
        self.held.resize(members, None);
    }

    /// Returns the document of the columns. `labels` are the labels of the tasks.
    fn value(&'a self, labels: &'a [Option<&'a str>]) -> Value<'a> {
        // The outermost frame of a task usually has the label of the task, which is not written twice.
        let is_task = self.labels == labels;
        object!("Live", {
            "frame": self.at,
            "label_is_task": u32::from(is_task),
            "label": (!is_task).then(|| column(&self.labels, |label| *label)),
            "age_ms": column(&self.ages, |age| age.map(millis)),
            "not_polled_for_ms": column(&self.held, |time| time.map(millis)),
        })
    }
}

/// Calls `each` with the position, the label, the age and the held time of each frame of a task that has a label or an
/// age.
fn each_labelled_frame<'a>(
    member: &Member<'a>,
    mut each: impl FnMut(usize, Option<&'a str>, Option<Duration>, Option<Duration>),
) {
    let trace = member.task.trace();
    if trace.interned_tree().is_some() {
        // The tree of this trace need not be built.
        return trace.each_label_and_times(|at, frame| {
            each(at, frame.label, frame.age, frame.not_polled_for)
        });
    }
    for (at, step) in walk(&member.tree().frames).enumerate() {
        let (label, age) = (step.frame.label(), step.frame.age());
        if label.is_some() || age.is_some() {
            each(at, label, age, step.frame.not_polled_for());
        }
    }
}

/// Returns the column of a property of all items: the list of values, or one value if all are equal.
fn column<'a, S, T>(items: &'a [S], property: impl Fn(&'a S) -> T + Copy + 'a) -> Value<'a>
where
    T: PartialEq + Into<Value<'a>> + 'a,
{
    compact(items.len(), move || items.iter().map(property))
}

/// Returns the column of a property of all frames of a tree.
fn frame_column<'a, T>(frames: &'a [Frame], property: fn(WalkStep<'a>) -> T) -> Value<'a>
where
    T: PartialEq + Into<Value<'a>> + 'a,
{
    compact(walk(frames).count(), move || walk(frames).map(property))
}

/// Returns a list of values, or one value if all are equal.
fn compact<'a, I>(len: usize, values: impl Fn() -> I + 'a) -> Value<'a>
where
    I: Iterator<Item: PartialEq + Into<Value<'a>>> + 'a,
{
    let mut all = values();
    match all.next() {
        Some(first) if all.all(|other| other == first) => first.into(),
        _ => LazyList::new(len, values).into(),
    }
}

fn millis(time: Duration) -> u64 {
    time.as_millis().try_into().unwrap_or(u64::MAX)
}

/// Returns the complaint about the tasks of a group, if there is one.
fn complaint(group: &Group<'_>) -> Option<String> {
    let of_one = group.severity.problem_text()?.of_one;
    let polls = group.first().task.polls_per_second();
    let polls = polls.filter(|_| group.severity == Severity::Spinning);
    Some(match polls {
        Some(polls) => format!("{of_one}: {polls} polls a second"),
        None => of_one.to_owned(),
    })
}

/// Returns the thread that polls a task, if the task is running.
fn thread(member: &Member<'_>) -> Option<String> {
    let TaskState::Running(running) = member.task.state() else {
        return None;
    };
    let mut text = String::new();
    // Writing to a string cannot fail.
    header::thread_of(&mut text, running).ok().map(|()| text)
}

#[cfg(test)]
mod tests;
