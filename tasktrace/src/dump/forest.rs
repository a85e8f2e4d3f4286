//! Arranges the tasks of a dump as a forest, each task below the tasks that await it.
//!
//! Tasks and the handles that they await form a directed graph. Its strongly connected components (Tarjan) contain the
//! cycles, and show which tasks are not awaited from outside a cycle. Time and memory are linear in the number of tasks
//! and of awaited handles, and nothing recurses.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;

use super::{Dump, TaskDump};
use crate::task::TaskId;

/// The tasks of a [`Dump`], each below the tasks that await it.
///
/// * `{}` prints first the tasks that await others, with the awaited tasks below them. A task that several tasks await
///   is printed below the first, and the others refer to it. Then come the tasks that neither await nor are awaited, as
///   in a dump.
/// * `{:#}` prints each task separately, with its whole stacks.
///
/// ```
/// let dump = tasktrace::snapshot();
/// let forest = dump.by_awaiter();
/// println!("{forest}");
/// for root in forest.roots() {
///     println!("no task awaits task {}", root.id());
/// }
/// ```
pub struct Forest<'a> {
    dump: &'a Dump,
    /// For each task, the index in `edges` of the first task that it awaits. The last element is the length of `edges`.
    starts: Vec<usize>,
    /// The positions of the awaited tasks, grouped by the awaiting task.
    edges: Vec<usize>,
    /// The positions of the roots.
    roots: Vec<usize>,
    /// The positions of the tasks of each cycle.
    cycles: Vec<Vec<usize>>,
}

impl<'a> Forest<'a> {
    pub(super) fn new(dump: &'a Dump) -> Self {
        let mut starts = Vec::with_capacity(dump.len() + 1);
        let mut edges = Vec::new();
        for task in dump {
            starts.push(edges.len());
            let awaited = task.awaits().iter();
            edges.extend(awaited.filter_map(|id| dump.position(*id)));
        }
        starts.push(edges.len());
        let mut forest = Self {
            dump,
            starts,
            edges,
            roots: Vec::new(),
            cycles: Vec::new(),
        };
        if forest.edges.is_empty() {
            forest.roots = (0..dump.len()).collect();
            return forest;
        }
        let components = forest.components();
        forest.roots = forest.sources(&components);
        forest.cycles = forest.shortest_cycles(&components);
        forest
    }

    /// Returns the roots of the forest, below which all other tasks are.
    ///
    /// A root is a task that no task awaits. For a cycle that no other task awaits, it is the task with the lowest
    /// number.
    ///
    /// ```
    /// let dump = tasktrace::snapshot();
    /// let forest = dump.by_awaiter();
    /// println!("no task awaits {} of the tasks", forest.roots().len());
    /// ```
    pub fn roots(&self) -> impl ExactSizeIterator<Item = &'a TaskDump> + '_ {
        self.roots.iter().map(|at| self.task(*at))
    }

    /// Returns the cycles of tasks that await each other. Each task awaits the next one, and the last awaits the first.
    ///
    /// If several cycles share tasks, it returns only the shortest one through the task with the lowest number.
    ///
    /// ```
    /// let dump = tasktrace::snapshot();
    /// for cycle in dump.by_awaiter().cycles() {
    ///     println!("a deadlock of {} tasks, one of which is {}", cycle.len(), cycle[0]);
    /// }
    /// ```
    #[must_use]
    pub fn cycles(&self) -> Vec<Vec<TaskId>> {
        let ids = |cycle: &Vec<usize>| cycle.iter().map(|at| self.task(*at).id()).collect();
        self.cycles.iter().map(ids).collect()
    }

