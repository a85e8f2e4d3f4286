//! Takes dumps, which show all tasks at one moment as plain data.
//!
//! * [`take`]: takes a dump; [`ask`]: asks the tasks; [`retry`]: asks them again; [`scan`]: reads tasks without asking
//!   them.
//! * [`computing`]: distinguishes threads that compute from threads that are blocked.
//! * [`time_slices`]: distinguishes an executor that does not poll from a process without processor time.
//! * [`task`]: the data of one task; [`untraced`]: counts the tasks that are not traced.
//! * [`ended`]: tasks that panicked or were dropped.
//! * [`state_kind`]: the kind of a task's state.
//! * [`forest`]: the tasks, each below the tasks that await it.
//! * [`hang`]: a test that does not end.
//! * [`stall`]: a task that makes no progress.
#![forbid(unsafe_code)]

mod ask;
mod computing;
mod ended;
mod forest;
mod hang;
mod retry;
mod scan;
mod stall;
mod state_kind;
mod take;
mod task;
mod time_slices;
mod untraced;

pub(crate) use ask::sample_or_snapshot;
pub use ended::{EndedTask, HowEnded};
pub use forest::Forest;
pub(crate) use hang::{Hang, HangTrigger, TestStage};
pub(crate) use retry::retry_unpolled;
pub(crate) use stall::StalledFunction;
pub use stall::{Stall, StallPhase, StallReport};
pub(crate) use state_kind::StateKind;
pub(crate) use take::dump_of;
pub use take::{dump, dump_blocking, snapshot};
#[cfg(feature = "http")]
pub(crate) use take::{dump_in, snapshot_in};
pub(crate) use take::{dump_task, snapshot_of};
pub(crate) use task::Unpolled;
pub use task::{Source, TaskDump};
pub use untraced::UntracedTasks;
pub(crate) use untraced::count_on_runtime_of as untraced_on_runtime_of;

use std::sync::Arc;
use std::time::SystemTime;

use crate::inspect::Inspection;
use crate::os;
use crate::task::{ExactInstant, TaskId};

/// Shows where all tasks are, at one moment.
///
/// A dump is immutable, plain data. It is cheap to take: like a [`Trace`](crate::Trace), it consists of addresses until
/// it is printed or inspected.
///
/// * `{}` prints the counts, the likely problems, and then the tasks, the most urgent first. Tasks in the same state at
///   the same place form one group, which lists their differences. Within a task, many frames at the same place that
///   differ only by label form a group as well.
/// * `{:#}` prints each task separately, with its whole stacks.
/// * [`by_awaiter`](Self::by_awaiter) prints the tasks as a forest: who awaits whom.
/// * [`json`](Self::json) returns JSON.
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
/// With the feature `serde`, a dump implements `Serialize`, in the same format as [`json`](Self::json). The format has
/// a version and a [JSON
/// Schema](https://github.com/petrosagg/tasktrace/blob/HEAD/tasktrace/schema/tasktrace.schema.json):
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
    /// The tasks, in the order of their numbers.
    tasks: Vec<TaskDump>,
    /// The number of untraced tasks on the runtime of the caller, if the caller was in a runtime.
    untraced: Option<usize>,
    /// The runtimes that have untraced tasks.
    untraced_tasks: Vec<UntracedTasks>,
    /// The ended tasks, the latest first.
    ended: Arc<[EndedTask]>,
    /// The tasks that were read from memory. `None` without the feature `inspect`, and in dumps of some tasks only.
    inspected: Option<Arc<Inspection>>,
    taken: SystemTime,
    /// The moment to which all ages refer.
    moment: ExactInstant,
}

impl Dump {
    /// Creates a dump. `untraced` is the number of untraced tasks of the caller's runtime, if that is known.
    pub(crate) fn new(mut tasks: Vec<TaskDump>, untraced: Option<usize>) -> Self {
        tasks.sort_by_key(TaskDump::id);
        let here = untraced.filter(|untraced| *untraced > 0);
        let here = here.map(|untraced| UntracedTasks::new(None, untraced));
        Self {
            tasks,
            untraced,
            untraced_tasks: here.into_iter().collect(),
            ended: Arc::default(),
            inspected: None,
            taken: os::time::wall_clock(),
            moment: ExactInstant::now(),
        }
    }

    /// Creates a dump with the untraced tasks of all runtimes, and with the ended tasks.
    fn with_counts(
        tasks: Vec<TaskDump>,
        count: untraced::UntracedCounts,
        moment: ExactInstant,
    ) -> Self {
        Self {
            moment,
            untraced_tasks: count.runtimes,
            ended: ended::all(),
            ..Self::new(tasks, count.here)
        }
    }

