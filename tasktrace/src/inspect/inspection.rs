//! Keeps the report that was read from memory for a dump, and selects the tasks that the dump shows.

use tasktrace_inspect::{Deadlock, Frame, Holder, Report, Task, TaskState, WaitKind};

use crate::runtime::RuntimeId;
use crate::task::TaskId;

/// The tasks of this process as they are in its memory.
///
/// ```
/// for task in tasktrace::snapshot().inspected().into_iter().flat_map(|it| it.untraced()) {
///     print!("{task}");
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Inspection {
    report: Result<Report, String>,
    /// The positions of the tasks that the dump shows.
    shown: Vec<usize>,
}

impl Inspection {
    pub(super) fn new(report: Result<Report, String>) -> Self {
        let shown = match &report {
            Ok(report) => (0..report.tasks.len()).collect(),
            Err(_) => Vec::new(),
        };
        let mut inspection = Self { report, shown };
        inspection.retain(is_shown);
        inspection
    }

    /// Returns what was read, or `None` if there is a [`problem`](Self::problem).
    ///
    /// ```
    /// let dump = tasktrace::snapshot();
    /// let report = dump.inspected().and_then(|inspection| inspection.report());
    /// println!("{} tasks", report.map_or(0, |report| report.tasks.len()));
    /// ```
    #[must_use]
    pub fn report(&self) -> Option<&Report> {
        self.report.as_ref().ok()
    }

    /// Returns the reason why nothing was read, in one sentence without its full stop.
    ///
    /// ```
    /// let dump = tasktrace::snapshot();
    /// if let Some(problem) = dump.inspected().and_then(|inspection| inspection.problem()) {
    ///     println!("nothing was read from memory: {problem}");
    /// }
    /// ```
    #[must_use]
    pub fn problem(&self) -> Option<&str> {
        self.report.as_ref().err().map(String::as_str)
    }

    /// Returns the tasks that are not traced, without those that have finished.
    ///
    /// ```
    /// let dump = tasktrace::snapshot();
    /// let untraced = dump.inspected().map_or(0, |inspection| inspection.untraced().count());
    /// println!("{untraced} tasks are not traced");
    /// ```
    pub fn untraced(&self) -> impl Iterator<Item = &Task> {
        self.tasks().filter(|task| task.root.is_none())
    }

    /// Returns a traced task as it is in memory.
    ///
    /// ```
    /// let dump = tasktrace::snapshot();
    /// let inspection = dump.inspected();
    /// for task in &dump {
    ///     let read = inspection.and_then(|inspection| inspection.get(task.id()));
    ///     println!("task {} holds {}", task.id(), read.map_or(0, |task| task.holds.len()));
    /// }
    /// ```
    #[must_use]
    pub fn get(&self, id: TaskId) -> Option<&Task> {
        self.tasks().find(|task| task.root == Some(id.get()))
    }

    /// Returns `true` if something was read.
    pub(crate) fn has_report(&self) -> bool {
        self.report.is_ok()
    }

    /// Returns all tasks, traced or not, without those that have finished.
    ///
    /// ```
    /// let dump = tasktrace::snapshot();
    /// for task in dump.inspected().into_iter().flat_map(|inspection| inspection.tasks()) {
    ///     println!("{} holds {} locks", task.title, task.holds.len());
    /// }
    /// ```
    pub fn tasks(&self) -> impl Iterator<Item = &Task> {
        let shown = self.shown.iter();
        shown.filter_map(|at| self.report()?.tasks.get(*at))
    }

    /// Returns the task with this number of tokio.
    pub(crate) fn of_tokio(&self, id: u64) -> Option<&Task> {
        let mut tasks = self.report()?.tasks.iter();
        tasks.find(|task| task.id == Some(id))
    }

    /// Returns the deadlocks among the tasks that the dump shows.
    pub(crate) fn deadlocks(&self) -> impl Iterator<Item = &Deadlock> {
        let deadlocks = self.report().map_or(&[][..], |report| &report.deadlocks);
        deadlocks.iter().filter(|deadlock| {
            let mut indices = deadlock.indices.iter();
            indices.any(|index| self.shown.binary_search(index).is_ok())
        })
    }

    /// Returns the tasks of a deadlock, in the order in which they wait for each other.
    pub(crate) fn tasks_of<'a>(&'a self, deadlock: &'a Deadlock) -> impl Iterator<Item = &'a Task> {
        let indices = deadlock.indices.iter();
        indices.filter_map(|index| self.report()?.tasks.get(*index))
    }

    /// Shows only the tasks of a runtime, and the traced tasks with these numbers.
    pub(crate) fn retain_runtime(&mut self, runtime: Option<RuntimeId>, traced: &[TaskId]) {
        self.retain(|task| {
            let is_traced = |root: u64| traced.iter().any(|id| id.get() == root);
            let is_in = |number| runtime.is_some_and(|runtime| runtime.is_number(number));
            match task.root {
                Some(root) => is_traced(root),
                None => task.runtime.is_some_and(is_in),
            }
        });
    }

    fn retain(&mut self, is_kept: impl Fn(&Task) -> bool) {
        if let Ok(report) = &self.report {
            self.shown.retain(|at| is_kept(&report.tasks[*at]));
        }
    }
}

/// Returns `false` for tasks that have finished, and for tasks of tasktrace, such as the connections of its server.
fn is_shown(task: &Task) -> bool {
    let ours = ["tasktrace::", "tasktrace_http::"];
    let is_ours = ours.iter().any(|krate| task.name.starts_with(krate));
    let is_own = task.root.is_none() && is_ours;
    task.state != TaskState::Finished && !is_own
}

/// A wait for a lock or for permits whose holders are known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeldWait<'a> {
    /// The lock, with the function that waits.
    pub(crate) leaf: Leaf<'a>,
    pub(crate) holders: &'a [Holder],
}

/// A resource that a task waits for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leaf<'a> {
    /// The innermost function around it that has a line, if there is one.
    pub(crate) function: Option<&'a Frame>,
    pub(crate) resource: &'a Frame,
}

/// Returns the leaves of a task, in the order of its tree.
pub(crate) fn leaves(task: &Task) -> Vec<Leaf<'_>> {
    let mut leaves = Vec::new();
    let mut pending: Vec<(Option<&Frame>, &Frame)> = task
        .frames
        .iter()
        .rev()
        .map(|frame| (None, frame))
        .collect();
    while let Some((function, frame)) = pending.pop() {
        if frame.children.is_empty() || frame.wait.is_some() {
            leaves.push(Leaf {
                function,
                resource: frame,
            });
        }
        let has_line = frame.line.is_some();
        let function = if has_line { Some(frame) } else { function };
        let children = frame.children.iter().rev();
        pending.extend(children.map(|child| (function, child)));
    }
    leaves
}

/// Returns the waits of a task for locks and permits that somebody holds.
pub(crate) fn held_waits(task: &Task) -> impl Iterator<Item = HeldWait<'_>> {
    leaves(task).into_iter().filter_map(|leaf| {
        let wait = leaf.resource.wait.as_ref()?;
        let is_held = wait.kind == WaitKind::Permits && !wait.holders.is_empty();
        is_held.then_some(HeldWait {
            leaf,
            holders: &wait.holders,
        })
    })
}