    pub(crate) fn dump(&self) -> &'a Dump {
        self.dump
    }

    pub(crate) fn task(&self, at: usize) -> &'a TaskDump {
        &self.dump.tasks[at]
    }

    /// Returns the [`roots`](Self::roots) as positions in the dump.
    pub(crate) fn root_positions(&self) -> &[usize] {
        &self.roots
    }

    /// Returns the [`cycles`](Self::cycles) as positions in the dump.
    pub(crate) fn cycle_positions(&self) -> &[Vec<usize>] {
        &self.cycles
    }

    /// Returns the position of a task in the dump.
    pub(crate) fn position(&self, id: TaskId) -> Option<usize> {
        self.dump.position(id)
    }

    /// Returns the positions in the dump of the tasks that a task awaits.
    fn awaited(&self, at: usize) -> &[usize] {
        &self.edges[self.edges_of(at)]
    }

    fn edges_of(&self, at: usize) -> Range<usize> {
        self.starts[at]..self.starts[at + 1]
    }

    /// Returns the strongly connected components, each in the order of the tasks' numbers. Most consist of one task.
    fn components(&self) -> Vec<Vec<usize>> {
        const UNSEEN: usize = usize::MAX;
        let tasks = self.dump.len();
        let mut components = Vec::new();
        // The step at which each task was first visited, and the earliest such step of a task that it reaches.
        let mut seen = vec![UNSEEN; tasks];
        let mut earliest = vec![UNSEEN; tasks];
        let mut is_open = vec![false; tasks];
        let mut open = Vec::new();
        let mut clock = 0;
        // The path to the current task, with the edges that remain to be followed.
        let mut path: Vec<(usize, Range<usize>)> = Vec::new();
        for start in 0..tasks {
            if seen[start] != UNSEEN {
                continue;
            }
            let mut enter = Some(start);
            loop {
                if let Some(task) = enter.take() {
                    seen[task] = clock;
                    earliest[task] = clock;
                    clock += 1;
                    open.push(task);
                    is_open[task] = true;
                    path.push((task, self.edges_of(task)));
                }
                let Some((task, edges)) = path.last_mut() else {
                    break;
                };
                let task = *task;
                if let Some(edge) = edges.next() {
                    let awaited = self.edges[edge];
                    if seen[awaited] == UNSEEN {
                        enter = Some(awaited);
                    } else if is_open[awaited] {
                        earliest[task] = earliest[task].min(seen[awaited]);
                    }
                    continue;
                }
                path.pop();
                if let Some((awaiter, _)) = path.last() {
                    earliest[*awaiter] = earliest[*awaiter].min(earliest[task]);
                }
                if earliest[task] == seen[task] {
                    let first = open.iter().rposition(|open| *open == task).unwrap_or(0);
                    let mut component = open.split_off(first);
                    for task in &component {
                        is_open[*task] = false;
                    }
                    component.sort_unstable();
                    components.push(component);
                }
            }
        }
        components
    }

    /// Returns the first task of each component that no task outside the component awaits.
    fn sources(&self, components: &[Vec<usize>]) -> Vec<usize> {
        let mut component_of = vec![0; self.dump.len()];
        for (at, component) in components.iter().enumerate() {
            for task in component {
                component_of[*task] = at;
            }
        }
        let mut is_awaited = vec![false; components.len()];
        for task in 0..self.dump.len() {
            for awaited in self.awaited(task) {
                if component_of[*awaited] != component_of[task] {
                    is_awaited[component_of[*awaited]] = true;
                }
            }
        }
        let sources = components.iter().zip(is_awaited);
        let mut roots: Vec<usize> = sources
            .filter(|(_, is_awaited)| !is_awaited)
            .map(|(component, _)| component[0])
            .collect();
        roots.sort_unstable();
        roots
    }

    /// Returns one cycle per component that has one: the shortest cycle through the component's first task.
    fn shortest_cycles(&self, components: &[Vec<usize>]) -> Vec<Vec<usize>> {
        const OUTSIDE: usize = usize::MAX;
        const UNSEEN: usize = usize::MAX - 1;
        // The task of the component from which each task was found.
        let mut found_by = vec![OUTSIDE; self.dump.len()];
        let mut cycles: Vec<Vec<usize>> = Vec::new();
        for component in components {
            for task in component {
                found_by[*task] = UNSEEN;
            }
            let first = component[0];
            let mut next = VecDeque::from([first]);
            'search: while let Some(task) = next.pop_front() {
                for awaited in self.awaited(task) {
                    if *awaited == first {
                        let mut cycle = vec![task];
                        while let Some(last) = cycle.last()
                            && *last != first
                        {
                            cycle.push(found_by[*last]);
                        }
                        cycle.reverse();
                        cycles.push(cycle);
                        break 'search;
                    }
                    if found_by[*awaited] == UNSEEN {
                        found_by[*awaited] = task;
                        next.push_back(*awaited);
                    }
                }
            }
            for task in component {
                found_by[*task] = OUTSIDE;
            }
        }
        cycles.sort_unstable();
        cycles
    }
}