    /// Adds what was read from memory.
    pub(crate) fn with_inspection(self, inspected: Option<Inspection>) -> Self {
        Self {
            inspected: inspected.map(Arc::new),
            ..self
        }
    }

    /// Returns what was read from the memory of this process (feature `inspect`): tasks that are not traced, and who
    /// holds a lock.
    ///
    /// Returns `None` for a dump of some tasks only, such as that of a profile.
    ///
    /// ```
    /// let dump = tasktrace::snapshot();
    /// for task in dump.inspected().into_iter().flat_map(|inspection| inspection.untraced()) {
    ///     println!("{} is not traced", task.name);
    /// }
    /// ```
    #[cfg(feature = "inspect")]
    #[must_use]
    pub fn inspected(&self) -> Option<&Inspection> {
        self.inspected.as_deref()
    }

    /// Returns what was read from memory, which without the feature `inspect` is nothing.
    #[cfg(not(feature = "inspect"))]
    pub(crate) fn inspected(&self) -> Option<&Inspection> {
        self.inspected.as_deref()
    }

    /// Returns `true` if untraced tasks were read from memory.
    pub(crate) fn shows_untraced(&self) -> bool {
        self.inspected().is_some_and(Inspection::has_report)
    }

    /// Sets the untraced tasks.
    #[cfg(test)]
    pub(crate) fn with_untraced_tasks(self, untraced_tasks: Vec<UntracedTasks>) -> Self {
        Self {
            untraced_tasks,
            ..self
        }
    }

    /// Sets the time at which the dump was taken.
    #[cfg(test)]
    pub(crate) fn taken_at(self, taken: SystemTime) -> Self {
        Self { taken, ..self }
    }

    /// Returns the time at which the dump was complete. All ages refer to the moment when the dump began.
    ///
    /// ```
    /// let dump = tasktrace::snapshot();
    /// assert!(dump.taken() <= std::time::SystemTime::now());
    /// ```
    #[must_use]
    pub fn taken(&self) -> SystemTime {
        self.taken
    }

    /// Returns the tasks in the order of their numbers, which is the order of their creation.
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

    /// Returns the task with this number, if the dump has it.
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

    /// Returns the number of tasks in the dump.
    ///
    /// ```
    /// let dump = tasktrace::snapshot();
    /// assert_eq!(dump.len(), dump.tasks().count());
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Returns `true` if the dump has no tasks.
    ///
    /// ```
    /// let dump = tasktrace::snapshot();
    /// assert_eq!(dump.is_empty(), dump.len() == 0);
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Returns the number of tasks on the caller's runtime that are not traced, and so are missing from this dump.
    ///
    /// The caller is the code that asked for the dump. Returns `None` if it was not in a runtime: see
    /// [`untraced_by_runtime`](Self::untraced_by_runtime).
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

    /// Returns the number of untraced tasks, for each known runtime that has some.
    ///
    /// The known runtimes are the one in which the dump was asked for and, with the feature `tokio`, those of the tasks
    /// in the dump. To trace such a task, replace `tokio::spawn` with `tasktrace::spawn`, or put
    /// [`#[traced]`](macro@crate::traced) on its function.
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

    /// Returns the number of untraced tasks on all known runtimes, or `None` if no runtime is known.
    #[cfg(feature = "http")]
    pub(crate) fn untraced_total(&self) -> Option<usize> {
        let total: usize = self.untraced_tasks.iter().map(UntracedTasks::count).sum();
        match total {
            0 => self.untraced,
            total => Some(total),
        }
    }

    /// Returns the last tasks that panicked or were dropped before they ended, at most 16 of each, the latest first.
    ///
    /// A dropped task is listed if it was polled, and if [`traced`](crate::traced()) or `tasktrace::spawn` made it. The
    /// future of a `#[traced]` function that is dropped, as in a `select!` that another branch wins, is not listed.
    ///
    /// ```
    /// let dump = tasktrace::snapshot();
    /// assert!(dump.ended().len() <= 32);
    /// ```
    #[must_use]
    pub fn ended(&self) -> &[EndedTask] {
        &self.ended
    }

    /// Removes the ended tasks for which `is_kept` returns `false`.
    pub(crate) fn retain_ended(&mut self, is_kept: impl Fn(&EndedTask) -> bool) {
        let kept = self.ended.iter().filter(|task| is_kept(task));
        self.ended = kept.cloned().collect();
    }

    /// Replaces the ended tasks.
    #[cfg(test)]
    pub(crate) fn with_ended(self, ended: Vec<EndedTask>) -> Self {
        Self {
            ended: ended.into(),
            ..self
        }
    }

    /// Returns the tasks as a forest, each task below the tasks that await it.
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
pub(crate) mod fixture;
#[cfg(test)]
mod tests;
