//! Adding up tasks: each way from the root of a task to a leaf, and what share of the task it has.
//!
//! A task that waits for several things at once, as in a `select!` or a `join!`, is one task all the
//! same, and waits once. So what the ways of a task weigh adds up to the task:
//!
//! * Its time is split evenly between them.
//! * It counts at one of them, for half a task is none. Tasks with the same ways take turns.
//!
//! A way of very many frames is told without those in its middle where there are many such ways: what
//! is told of a tree is linear in its size, though its ways together need not be.
//!
//! Ways are different if they lead through different lines: labels do not matter. A loop that waits a
//! hundred times at one line has one.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use crate::dump::{Dump, StateKind, TaskDump};
use crate::trace::{Frame, Tree, anonymous};

/// A task, or several with the same frames that were seen at one time or another.
#[cfg_attr(
    not(feature = "pprof"),
    allow(dead_code, reason = "only pprof has labels")
)]
pub(crate) struct Seen<'a> {
    pub(crate) name: &'a str,
    pub(crate) label: Option<&'a str>,
    /// The number of the task, if it is one.
    pub(crate) task: Option<u64>,
    pub(crate) state_kind: StateKind,
    pub(crate) tree: &'a Tree,
    /// How many were seen.
    pub(crate) count: u64,
    /// How long they have waited, all together.
    pub(crate) waited: Duration,
}

impl<'a> Seen<'a> {
    fn of(task: &'a TaskDump) -> Self {
        let state_kind = StateKind::of(task.state());
        let waited = task.in_state().filter(|_| state_kind.waits());
        Self {
            name: task.name(),
            label: task.label(),
            task: Some(task.id().get()),
            state_kind,
            tree: task.trace().tidy(),
            count: 1,
            waited: waited.unwrap_or_default(),
        }
    }
}

/// The tasks of a dump, each once.
pub(crate) fn tasks(dump: &Dump) -> impl Iterator<Item = Seen<'_>> {
    dump.tasks().map(Seen::of)
}

/// A way from the root of a task to one of its leaves. Without frames if nothing is known but the task.
#[cfg_attr(
    not(feature = "flamegraph"),
    allow(dead_code, reason = "only flamegraphs show parts of tasks")
)]
pub(crate) struct Way<'a> {
    pub(crate) frames: Vec<&'a Frame>,
    /// Which of the frames comes after others that are left out.
    pub(crate) cut: Option<usize>,
    /// How many of those that were seen count here.
    pub(crate) count: u64,
    /// This way's part of the time waited.
    pub(crate) waited: Duration,
    /// One of how many ways this is, and the position among them.
    pub(crate) of: u64,
    at: u64,
    seen: u64,
}

#[cfg(feature = "flamegraph")]
impl Way<'_> {
    /// This way's part of those that were seen, each of which is so many.
    pub(crate) fn fine_count(&self, scale: u64) -> u64 {
        part(self.seen.saturating_mul(scale), self.of, self.at)
    }
}

/// Splits tasks between their ways.
#[derive(Default)]
pub(crate) struct Scales {
    /// How many with the same ways, by a hash of these, there have been.
    turns: HashMap<u64, u64>,
}

impl Scales {
    /// The ways of a task, with its parts, one after the other.
    pub(crate) fn weigh(&mut self, seen: &Seen<'_>, mut each: impl FnMut(Way<'_>)) {
        let merged;
        let frames = match leaves(&seen.tree.frames) {
            0 | 1 => &seen.tree.frames,
            _ => {
                merged = anonymous(&seen.tree.frames);
                &merged
            }
        };
        let leaves = leaves(frames);
        let turn = match leaves {
            0 | 1 => 0,
            _ => {
                let turn = self.turns.entry(hash(seen.name, frames)).or_default();
                std::mem::replace(turn, turn.wrapping_add(seen.count))
            }
        };
        let of = leaves.max(1);
        let nanos = u64::try_from(seen.waited.as_nanos()).unwrap_or(u64::MAX);
        let mut at = 0;
        each_way(frames, longest(frames, of), |frames, cut| {
            each(Way {
                frames,
                cut,
                count: part(seen.count, of, (at + of - turn % of) % of),
                waited: Duration::from_nanos(part(nanos, of, at)),
                of,
                at,
                seen: seen.count,
            });
            at += 1;
        });
    }
}

/// What the part at a position is of something that is split evenly. The first have what is over.
pub(crate) fn part(whole: u64, of: u64, at: u64) -> u64 {
    whole / of + u64::from(at < whole % of)
}

/// How many ways there are.
fn leaves(frames: &[Frame]) -> u64 {
    let mut leaves = 0;
    for step in super::walk::walk(frames) {
        leaves += u64::from(step.frame.children().is_empty());
    }
    leaves
}

fn hash(name: &str, frames: &[Frame]) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    for step in super::walk::walk(frames) {
        let frame = step.frame;
        (step.parent, frame.name(), frame.file(), frame.line()).hash(&mut hasher);
    }
    hasher.finish()
}

/// The largest number of frames of a path that is shown in full.
const LONG: usize = 128;

/// How many frames are told of a way of a tree that has so many leaves. All, if few of the ways are
/// long.
fn longest(frames: &[Frame], leaves: u64) -> usize {
    let frames = super::walk::walk(frames).count();
    let leaves = usize::try_from(leaves).unwrap_or(usize::MAX).max(1);
    LONG.max((frames / leaves).saturating_mul(16))
}

/// Calls `each` with the frames from the root to a leaf, for each leaf; once with none if there are no
/// frames. Of a way that is too long the frames in the middle are left out.
fn each_way<'a>(
    frames: &'a [Frame],
    longest: usize,
    mut each: impl FnMut(Vec<&'a Frame>, Option<usize>),
) {
    let mut way: Vec<&Frame> = Vec::new();
    let mut pending: Vec<(usize, &Frame)> = frames.iter().rev().map(|frame| (0, frame)).collect();
    if pending.is_empty() {
        each(Vec::new(), None);
    }
    while let Some((depth, frame)) = pending.pop() {
        way.truncate(depth);
        way.push(frame);
        match frame.children() {
            [] if way.len() <= longest => each(way.clone(), None),
            [] => {
                let half = longest / 2;
                let (outer, inner) = (&way[..half], &way[way.len() - half..]);
                each([outer, inner].concat(), Some(half));
            }
            children => {
                pending.extend(children.iter().rev().map(|child| (depth + 1, child)));
            }
        }
    }
}

/// Stands for the frames that are left out.
pub(crate) const LEFT_OUT: &str = "(frames in between are left out)";

#[cfg(test)]
mod tests;