impl fmt::Debug for Forest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forest")
            .field("tasks", &self.dump.len())
            .field("roots", &self.roots.len())
            .field("cycles", &self.cycles())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::super::fixture::{self, dump, task};
    use super::*;

    fn ids<'a>(tasks: impl IntoIterator<Item = &'a TaskDump>) -> Vec<u64> {
        tasks.into_iter().map(|task| task.id().get()).collect()
    }

    fn cycles(forest: &Forest<'_>) -> Vec<Vec<u64>> {
        let numbers = |cycle: &Vec<TaskId>| cycle.iter().map(|id| id.get()).collect();
        forest.cycles().iter().map(numbers).collect()
    }

    #[test]
    fn roots_are_tasks_that_no_task_awaits() {
        let dump = dump([
            task(1, "main").awaiting([3, 4]),
            task(2, "other").awaiting([4, 99]),
            task(3, "three").awaiting([5]),
            task(4, "four"),
            task(5, "five"),
        ]);
        let forest = dump.by_awaiter();
        assert_eq!(ids(forest.roots()), [1, 2]);
        assert!(forest.cycles().is_empty());
    }

    #[test]
    fn a_cycle_has_a_root_unless_another_task_awaits_it() {
        let dump = dump([
            // This task is older than the cycle that awaits it.
            task(1, "one"),
            task(3, "three").awaiting([5]),
            task(5, "five").awaiting([7, 1]),
            task(7, "seven").awaiting([3]),
            task(8, "eight").awaiting([9]),
            task(9, "nine").awaiting([10]),
            task(10, "ten").awaiting([9]),
            task(11, "itself").awaiting([11]),
        ]);
        let forest = dump.by_awaiter();
        assert_eq!(ids(forest.roots()), [3, 8, 11]);
        assert_eq!(cycles(&forest), [vec![3, 5, 7], vec![9, 10], vec![11]]);
    }

    #[test]
    fn the_shortest_of_cycles_that_share_tasks_is_returned() {
        let dump = dump([
            task(1, "one").awaiting([2, 3]),
            task(2, "two").awaiting([3]),
            task(3, "three").awaiting([1, 4]),
            task(4, "four").awaiting([3]),
        ]);
        assert_eq!(cycles(&dump.by_awaiter()), [[1, 3]]);
    }

    /// Returns all tasks that a task awaits directly or indirectly.
    fn reachable(dump: &Dump, from: TaskId) -> BTreeSet<TaskId> {
        let mut found = BTreeSet::new();
        let mut pending = vec![from];
        while let Some(id) = pending.pop() {
            let awaited = dump.get(id).map_or(&[][..], TaskDump::awaits);
            pending.extend(awaited.iter().filter(|id| found.insert(**id)));
        }
        found
    }

    #[test]
    fn roots_and_cycles_of_random_graphs_are_correct() {
        const TASKS: u64 = 8;
        // Xorshift with a fixed seed, so that each run has the same graphs.
        let mut random = 0x9E37_79B9_7F4A_7C15_u64;
        let mut next = move || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random
        };
        for _ in 0..2_000 {
            let edges: Vec<_> = (0..next() % 12)
                .map(|_| (next() % TASKS + 1, next() % TASKS + 1))
                .collect();
            let dump = dump((1..=TASKS).map(|from| {
                let mut task = task(from, "any");
                let awaited = edges.iter().filter(|edge| edge.0 == from);
                task.awaits = awaited.map(|edge| fixture::id(edge.1)).collect();
                task
            }));
            let forest = dump.by_awaiter();
            let ids: Vec<TaskId> = dump.tasks().map(TaskDump::id).collect();
            let reachable: BTreeMap<_, _> =
                ids.iter().map(|id| (*id, reachable(&dump, *id))).collect();

            let roots: Vec<TaskId> = forest.roots().map(TaskDump::id).collect();
            for id in &ids {
                let mut above = roots.iter().filter(|root| reachable[*root].contains(id));
                assert!(
                    roots.contains(id) || above.next().is_some(),
                    "{id} in {edges:?}"
                );
            }
            for root in &roots {
                let mut others = roots.iter().filter(|other| *other != root);
                assert!(
                    others.all(|other| !reachable[other].contains(root)),
                    "{edges:?}"
                );
            }

            let cycles = forest.cycles();
            for cycle in &cycles {
                let next = cycle.iter().cycle().skip(1);
                for (task, awaited) in cycle.iter().zip(next) {
                    let task = dump
                        .get(*task)
                        .expect("all tasks of a cycle are in the dump");
                    assert!(task.awaits().contains(awaited), "{cycle:?} in {edges:?}");
                }
            }
            // Tasks that await each other have exactly one cycle, through the first of them.
            let is_first = |id: &TaskId| {
                let back = |other: &TaskId| reachable[other].contains(id);
                let first = reachable[id].iter().filter(|other| back(other)).min();
                first == Some(id)
            };
            let firsts: Vec<TaskId> = ids.iter().copied().filter(is_first).collect();
            let first: Vec<TaskId> = cycles.iter().map(|cycle| cycle[0]).collect();
            assert_eq!(first, firsts, "{edges:?}");
        }
    }

    #[test]
    fn long_chains_and_rings_are_walked_without_recursion() {
        const MANY: u64 = 100_000;
        let row = dump((1..=MANY).map(|id| task(id, "row").awaiting([id + 1])));
        let forest = row.by_awaiter();
        assert_eq!(ids(forest.roots()), [1]);
        assert!(forest.cycles().is_empty());

        let ring = dump((1..=MANY).map(|id| task(id, "ring").awaiting([id % MANY + 1])));
        let forest = ring.by_awaiter();
        assert_eq!(ids(forest.roots()), [1]);
        assert_eq!(cycles(&forest), [(1..=MANY).collect::<Vec<_>>()]);
    }

    #[test]
    fn all_tasks_may_await_the_same_task() {
        const MANY: u64 = 100_000;
        let star = dump((1..=MANY).map(|id| task(id, "star").awaiting([MANY])));
        let forest = star.by_awaiter();
        assert_eq!(forest.roots().len() as u64, MANY - 1);
        assert_eq!(cycles(&forest), [[MANY]]);
    }
}
