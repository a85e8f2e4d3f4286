//! The texts that Go's profiles are, for the tools that read those: tasks are the goroutines.
//!
//! Go counts by addresses. Ours is a number for each line, which stands for nothing but that.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::time::Duration;

use super::weigh::{Scales, Seen, Way, tasks};
use crate::dump::{Dump, StateKind, TaskDump};
use crate::escape::Escaped;
use crate::symbol::Paths;
use crate::trace::Frame;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GoProfile {
    /// All tasks.
    Goroutine,
    /// For how long tasks have been waiting.
    Block,
    /// The same, of those that wait for a lock.
    Mutex,
}

impl GoProfile {
    /// Whether a task is counted.
    pub(super) fn has(self, seen: &Seen<'_>) -> bool {
        match self {
            Self::Goroutine => true,
            Self::Block => seen.state_kind.waits(),
            Self::Mutex => seen.state_kind.waits() && waits_for_lock(seen),
        }
    }
}

fn waits_for_lock(seen: &Seen<'_>) -> bool {
    let locks = ["Mutex::", "RwLock::", "Semaphore::"];
    let mut leaves = super::walk::walk(&seen.tree.frames)
        .map(|step| step.frame)
        .filter(|frame| frame.children().is_empty());
    leaves.any(|leaf| locks.iter().any(|lock| leaf.name().contains(lock)))
}

impl Dump {
    /// How many tasks are where, as Go's `debug=1` has it.
    pub(crate) fn go_counted(&self, profile: GoProfile) -> impl fmt::Display + '_ {
        Text(move |f: &mut fmt::Formatter<'_>| counted(self, profile, f))
    }

    /// The stack of each task, as Go's `debug=2` has it.
    pub(crate) fn go_stacks(&self) -> impl fmt::Display + '_ {
        Text(move |f: &mut fmt::Formatter<'_>| stacks(self, f))
    }
}

struct Text<F>(F);

impl<F: Fn(&mut fmt::Formatter<'_>) -> fmt::Result> fmt::Display for Text<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0(f)
    }
}

/// A line of a function.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Line {
    name: String,
    file: String,
    line: u32,
}

impl Line {
    fn of(frame: &Frame) -> Self {
        Self {
            name: frame.name().to_owned(),
            file: frame.file().unwrap_or("unknown").to_owned(),
            line: frame.line().unwrap_or_default(),
        }
    }

    /// Those of a way, the leaf first.
    fn all(seen: &Seen<'_>, way: &Way<'_>) -> Vec<Self> {
        if way.frames.is_empty() {
            return vec![Self {
                name: seen.name.to_owned(),
                file: "unknown".to_owned(),
                line: 0,
            }];
        }
        way.frames.iter().rev().map(|it| Self::of(it)).collect()
    }
}

/// Numbers for lines, in the order in which they are met.
#[derive(Default)]
struct Addresses {
    known: HashMap<Line, usize>,
    lines: Vec<Line>,
}

impl Addresses {
    fn number(&mut self, line: Line) -> usize {
        match self.known.get(&line) {
            Some(number) => *number,
            None => {
                let number = self.lines.len();
                self.lines.push(line.clone());
                self.known.insert(line, number);
                number
            }
        }
    }

    /// Readers subtract one from it, to come from where a call returns to the call.
    fn address(number: usize) -> usize {
        (number + 1) * 0x10
    }
}

