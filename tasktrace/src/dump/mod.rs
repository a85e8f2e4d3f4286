//! All tasks at one moment: plain data.
//!
//! * [`take`]: taking it; [`ask`]: asking the tasks for it; [`look`]: what is known without.
//! * [`task`]: what is known of one task.
//! * [`standing`]: the kind of the state that it is in.
//! * [`forest`]: who waits for whom.
//! * [`hang`]: a test that does not end.
//! * [`stall`]: one task that does not go on.
#![forbid(unsafe_code)]

mod ask;
mod forest;
mod hang;
mod look;
mod stall;
mod standing;
mod take;
mod task;

pub(crate) use ask::look_at;
pub use forest::Forest;
pub(crate) use hang::{Hang, Stage, Why};
pub(crate) use stall::StalledFunction;
pub use stall::{Stall, StallPhase, StallReport};
pub(crate) use standing::Standing;
pub(crate) use take::dump_of;
pub(crate) use take::{asked, snapshot_of};
pub use take::{dump, dump_blocking, snapshot};
#[cfg(feature = "http")]
pub(crate) use take::{dump_in, snapshot_in};
pub use task::{Source, TaskDump};

use std::time::SystemTime;

use crate::task::TaskId;

/// Where all tasks are, at one moment.
///
/// A dump is plain data, which does not change any more. It is cheap to take: like a
/// [`Trace`](crate::Trace), it consists of addresses until it is printed or inspected.
///
/// * `{}` prints the counts, what looks wrong, and then the tasks: those that are in the same state
///   at the same place as one group, with what makes them differ; the most urgent first. So are
///   many frames in a task that are at the same place, and differ by their labels.
/// * `{:#}` prints each task on its own, with everything that is on its stacks.
/// * [`by_awaiter`](Self::by_awaiter) prints them as a forest: who waits for whom.
/// * [`json`](Self::json) is for machines.
///
/// ```
/// # #[tasktrace::traced]
/// # async fn serve() {
/// let dump = tasktrace::snapshot();
/// println!("{dump}");
/// for task in &dump {
///     println!("task {} has been polled {} times", task.id(), task.polls());
/// }
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() { serve().await }
/// ```
///
/// With the feature `serde`, it is `Serialize`. The format, which is that of the JSON, has a version,
/// and a [JSON Schema](https://github.com/petrosagg/tasktrace/blob/HEAD/tasktrace/schema/tasktrace.schema.json):
///
/// ```
/// # #[cfg(feature = "serde")]
/// # {
/// let dump = serde_json::to_value(tasktrace::snapshot()).unwrap();
/// assert_eq!(dump["schema"], "tasktrace.dump/1");
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Dump {
    /// In the order of their numbers.
    tasks: Vec<TaskDump>,
    untraced: Option<usize>,
    taken: SystemTime,
}

impl Dump {
    /// `untraced` are the tasks of the runtime that are not traced, where that is known.
    pub(crate) fn new(mut tasks: Vec<TaskDump>, untraced: Option<usize>) -> Self {
        tasks.sort_by_key(TaskDump::id);
        Self {
            tasks,
            untraced,
            taken: SystemTime::now(),
        }
    }

    /// As if it had been taken then.
    #[cfg(test)]
    pub(crate) fn taken_at(self, taken: SystemTime) -> Self {
        Self { taken, ..self }
    }

    /// When it was taken: by then all tasks had been looked at.
    ///
    /// ```
    /// let dump = tasktrace::snapshot();
    /// assert!(dump.taken() <= std::time::SystemTime::now());
    /// ```
    #[must_use]
    pub fn taken(&self) -> SystemTime {
        self.taken
    }

    /// The tasks, in the order of their numbers: those that one thread has made are in the order in which
    /// it has made them.
    ///
    /// ```
    /// let dump = tasktrace::snapshot();
    /// let first = dump.tasks().next();
    /// let most_polled = dump.tasks().max_by_key(|task| task.polls());
    /// # assert_eq!(first.is_some(), most_polled.is_some());
    /// ```
    pub fn tasks(&self) -> std::slice::Iter<'_, TaskDump> {
        self.tasks.iter()
    }

    /// The task with this number, if it was there.
    ///
    /// ```
    /// let (_future, handle) = tasktrace::traced(async {});
    /// let dump = tasktrace::snapshot();
    /// if let Some(task) = dump.get(handle.id()) {
    ///     println!("{}", task.state());
    /// }
    /// ```
    #[must_use]
    pub fn get(&self, id: TaskId) -> Option<&TaskDump> {
        self.position(id).map(|at| &self.tasks[at])
    }

    /// How many tasks there are.
    ///
    /// ```
    /// let dump = tasktrace::snapshot();
    /// assert_eq!(dump.len(), dump.tasks().count());
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Whether there are no tasks.
    ///
    /// ```
    /// let dump = tasktrace::snapshot();
    /// assert_eq!(dump.is_empty(), dump.len() == 0);
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// How many more tasks the runtime has, which are not traced and so not in this dump.
    ///
    /// `None` where there is no runtime that could tell.
    ///
    /// ```
    /// if let Some(untraced) = tasktrace::snapshot().untraced() {
    ///     println!("{untraced} tasks cannot be seen");
    /// }
    /// ```
    #[must_use]
    pub fn untraced(&self) -> Option<usize> {
        self.untraced
    }

    /// The tasks as a forest: each below those that await it.
    ///
    /// ```
    /// let dump = tasktrace::snapshot();
    /// let forest = dump.by_awaiter();
    /// println!("{forest}");
    /// assert!(forest.cycles().is_empty(), "a deadlock:\n{forest}");
    /// ```
    #[must_use]
    pub fn by_awaiter(&self) -> Forest<'_> {
        Forest::new(self)
    }

    fn position(&self, id: TaskId) -> Option<usize> {
        self.tasks.binary_search_by_key(&id, TaskDump::id).ok()
    }
}

impl<'a> IntoIterator for &'a Dump {
    type Item = &'a TaskDump;
    type IntoIter = std::slice::Iter<'a, TaskDump>;

    fn into_iter(self) -> Self::IntoIter {
        self.tasks()
    }
}

#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;
