//! All tasks at one moment: plain data.
//!
//! * [`take`]: taking it; [`ask`]: asking the tasks for it; [`look`]: what is known without.
//! * [`task`]: what is known of one task; [`untraced`]: how many there are of which nothing is.
//! * [`ended`]: those that are no more.
//! * [`standing`]: the kind of the state that it is in.
//! * [`forest`]: who waits for whom.
//! * [`hang`]: a test that does not end.
//! * [`stall`]: one task that does not go on.
#![forbid(unsafe_code)]

mod again;
mod ask;
mod ended;
mod forest;
mod hang;
mod look;
mod stall;
mod standing;
mod take;
mod task;
mod turns;
mod untraced;

pub(crate) use again::ask_again;
pub(crate) use ask::look_at;
pub use ended::{EndedTask, HowEnded};
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
pub(crate) use task::Unpolled;
pub use task::{Source, TaskDump};
pub use untraced::UntracedTasks;
pub(crate) use untraced::beside as untraced_beside;

use std::sync::Arc;
use std::time::SystemTime;

use crate::task::{Moment, TaskId};

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
    untraced_tasks: Vec<UntracedTasks>,
    /// The last first.
    ended: Arc<[EndedTask]>,
    taken: SystemTime,
    /// The moment as of which all is told.
    moment: Moment,
}

impl Dump {
    /// `untraced` are the tasks of the runtime that are not traced, where that is known.
    pub(crate) fn new(mut tasks: Vec<TaskDump>, untraced: Option<usize>) -> Self {
        tasks.sort_by_key(TaskDump::id);
        let here = untraced.filter(|untraced| *untraced > 0);
        let here = here.map(|untraced| UntracedTasks::new(None, untraced));
        Self {
            tasks,
            untraced,
            untraced_tasks: here.into_iter().collect(),
            ended: Arc::default(),
            taken: SystemTime::now(),
            moment: Moment::now(),
        }
    }

    fn counted(tasks: Vec<TaskDump>, count: untraced::Count, moment: Moment) -> Self {
        Self {
            moment,
            untraced_tasks: count.runtimes,
            ended: ended::all(),
            ..Self::new(tasks, count.here)
        }
    }

    /// As if these tasks were not traced.
    #[cfg(test)]
    pub(crate) fn with_untraced_tasks(self, untraced_tasks: Vec<UntracedTasks>) -> Self {
        Self {
            untraced_tasks,
            ..self
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

    /// Returns how many tasks of the caller's runtime are not traced, and so are not in this dump. The caller is the
    /// code that asked for the dump.
    ///
    /// `None` if it was asked for outside of any runtime: see [`untraced_by_runtime`](Self::untraced_by_runtime).
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

    /// Returns how many tasks are not traced, for each known runtime that has such tasks. Known are the runtime in
    /// which the dump was asked for, and, with the feature `tokio`, those of the tasks in the dump.
    ///
    /// Such tasks become visible with `tasktrace::spawn` in place of `tokio::spawn`, or with
    /// [`#[traced]`](macro@crate::traced) on their function.
    ///
    /// ```
    /// for untraced in tasktrace::snapshot().untraced_by_runtime() {
    ///     println!("{} on the runtime of {:?}", untraced.count(), untraced.runtime_of());
    /// }
    /// ```
    #[must_use]
    pub fn untraced_by_runtime(&self) -> &[UntracedTasks] {
        &self.untraced_tasks
    }

    /// How many tasks of all known runtimes are not traced. `None` if there is no runtime that could tell.
    #[cfg(feature = "http")]
    pub(crate) fn untraced_total(&self) -> Option<usize> {
        let total: usize = self.untraced_tasks.iter().map(UntracedTasks::count).sum();
        match total {
            0 => self.untraced,
            total => Some(total),
        }
    }

    /// Returns the last tasks that have panicked and the last that were dropped before they had ended, up to 16 of
    /// each, the latest first.
    ///
    /// A task that was dropped is listed if [`traced`](crate::traced()) or `tasktrace::spawn` has made it, and
    /// if it had been polled. The future of a `#[traced]` function that is dropped, as in a `select!` that
    /// another branch wins, is not listed.
    ///
    /// ```
    /// let dump = tasktrace::snapshot();
    /// assert!(dump.ended().len() <= 32);
    /// ```
    #[must_use]
    pub fn ended(&self) -> &[EndedTask] {
        &self.ended
    }

    /// Replaces the ended tasks.
    #[cfg(test)]
    pub(crate) fn with_ended(self, ended: Vec<EndedTask>) -> Self {
        Self {
            ended: ended.into(),
            ..self
        }
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