fn counted(dump: &Dump, profile: GoProfile, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut addresses = Addresses::default();
    let mut counts: BTreeMap<Vec<usize>, (u64, Duration)> = BTreeMap::new();
    let mut total = 0;
    let mut scales = Scales::default();
    for seen in tasks(dump).filter(|seen| profile.has(seen)) {
        total += seen.count;
        scales.weigh(&seen, |way| {
            let lines = Line::all(&seen, &way).into_iter();
            let stack = lines.map(|line| addresses.number(line)).collect();
            let (count, waited) = counts.entry(stack).or_default();
            *count += way.count;
            *waited += way.waited;
        });
    }
    match profile {
        GoProfile::Goroutine => writeln!(f, "goroutine profile: total {total}")?,
        GoProfile::Block => writeln!(f, "--- contention:\ncycles/second=1000000000")?,
        GoProfile::Mutex => writeln!(f, "--- mutex:\ncycles/second=1000000000\nsampling period=1")?,
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    // The most first.
    counts.sort_by_key(|(_, (count, waited))| match profile {
        GoProfile::Goroutine => std::cmp::Reverse(u128::from(*count)),
        GoProfile::Block | GoProfile::Mutex => std::cmp::Reverse(waited.as_nanos()),
    });
    for (stack, (count, waited)) in counts {
        match profile {
            // Its tasks are counted elsewhere.
            GoProfile::Goroutine if count == 0 => continue,
            GoProfile::Goroutine => write!(f, "{count} @")?,
            GoProfile::Block | GoProfile::Mutex => write!(f, "{} {count} @", waited.as_nanos())?,
        }
        for number in &stack {
            write!(f, " {:#x}", Addresses::address(*number))?;
        }
        f.write_str("\n")?;
        for number in stack {
            let Line { name, file, line } = &addresses.lines[number];
            let address = Addresses::address(number);
            let (name, file) = (Escaped(name), Escaped(file));
            writeln!(f, "#\t{address:#x}\t{name}+0x0\t{file}:{line}")?;
        }
        f.write_str("\n")?;
    }
    Ok(())
}

fn stacks(dump: &Dump, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let paths = Paths::new();
    let mut scales = Scales::default();
    let mut is_first = true;
    for (task, seen) in dump.tasks().zip(tasks(dump)) {
        let mut written = Ok(());
        scales.weigh(&seen, |way| {
            if written.is_ok() {
                let separator = if std::mem::take(&mut is_first) {
                    ""
                } else {
                    "\n"
                };
                written = f.write_str(separator);
                written = written.and_then(|()| stack(dump, task, &seen, &way, &paths, f));
            }
        });
        written?;
    }
    Ok(())
}

fn stack(
    dump: &Dump,
    task: &TaskDump,
    seen: &Seen<'_>,
    way: &Way<'_>,
    paths: &Paths,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    write!(f, "goroutine {} [{}", task.id(), Escaped(doing(seen, way)))?;
    match task.in_state().unwrap_or_default().as_secs() / 60 {
        0 => {}
        minutes => write!(f, ", {minutes} minutes")?,
    }
    f.write_str("]:\n")?;
    for Line { name, file, line } in Line::all(seen, way) {
        let (name, file) = (Escaped(name), Escaped(file));
        writeln!(f, "{name}(...)\n\t{file}:{line} +0x0")?;
    }
    created(f, dump, task, paths)
}

/// What a task does there, in a few words.
fn doing<'a>(seen: &Seen<'_>, way: &Way<'a>) -> &'a str {
    match seen.state_kind {
        StateKind::Running => "running",
        StateKind::NeverPolled | StateKind::Woken => "runnable",
        StateKind::Finished => "dead",
        StateKind::Suspended => {
            let leaf = way.frames.last().filter(|leaf| leaf.is_resource());
            leaf.map_or("waiting", |leaf| leaf.name())
        }
    }
}

fn created(f: &mut fmt::Formatter<'_>, dump: &Dump, task: &TaskDump, paths: &Paths) -> fmt::Result {
    let Some(place) = task.spawned_at() else {
        return Ok(());
    };
    let parent = task.parent();
    let name = parent.and_then(|parent| dump.get(parent));
    let name = name.map_or("unknown", TaskDump::name);
    write!(f, "created by {}", Escaped(name))?;
    if let Some(parent) = parent {
        write!(f, " in goroutine {parent}")?;
    }
    let file = Escaped(paths.shorten(place.file()));
    writeln!(f, "\n\t{file}:{} +0x0", place.line())
}

#[cfg(test)]
mod tests;
