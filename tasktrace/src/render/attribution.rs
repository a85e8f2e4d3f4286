//! Attributes tasks to their paths: the call paths from the root of a task to its leaves.
//!
//! A task that waits for several things at the same time, as in a `select!` or a `join!`, has several paths. It is one
//! task and waits once. So the shares of its paths add up to the task:
//!
//! * Its time is split evenly between the paths.
//! * It is counted at one of the paths, because there is no half task. Tasks with the same paths are counted at each
//!   path in turn.
//!
//! Paths differ if their frames have different lines. Labels do not matter. A loop that waits a hundred times at one
//! line has one path.
//!
//! If a tree has many very long paths, the frames in the middle of each path are omitted. So the output is linear in
//! the size of the tree, although the total length of the paths is not.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use crate::dump::{Dump, StateKind, TaskDump};
use crate::trace::{Frame, Tree, anonymous};

/// A task of a dump, or all samples of a profile in which tasks had the same frames.
#[cfg_attr(
    not(feature = "pprof"),
    allow(dead_code, reason = "only pprof has labels")
)]
pub(crate) struct TaskSample<'a> {
    pub(crate) name: &'a str,
    pub(crate) label: Option<&'a str>,
    /// The number of the task. `None` if the sample is of several tasks.
    pub(crate) task: Option<u64>,
    pub(crate) state_kind: StateKind,
    pub(crate) tree: &'a Tree,
    /// The number of times that a task was seen.
    pub(crate) count: u64,
    /// The total time that the tasks have waited.
    pub(crate) waited: Duration,
}

impl<'a> TaskSample<'a> {
    fn of(task: &'a TaskDump) -> Self {
        let state_kind = StateKind::of(task.state());
        let waited = task.in_state().filter(|_| state_kind.waits());
        Self {
            name: task.name(),
            label: task.label(),
            task: Some(task.id().get()),
            state_kind,
            tree: task.trace().simplified(),
            count: 1,
            waited: waited.unwrap_or_default(),
        }
    }
}

/// Returns the tasks of a dump, each once.
pub(crate) fn task_samples(dump: &Dump) -> impl Iterator<Item = TaskSample<'_>> {
    dump.tasks().map(TaskSample::of)
}

/// A path from the root of a task to one of its leaves. It has no frames if the task has none.
#[cfg_attr(
    not(feature = "flamegraph"),
    allow(dead_code, reason = "only flamegraphs show parts of tasks")
)]
pub(crate) struct TaskPath<'a> {
    pub(crate) frames: Vec<&'a Frame>,
    /// The position of the frame before which frames are omitted, if the path is too long.
    pub(crate) omitted_before: Option<usize>,
    /// The number of tasks that are counted at this path.
    pub(crate) count: u64,
    /// The share of this path in the time waited.
    pub(crate) waited: Duration,
    /// The number of paths of the task.
    pub(crate) path_count: u64,
    /// The position among the paths of the task.
    at: u64,
    /// The number of tasks in the sample.
    task_count: u64,
}

#[cfg(feature = "flamegraph")]
impl TaskPath<'_> {
    /// Returns the share of this path in the tasks, if each task is divided into `scale` parts.
    pub(crate) fn scaled_count(&self, scale: u64) -> u64 {
        even_share(
            self.task_count.saturating_mul(scale),
            self.path_count,
            self.at,
        )
    }
}

/// Splits tasks between their paths.
#[derive(Default)]
pub(crate) struct Attributor {
    /// The number of tasks so far with the same paths, by a hash of the paths.
    turns: HashMap<u64, u64>,
}

impl Attributor {
    /// Calls `each` with the paths of a sample and their shares, one after the other.
    pub(crate) fn attribute(
        &mut self,
        sample: &TaskSample<'_>,
        mut each: impl FnMut(TaskPath<'_>),
    ) {
        let merged;
        let frames = match leaves(&sample.tree.frames) {
            0 | 1 => &sample.tree.frames,
            _ => {
                merged = anonymous(&sample.tree.frames);
                &merged
            }
        };
        let leaves = leaves(frames);
        let turn = match leaves {
            0 | 1 => 0,
            _ => {
                let turn = self.turns.entry(hash(sample.name, frames)).or_default();
                std::mem::replace(turn, turn.wrapping_add(sample.count))
            }
        };
        let path_count = leaves.max(1);
        let nanos = u64::try_from(sample.waited.as_nanos()).unwrap_or(u64::MAX);
        let mut at = 0;
        each_path(
            frames,
            longest_path(frames, path_count),
            |frames, omitted_before| {
                // The counts rotate, so that the next task with the same paths is counted at the next path.
                let rotated = (at + path_count - turn % path_count) % path_count;
                each(TaskPath {
                    frames,
                    omitted_before,
                    count: even_share(sample.count, path_count, rotated),
                    waited: Duration::from_nanos(even_share(nanos, path_count, at)),
                    path_count,
                    at,
                    task_count: sample.count,
                });
                at += 1;
            },
        );
    }
}

/// Splits `whole` evenly into `parts`, and returns the part at a position. The first parts get the remainder.
pub(crate) fn even_share(whole: u64, parts: u64, at: u64) -> u64 {
    whole / parts + u64::from(at < whole % parts)
}

/// Returns the number of leaves, which is the number of paths.
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

/// The number of frames up to which a path is always shown in full.
const ALWAYS_SHOWN: usize = 128;

/// Returns the number of frames up to which the paths of a tree are shown in full.
///
/// It is 16 times the average number of frames for each leaf. So long paths are shown in full if the tree has few of
/// them.
fn longest_path(frames: &[Frame], leaves: u64) -> usize {
    let frames = super::walk::walk(frames).count();
    let leaves = usize::try_from(leaves).unwrap_or(usize::MAX).max(1);
    ALWAYS_SHOWN.max((frames / leaves).saturating_mul(16))
}

/// Calls `each` with the frames from the root to a leaf, for each leaf. A tree without frames has one empty path.
///
/// If a path has more than `longest` frames, the frames in its middle are omitted, and the second argument is the
/// position of the first frame after them.
fn each_path<'a>(
    frames: &'a [Frame],
    longest: usize,
    mut each: impl FnMut(Vec<&'a Frame>, Option<usize>),
) {
    let mut path: Vec<&Frame> = Vec::new();
    let mut pending: Vec<(usize, &Frame)> = frames.iter().rev().map(|frame| (0, frame)).collect();
    if pending.is_empty() {
        each(Vec::new(), None);
    }
    while let Some((depth, frame)) = pending.pop() {
        path.truncate(depth);
        path.push(frame);
        match frame.children() {
            [] if path.len() <= longest => each(path.clone(), None),
            [] => {
                let half = longest / 2;
                let (outer, inner) = (&path[..half], &path[path.len() - half..]);
                each([outer, inner].concat(), Some(half));
            }
            children => {
                pending.extend(children.iter().rev().map(|child| (depth + 1, child)));
            }
        }
    }
}

/// The name of the frame that replaces the omitted ones.
pub(crate) const OMITTED_FRAMES: &str = "(frames in between are left out)";

#[cfg(test)]
mod tests;
