//! The texts that Go's profiles are, for the tools that read those: tasks are the goroutines.
//!
//! Go counts by addresses. Ours is a number for each line, which stands for nothing but that.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::time::Duration;

use super::weigh::{Scales, Seen, Standing, Way, tasks};
use crate::dump::{Dump, TaskDump};
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
            Self::Block => seen.standing.waits(),
            Self::Mutex => seen.standing.waits() && waits_for_lock(seen),
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
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Line<'a> {
    name: &'a str,
    file: &'a str,
    line: u32,
}

impl<'a> Line<'a> {
    fn of(frame: &'a Frame) -> Self {
        Self {
            name: frame.name(),
            file: frame.file().unwrap_or("unknown"),
            line: frame.line().unwrap_or_default(),
        }
    }

    /// Those of a way, the leaf first.
    fn all(seen: &Seen<'a>, way: &Way<'a>) -> Vec<Self> {
        if way.frames.is_empty() {
            return vec![Self {
                name: seen.name,
                file: "unknown",
                line: 0,
            }];
        }
        way.frames.iter().rev().map(|it| Self::of(it)).collect()
    }
}

/// Numbers for lines, in the order in which they are met.
#[derive(Default)]
struct Addresses<'a> {
    known: HashMap<Line<'a>, usize>,
    lines: Vec<Line<'a>>,
}

impl<'a> Addresses<'a> {
    fn number(&mut self, line: Line<'a>) -> usize {
        *self.known.entry(line).or_insert_with(|| {
            self.lines.push(line);
            self.lines.len() - 1
        })
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
            let Line { name, file, line } = addresses.lines[number];
            let address = Addresses::address(number);
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
        let mut ways = Vec::new();
        scales.weigh(&seen, |way| ways.push(way));
        for way in ways {
            if !std::mem::take(&mut is_first) {
                f.write_str("\n")?;
            }
            write!(f, "goroutine {} [{}", task.id(), doing(&seen, &way))?;
            match task.in_state().unwrap_or_default().as_secs() / 60 {
                0 => {}
                minutes => write!(f, ", {minutes} minutes")?,
            }
            f.write_str("]:\n")?;
            for Line { name, file, line } in Line::all(&seen, &way) {
                writeln!(f, "{name}(...)\n\t{file}:{line} +0x0")?;
            }
            created(f, dump, task, &paths)?;
        }
    }
    Ok(())
}

/// What a task does there, in a few words.
fn doing<'a>(seen: &Seen<'_>, way: &Way<'a>) -> &'a str {
    match seen.standing {
        Standing::Running => "running",
        Standing::NeverPolled | Standing::Woken => "runnable",
        Standing::Finished => "dead",
        Standing::Suspended => {
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
    write!(f, "created by {}", name.map_or("unknown", TaskDump::name))?;
    if let Some(parent) = parent {
        write!(f, " in goroutine {parent}")?;
    }
    let file = paths.shorten(place.file());
    writeln!(f, "\n\t{file}:{} +0x0", place.line())
}

#[cfg(test)]
mod tests;
