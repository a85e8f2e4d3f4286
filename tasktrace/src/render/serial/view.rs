//! All tasks as the page wants them: in groups, with a column for each thing that is known of the
//! tasks of a group.
//!
//! A dump as JSON has an object for each task, with its whole tree: of 100,000 tasks, 100 MB. But
//! most tasks of a program are where many others are. Here the tree of a group is there once, and of
//! a task there is what makes it differ. So 100,000 tasks are a few megabytes, which a browser reads
//! in less time than it takes to blink.
//!
//! * A column is the list of its values, or the one value if they are all the same.
//! * Times are whole milliseconds: nobody reads more of them on a page.
//! * What is wrong comes first, as in text.
//!
//! The format is for the page of the same version, and not for others: they are served [`json`](
//! crate::Dump::json).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::iter;
use std::panic::Location;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::super::group::{self, Group, Member};
use super::super::out::Detail;
use super::super::walk::{Step, walk};
use super::super::{ended, header, shape, untraced};
use super::value::{List, Object, Value};
use super::{line_word, missing_word, state_word, wait_word};
use crate::diagnosis::{Urgency, order_of_leaves};
use crate::dump::{Dump, Forest, TaskDump};
use crate::symbol::Paths;
use crate::task::{TaskId, TaskState};
use crate::trace::Frame;

/// The format.
const VIEW: &str = "tasktrace.view/1";

/// So many cycles are told: there is one for each set of tasks that wait for each other.
const MOST_CYCLES: usize = 100;

/// What is to be said of a dump that it does not know itself.
#[derive(Clone, Debug)]
pub(crate) struct About {
    /// The name of the program.
    pub(crate) program: String,
    pub(crate) pid: u32,
    /// When the dump was taken.
    pub(crate) taken: SystemTime,
    /// How long that took.
    pub(crate) took: Duration,
    /// Whether the tasks were asked, or only looked at.
    pub(crate) asked: bool,
}

impl Dump {
    /// The dump as JSON, for the page.
    pub(crate) fn view<'a>(&'a self, about: &'a About) -> impl fmt::Display + 'a {
        Json { dump: self, about }
    }
}

struct Json<'a> {
    dump: &'a Dump,
    about: &'a About,
}

impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let forest = self.dump.by_awaiter();
        let view = View::new(&forest, self.about);
        Value::from(&view).fmt(f)
    }
}

/// What the document is made of.
struct View<'a> {
    about: &'a About,
    forest: &'a Forest<'a>,
    groups: Vec<Shown<'a>>,
    /// The tasks that await others, and that nobody awaits, or only others of their cycle.
    roots: Vec<usize>,
    /// Where tasks were spawned.
    places: Vec<&'static Location<'static>>,
    /// A line for each task that is no more.
    ended: Vec<String>,
    paths: Paths,
}

/// A group, what it is known by, and what makes the trees of its tasks differ.
struct Shown<'a> {
    id: String,
    group: Group<'a>,
    /// What tells its tasks from each other.
    labels: Vec<Option<&'a str>>,
    live: Vec<Live<'a>>,
    leaves: Vec<usize>,
}

impl<'a> Shown<'a> {
    fn new(id: String, group: Group<'a>) -> Self {
        let live = Live::of(&group.members);
        // Where a task has no label, that of the function that it runs.
        let of_functions = live.first().filter(|live| live.at == 0);
        let labels = group.members.iter().enumerate().map(|(at, member)| {
            let of_function = || of_functions.and_then(|live| live.labels[at]);
            member.task.label().or_else(of_function)
        });
        Self {
            labels: labels.collect(),
            leaves: order_of_leaves(group.first().tree()),
            id,
            group,
            live,
        }
    }
}

impl<'a> View<'a> {
    fn new(forest: &'a Forest<'a>, about: &'a About) -> Self {
        let members = group::members(forest, Detail::Tidy);
        let places: BTreeSet<_> = forest
            .dump()
            .tasks()
            .filter_map(TaskDump::spawned_at)
            .collect();
        let roots = forest.root_positions().iter().copied();
        let mut used = BTreeSet::new();
        let groups = group::groups(members, Detail::Tidy).into_iter();
        let groups = groups.map(|group| Shown::new(id(&group, &mut used), group));
        Self {
            about,
            forest,
            groups: groups.collect(),
            roots: roots
                .filter(|at| !forest.task(*at).awaits().is_empty())
                .collect(),
            places: places.into_iter().collect(),
            ended: ended::lines(forest.dump()),
            paths: Paths::new(),
        }
    }

    /// What the program was built without.
    fn missing(&self) -> Option<&'static str> {
        let mut trees = self.groups.iter().map(|shown| shown.group.first().tree());
        trees.find_map(|tree| tree.notes.missing).map(missing_word)
    }
}

