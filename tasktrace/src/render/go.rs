//! Writes the text formats of Go's profiles, for the tools that read them. Tasks are the goroutines.
//!
//! Go identifies lines by their addresses. Here the address of a line is a made-up number.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::time::Duration;

use tasktrace_http::GoProfile;

use super::attribution::{Attributor, TaskPath, TaskSample, task_samples};
use crate::dump::{Dump, StateKind, TaskDump};
use crate::escape::Escaped;
use crate::symbol::PathShortener;
use crate::trace::Frame;

/// Returns `true` if a profile counts a task.
pub(super) fn is_counted(profile: GoProfile, sample: &TaskSample<'_>) -> bool {
    match profile {
        GoProfile::Goroutine => true,
        GoProfile::Block => sample.state_kind.waits(),
        GoProfile::Mutex => sample.state_kind.waits() && waits_for_lock(sample),
    }
}

fn waits_for_lock(sample: &TaskSample<'_>) -> bool {
    let locks = ["Mutex::", "RwLock::", "Semaphore::"];
    let mut leaves = super::walk::walk(&sample.tree.frames)
        .map(|step| step.frame)
        .filter(|frame| frame.children().is_empty());
    leaves.any(|leaf| locks.iter().any(|lock| leaf.name().contains(lock)))
}

impl Dump {
    /// Returns the number of tasks at each stack, in the format of Go's `debug=1`.
    pub(crate) fn go_counted(&self, profile: GoProfile) -> impl fmt::Display + '_ {
        super::from_fn(move |f| counted(self, profile, f))
    }

    /// Returns the stack of each task, in the format of Go's `debug=2`.
    pub(crate) fn go_stacks(&self) -> impl fmt::Display + '_ {
        super::from_fn(|f| stacks(self, f))
    }
}

/// A line of a function in a source file.
#[derive(Clone, PartialEq, Eq, Hash)]
struct CodeLine {
    name: String,
    file: String,
    line: u32,
}

impl CodeLine {
    fn of(frame: &Frame) -> Self {
        Self {
            name: frame.name().to_owned(),
            file: frame.file().unwrap_or("unknown").to_owned(),
            line: frame.line().unwrap_or_default(),
        }
    }

    /// Returns the lines of a path, the leaf first.
    fn all(sample: &TaskSample<'_>, path: &TaskPath<'_>) -> Vec<Self> {
        if path.frames.is_empty() {
            return vec![Self {
                name: sample.name.to_owned(),
                file: "unknown".to_owned(),
                line: 0,
            }];
        }
        path.frames.iter().rev().map(|it| Self::of(it)).collect()
    }
}

/// Assigns numbers to lines, in the order of their first use.
#[derive(Default)]
struct LineAddresses {
    known: HashMap<CodeLine, usize>,
    lines: Vec<CodeLine>,
}

impl LineAddresses {
    fn number(&mut self, line: CodeLine) -> usize {
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

    /// Returns the address of the line with a number.
    ///
    /// Readers subtract one from an address, to get from the return address of a call to the call. So addresses are
    /// neither 0 nor adjacent.
    fn address(number: usize) -> usize {
        (number + 1) * 0x10
    }
}

fn counted(dump: &Dump, profile: GoProfile, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut addresses = LineAddresses::default();
    let mut counts: BTreeMap<Vec<usize>, (u64, Duration)> = BTreeMap::new();
    let mut total = 0;
    let mut attributor = Attributor::default();
    for sample in task_samples(dump).filter(|sample| is_counted(profile, sample)) {
        total += sample.count;
        attributor.attribute(&sample, |path| {
            let lines = CodeLine::all(&sample, &path).into_iter();
            let stack = lines.map(|line| addresses.number(line)).collect();
            let (count, waited) = counts.entry(stack).or_default();
            *count += path.count;
            *waited += path.waited;
        });
    }
    match profile {
        GoProfile::Goroutine => writeln!(f, "goroutine profile: total {total}")?,
        GoProfile::Block => writeln!(f, "--- contention:\ncycles/second=1000000000")?,
        GoProfile::Mutex => writeln!(f, "--- mutex:\ncycles/second=1000000000\nsampling period=1")?,
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    // The largest number comes first.
    counts.sort_by_key(|(_, (count, waited))| match profile {
        GoProfile::Goroutine => std::cmp::Reverse(u128::from(*count)),
        GoProfile::Block | GoProfile::Mutex => std::cmp::Reverse(waited.as_nanos()),
    });
    for (stack, (count, waited)) in counts {
        match profile {
            // The tasks with this stack are counted at other stacks.
            GoProfile::Goroutine if count == 0 => continue,
            GoProfile::Goroutine => write!(f, "{count} @")?,
            GoProfile::Block | GoProfile::Mutex => write!(f, "{} {count} @", waited.as_nanos())?,
        }
        for number in &stack {
            write!(f, " {:#x}", LineAddresses::address(*number))?;
        }
        f.write_str("\n")?;
        for number in stack {
            let CodeLine { name, file, line } = &addresses.lines[number];
            let address = LineAddresses::address(number);
            let (name, file) = (Escaped(name), Escaped(file));
            writeln!(f, "#\t{address:#x}\t{name}+0x0\t{file}:{line}")?;
        }
        f.write_str("\n")?;
    }
    Ok(())
}

fn stacks(dump: &Dump, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let paths = PathShortener::new();
    let mut attributor = Attributor::default();
    let mut is_first = true;
    for (task, sample) in dump.tasks().zip(task_samples(dump)) {
        let mut written = Ok(());
        attributor.attribute(&sample, |path| {
            if written.is_ok() {
                let separator = if std::mem::take(&mut is_first) {
                    ""
                } else {
                    "\n"
                };
                written = f.write_str(separator);
                written = written.and_then(|()| stack(dump, task, &sample, &path, &paths, f));
            }
        });
        written?;
    }
    Ok(())
}

fn stack(
    dump: &Dump,
    task: &TaskDump,
    sample: &TaskSample<'_>,
    path: &TaskPath<'_>,
    paths: &PathShortener,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    write!(
        f,
        "goroutine {} [{}",
        task.id(),
        Escaped(wait_reason(sample, path))
    )?;
    match task.in_state().unwrap_or_default().as_secs() / 60 {
        0 => {}
        minutes => write!(f, ", {minutes} minutes")?,
    }
    f.write_str("]:\n")?;
    for CodeLine { name, file, line } in CodeLine::all(sample, path) {
        let (name, file) = (Escaped(name), Escaped(file));
        writeln!(f, "{name}(...)\n\t{file}:{line} +0x0")?;
    }
    created(f, dump, task, paths)
}

/// Returns the state of a task at the end of a path, in the words of Go or as the name of a resource.
fn wait_reason<'a>(sample: &TaskSample<'_>, path: &TaskPath<'a>) -> &'a str {
    match sample.state_kind {
        StateKind::Running => "running",
        StateKind::NeverPolled | StateKind::Woken => "runnable",
        StateKind::Finished => "dead",
        StateKind::Suspended => {
            let leaf = path.frames.last().filter(|leaf| leaf.is_resource());
            leaf.map_or("waiting", |leaf| leaf.name())
        }
    }
}

fn created(
    f: &mut fmt::Formatter<'_>,
    dump: &Dump,
    task: &TaskDump,
    paths: &PathShortener,
) -> fmt::Result {
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
