//! Bounds of an inspection.

use std::time::{Duration, Instant};

/// Bounds of an inspection: of each walk through a task, and of the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The largest number of tasks that are decoded.
    pub tasks: usize,
    /// The largest number of values that are looked at in one task.
    pub values_per_task: usize,
    /// The largest number of frames in the tree of one task.
    pub frames_per_task: usize,
    /// The largest number of elements of a collection that are looked at.
    pub elements: usize,
    /// The largest depth of a tree. A report is printed and written as JSON level by level, which takes a stack as deep.
    pub depth: usize,
    /// The largest number of bytes that are searched for tasks.
    pub search: u64,
    /// The longest time that reading memory takes.
    pub time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            tasks: 1_000_000,
            values_per_task: 200_000,
            frames_per_task: 10_000,
            elements: 10_000,
            depth: 1000,
            search: 64 << 30,
            time: Duration::from_secs(60),
        }
    }
}

/// The time that is left.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    pub(crate) fn after(time: Duration) -> Self {
        Self(Instant::now().checked_add(time))
    }

    pub(crate) fn is_over(self) -> bool {
        self.0.is_some_and(|end| Instant::now() >= end)
    }
}