/// What a group is known by from one dump to the next: the same as long as the program runs.
fn id(group: &Group<'_>, used: &mut BTreeSet<String>) -> String {
    let first = group.first();
    let mut hasher = DefaultHasher::new();
    first.task.name().hash(&mut hasher);
    std::mem::discriminant(first.task.state()).hash(&mut hasher);
    shape::hash_of(&first.tree().frames, &mut hasher);
    let mut hash = hasher.finish();
    loop {
        let id = format!("{hash:016x}");
        if used.insert(id.clone()) {
            return id;
        }
        // Groups may differ by why their tasks gave no answer alone.
        hash = hash.wrapping_add(1);
    }
}

impl<'a> From<&'a View<'a>> for Value<'a> {
    fn from(view: &'a View<'a>) -> Self {
        let about = view.about;
        let dump = view.forest.dump();
        let taken = about.taken.duration_since(UNIX_EPOCH).unwrap_or_default();
        let cycles = view.forest.cycle_positions();
        let id = |at: &usize| view.forest.task(*at).id().get();
        object!("View", {
            "schema": VIEW,
            "process": object!("Process", {
                "name": about.program.as_str(),
                "pid": about.pid,
            }),
            "taken_ms": millis(taken),
            "took_ms": millis(about.took),
            "asked": u32::from(about.asked),
            "total": dump.len(),
            "untraced": dump.untraced_total(),
            "untraced_text": untraced::note(dump, view.awaits_handle()),
            "ended": List::new(view.ended.len(), move || view.ended.iter().map(String::as_str)),
            "missing": view.missing(),
            // Each task awaits the next, and the last the first.
            "cycles": List::new(cycles.len().min(MOST_CYCLES), move || {
                let cycles = cycles.iter().take(MOST_CYCLES);
                cycles.map(move |cycle| List::new(cycle.len(), move || cycle.iter().map(id)))
            }),
            "cycles_total": cycles.len(),
            "roots": List::new(view.roots.len(), move || view.roots.iter().map(id)),
            "places": List::new(view.places.len(), move || {
                view.places.iter().map(|place| view.text_of(place))
            }),
            // The findings, the most urgent first: their titles, and their meanings.
            "wrong": List::new(Urgency::MARKED.len(), || {
                Urgency::MARKED.iter().filter_map(|urgency| {
                    let words = urgency.words()?;
                    Some(object!("Wrong", {
                        "urgency": urgency.word(),
                        "title": words.title,
                        "meaning": words.meaning,
                    }))
                })
            }),
            "groups": List::new(view.groups.len(), move || {
                view.groups.iter().map(move |shown| view.group(shown))
            }),
        })
    }
}

impl<'a> View<'a> {
    fn awaits_handle(&self) -> bool {
        let mut trees = self.groups.iter().map(|shown| shown.group.first().tree());
        trees.any(untraced::awaits_handle)
    }

    fn group(&'a self, shown: &'a Shown<'a>) -> Value<'a> {
        let Shown {
            id,
            group,
            live,
            leaves,
            ..
        } = shown;
        let tree = group.first().tree();
        let first = group.first();
        let notes = &tree.notes;
        object!("Group", {
            "id": id.as_str(),
            "name": first.task.name(),
            "state": state_word(first.task.state()),
            "urgency": group.urgency.word(),
            "complaint": complaint(group),
            "source": first.task.source(),
            "leaves_not_recorded": notes.dropped,
            "wakers_of_other_threads": notes.elsewhere,
            "frames": frames(&tree.frames),
            // The likeliest first.
            "leaves": List::new(leaves.len(), move || leaves.iter().map(|at| *at as u64)),
            "tasks": self.tasks(shown),
            "live": List::new(live.len(), move || live.iter().map(|live| live.value(&shown.labels))),
        })
    }

    /// What makes the tasks of a group differ.
    fn tasks(&'a self, shown: &'a Shown<'a>) -> Value<'a> {
        let members = &shown.group.members[..];
        let place = move |member: &Member<'_>| {
            let place = member.task.spawned_at()?;
            self.places.binary_search(&place).ok()
        };
        // Most await nobody.
        let awaiting = move || {
            members
                .iter()
                .enumerate()
                .filter(|(_, it)| !it.task.awaits().is_empty())
        };
        object!("Tasks", {
            "len": members.len(),
            "id": column(members, |it| it.task.id().get()),
            "label": column(&shown.labels, |label| *label),
            "age_ms": column(members, |it| millis(it.task.age())),
            "waited_ms": column(members, |it| it.task.in_state().map(millis)),
            "polls": column(members, |it| it.task.polls()),
            "spawned_at": column(members, place),
            "parent": column(members, |it| it.task.parent().map(TaskId::get)),
            "thread": column(members, thread),
            "urgency": column(members, |it| it.standing.urgency.word()),
            // Which member, and whom it awaits.
            "awaits": List::new(awaiting().count(), move || {
                awaiting().map(|(at, it)| {
                    let awaited = it.task.awaits();
                    let all = move || iter::once(at as u64).chain(awaited.iter().map(|id| id.get()));
                    List::new(awaited.len() + 1, all)
                })
            }),
        })
    }

    fn text_of(&self, place: &'static Location<'static>) -> String {
        let file = self.paths.shorten(place.file());
        format!("{file}:{}:{}", place.line(), place.column())
    }
}

/// The tree of one task, as those of the others are.
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
        // Set if there are children which are not shown.
        "hides": frame_column(all, |step| u32::from(step.frame.hides_children())),
        "folded": frame_column(all, |step| u32::from(step.is_folded)),
        "resource": frame_column(all, |step| u32::from(step.frame.is_resource())),
    })
}

/// A frame that has a label or an age in some tree of a group, and what it has in each.
struct Live<'a> {
    /// Where it is in the order of [`walk`].
    at: usize,
    labels: Vec<Option<&'a str>>,
    ages: Vec<Option<Duration>>,
    held: Vec<Option<Duration>>,
}

impl<'a> Live<'a> {
    /// Of tasks whose trees are alike, in the order of [`walk`].
    fn of(members: &[Member<'a>]) -> Vec<Self> {
        let mut all: BTreeMap<usize, Self> = BTreeMap::new();
        for (number, member) in members.iter().enumerate() {
            let add = |at: usize, label, age, held| {
                let live = all.entry(at).or_insert_with(|| Self::new(at));
                live.fill(number);
                live.labels.push(label);
                live.ages.push(age);
                live.held.push(held);
            };
            each_live(member, add);
        }
        let mut all: Vec<Self> = all.into_values().collect();
        all.iter_mut().for_each(|live| live.fill(members.len()));
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

    /// Nothing is known of the rest of so many.
    fn fill(&mut self, members: usize) {
        self.labels.resize(members, None);
        self.ages.resize(members, None);
        self.held.resize(members, None);
    }

    /// `labels` are those of the tasks.
    fn value(&'a self, labels: &'a [Option<&'a str>]) -> Value<'a> {
        // The outermost frame of a task most often has its label, which need not be said twice.
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

/// The label and the times of each frame of a task that has any, and where it is.
fn each_live<'a>(
    member: &Member<'a>,
    mut each: impl FnMut(usize, Option<&'a str>, Option<Duration>, Option<Duration>),
) {
    let trace = member.task.trace();
    if trace.pattern().is_some() {
        // Nobody need make its tree.
        return trace.each_own(|at, own| each(at, own.label, own.age, own.not_polled_for));
    }
    for (at, step) in walk(&member.tree().frames).enumerate() {
        let (label, age) = (step.frame.label(), step.frame.age());
        if label.is_some() || age.is_some() {
            each(at, label, age, step.frame.not_polled_for());
        }
    }
}

/// What is known of each of these: the list, or the one value if they are all the same.
fn column<'a, S, T>(of: &'a [S], what: impl Fn(&'a S) -> T + Copy + 'a) -> Value<'a>
where
    T: PartialEq + Into<Value<'a>> + 'a,
{
    compact(of.len(), move || of.iter().map(what))
}

/// What is known of each frame of a tree.
fn frame_column<'a, T>(frames: &'a [Frame], what: fn(Step<'a>) -> T) -> Value<'a>
where
    T: PartialEq + Into<Value<'a>> + 'a,
{
    compact(walk(frames).count(), move || walk(frames).map(what))
}

fn compact<'a, I>(len: usize, values: impl Fn() -> I + 'a) -> Value<'a>
where
    I: Iterator<Item: PartialEq + Into<Value<'a>>> + 'a,
{
    let mut all = values();
    match all.next() {
        Some(first) if all.all(|other| other == first) => first.into(),
        _ => List::new(len, values).into(),
    }
}

fn millis(time: Duration) -> u64 {
    time.as_millis().try_into().unwrap_or(u64::MAX)
}

/// Returns the complaint about the tasks of a group, if there is one.
fn complaint(group: &Group<'_>) -> Option<String> {
    let of_one = group.urgency.words()?.of_one;
    let polls = group.first().task.polls_per_second();
    let polls = polls.filter(|_| group.urgency == Urgency::Spinning);
    Some(match polls {
        Some(polls) => format!("{of_one}: {polls} polls a second"),
        None => of_one.to_owned(),
    })
}

/// The thread that polls it.
fn thread(member: &Member<'_>) -> Option<String> {
    let TaskState::Running(running) = member.task.state() else {
        return None;
    };
    let mut text = String::new();
    // A string takes whatever is written.
    header::thread_of(&mut text, running).ok().map(|()| text)
}

#[cfg(test)]
mod tests;
