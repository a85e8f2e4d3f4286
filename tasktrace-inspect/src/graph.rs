//! The graph of tasks that wait for each other: holders of locks, and cycles.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::address::Address;
use crate::decode::{Decoded, Hold, NodeKind, Place, Resource, Trees};
use crate::hash::FastMap;
use crate::report::HeldKind;

/// The leaf of a task.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeafOf<'n> {
    /// The outermost function of a runtime on the way to it, which programs know it by.
    pub(crate) name: &'n str,
    pub(crate) resource: Option<&'n Resource>,
}

/// A function in the tree of a task: the number of the task, its name and its place.
type FunctionOf<'n> = (usize, &'n str, Option<&'n Place>);

/// The graph of tasks that wait for each other. Tasks are numbers.
pub(crate) struct Graph<'n> {
    /// The leaves of all tasks, in the order of the tasks.
    leaves: Vec<LeafOf<'n>>,
    /// The end of each task's leaves in `leaves`.
    ends: Vec<usize>,
    /// The first leaf below each function that has a guard.
    owners: HashMap<FunctionOf<'n>, LeafOf<'n>>,
    /// The holders of each semaphore.
    holders: FastMap<Address, Vec<(usize, &'n Hold)>>,
    headers: FastMap<Address, usize>,
}

impl<'n> Graph<'n> {
    /// Makes the graph of tasks, each with the address of its header.
    pub(crate) fn new(tasks: impl Iterator<Item = (Address, &'n Decoded)>) -> Self {
        let mut graph = Self {
            leaves: Vec::new(),
            ends: Vec::new(),
            owners: HashMap::new(),
            holders: FastMap::default(),
            headers: FastMap::default(),
        };
        for (number, (header, decoded)) in tasks.enumerate() {
            graph.headers.insert(header, number);
            graph.leaves.extend(leaves_below(decoded.nodes.roots()));
            if decoded.may_wait_elsewhere {
                graph.leaves.push(LeafOf {
                    name: "something that is not known",
                    resource: None,
                });
            }
            graph.ends.push(graph.leaves.len());
            graph.add_owners(number, decoded);
            for hold in &decoded.holds {
                let holders = graph.holders.entry(hold.semaphore).or_default();
                holders.push((number, hold));
            }
        }
        graph
    }

    /// Returns what a task waits for.
    pub(crate) fn leaves(&self, task: usize) -> &[LeafOf<'n>] {
        let start = task.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.leaves[start..self.ends[task]]
    }

    /// Finds what the functions of a task that have guards wait for.
    fn add_owners(&mut self, task: usize, decoded: &'n Decoded) {
        if decoded.holds.is_empty() {
            return;
        }
        let owners = decoded.holds.iter().map(|hold| &hold.owner);
        let mut wanted: HashSet<FunctionOf<'n>> = owners
            .map(|owner| (task, &*owner.function.name, owner.function.place.as_ref()))
            .collect();
        for tree in decoded.nodes.trees() {
            let node = tree.node();
            if let Some(owner) = wanted.take(&(task, &*node.name, node.place.as_ref()))
                && let Some(leaf) = leaves_below(tree.into()).next()
            {
                self.owners.insert(owner, leaf);
            }
        }
    }

    /// Returns what the function that has a guard waits for. Other branches of its task may wait for something else.
    pub(crate) fn leaf_of_owner(&self, task: usize, hold: &Hold) -> Option<LeafOf<'n>> {
        let function = &hold.owner.function;
        let owner = (task, &*function.name, function.place.as_ref());
        let leaf = self.owners.get(&owner).copied();
        leaf.or_else(|| self.leaves(task).first().copied())
    }

    /// Returns the number of tasks.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns `true` if a task has a guard of one of these locks.
    pub(crate) fn holds_any(&self, task: usize, locks: &BTreeSet<Address>) -> bool {
        let mut holders = locks.iter().filter_map(|lock| self.holders.get(lock));
        holders.any(|holders| holders.iter().any(|(holder, _)| *holder == task))
    }

    /// Returns the guards for which the tasks of a cycle wait.
    pub(crate) fn holds_between<'g>(
        &'g self,
        cycle: &'g [usize],
    ) -> impl Iterator<Item = &'n Hold> + use<'g, 'n> {
        let leaves = cycle.iter().flat_map(|task| self.leaves(*task));
        let resources = leaves.filter_map(|leaf| leaf.resource);
        resources.flat_map(|resource| self.holders(resource).iter().map(|(_, hold)| *hold))
    }

    /// Returns the task with this header.
    pub(crate) fn task(&self, header: Address) -> Option<usize> {
        self.headers.get(&header).copied()
    }

    /// Returns who holds what a leaf waits for.
    pub(crate) fn holders(&self, resource: &Resource) -> &[(usize, &'n Hold)] {
        match resource {
            // Permits that are free are not held, whatever a variable says that was moved out of.
            Resource::Permits { free, missing, .. } if free >= missing => &[],
            Resource::Permits { semaphore, .. } => {
                self.holders.get(semaphore).map_or(&[], Vec::as_slice)
            }
            _ => &[],
        }
    }

    /// Returns the tasks one of which has what a leaf waits for, and must go on before it can. Nothing if something else
    /// can wake it.
    fn blockers(&self, leaf: &LeafOf<'_>) -> Vec<usize> {
        match leaf.resource {
            Some(Resource::Join { header }) => self.task(*header).into_iter().collect(),
            Some(
                resource @ Resource::Permits {
                    is_granted: false,
                    is_closed: false,
                    ..
                },
            ) => {
                // A granted permit of a semaphore need not be its only one.
                let is_lock = |(_, hold): &(usize, &Hold)| {
                    hold.kind.is_exclusive() && !is_semaphore(leaf, hold)
                };
                let holders = self.holders(resource);
                match holders.iter().all(is_lock) {
                    true => holders.iter().map(|(task, _)| *task).collect(),
                    false => Vec::new(),
                }
            }
            _ => Vec::new(),
        }
    }

    /// Returns the cycles of tasks that can never go on: each waits for the next, and for nothing else that another
    /// task could do.
    pub(crate) fn cycles(&self) -> Vec<Vec<usize>> {
        // A task with a leaf that no task blocks is not stuck, so it gets no blockers.
        let blockers_of = |task: usize| -> Vec<Vec<usize>> {
            let leaves = self.leaves(task).iter();
            let blockers = leaves.map(|leaf| Some(self.blockers(leaf)).filter(|it| !it.is_empty()));
            blockers.collect::<Option<_>>().unwrap_or_default()
        };
        let blockers: Vec<Vec<Vec<usize>>> = (0..self.len()).map(blockers_of).collect();
        let mut stuck: HashSet<usize> = (0..blockers.len())
            .filter(|task| !blockers[*task].is_empty())
            .collect();
        loop {
            let free: Vec<usize> = stuck
                .iter()
                .filter(|task| {
                    // Only one of several holders has the lock, and which is not known.
                    let is_blocked = |leaf: &Vec<usize>| leaf.iter().all(|it| stuck.contains(it));
                    !blockers[**task].iter().all(is_blocked)
                })
                .copied()
                .collect();
            if free.is_empty() {
                break;
            }
            for task in free {
                stuck.remove(&task);
            }
        }
        let mut starts: Vec<usize> = stuck.iter().copied().collect();
        starts.sort_unstable();
        let mut cycles = Vec::new();
        let mut done = HashSet::new();
        for start in starts {
            let mut way: Vec<usize> = Vec::new();
            let mut at = start;
            while done.insert(at) {
                way.push(at);
                let next = blockers[at].iter().flatten().find(|it| stuck.contains(it));
                match next {
                    Some(next) => at = *next,
                    None => break,
                }
            }
            if let Some(begin) = way.iter().position(|task| *task == at) {
                cycles.push(way.split_off(begin));
            }
        }
        cycles
    }

    /// Returns the leaf for which the first task waits for the second.
    pub(crate) fn leaf_between(&self, waiter: usize, blocker: usize) -> Option<&LeafOf<'n>> {
        let mut leaves = self.leaves(waiter).iter();
        leaves.find(|leaf| self.blockers(leaf).contains(&blocker))
    }
}

/// Returns `true` for permits that were granted to a future which waits for a semaphore, not for a lock.
fn is_semaphore(leaf: &LeafOf<'_>, hold: &Hold) -> bool {
    hold.kind == HeldKind::Granted && leaf.name.contains("Semaphore")
}

/// Returns the leaves of trees.
fn leaves_below(trees: Trees<'_>) -> impl Iterator<Item = LeafOf<'_>> {
    // The rest of the trees on each level, with the outermost plumbing around them.
    let mut levels: Vec<(Trees<'_>, Option<&str>)> = vec![(trees, None)];
    std::iter::from_fn(move || {
        loop {
            let (trees, plumbing) = levels.last_mut()?;
            let Some(tree) = trees.next() else {
                levels.pop();
                continue;
            };
            let node = tree.node();
            let plumbing = match node.kind {
                NodeKind::Plumbing => plumbing.or(Some(&*node.name)),
                NodeKind::Function | NodeKind::Wrapper => None,
                NodeKind::Leaf | NodeKind::Mark => *plumbing,
            };
            let resource = node.resource();
            let is_lowest = tree.nodes().len() == 1;
            // The set waits for any of its tasks, and so for as long as all of them do.
            let is_listed_set = || {
                matches!(
                    resource,
                    Some(Resource::JoinSet { length: Some(length) })
                        if *length == tree.children().count() as u64
                )
            };
            let is_leaf = is_lowest || resource.is_some() && !is_listed_set();
            if !is_lowest {
                let level = (tree.children(), plumbing);
                match trees.is_empty() {
                    true => *levels.last_mut()? = level,
                    false => levels.push(level),
                }
            }
            if is_leaf {
                return Some(LeafOf {
                    name: plumbing.unwrap_or(&node.name),
                    resource,
                });
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;
    use crate::decode::{Label, Nodes, Owner};

    /// A leaf: its name and its resource.
    type Leaf = (&'static str, Resource);

    fn lock(semaphore: u64) -> Leaf {
        let permits = Resource::Permits {
            semaphore: Address::new(semaphore),
            free: 0,
            missing: 1,
            queue: None,
            is_granted: false,
            is_closed: false,
            channel: None,
        };
        ("tokio::sync::Semaphore::acquire", permits)
    }

    fn sleep() -> Leaf {
        let sleep = Resource::Sleep {
            seconds: 1,
            nanoseconds: 0,
        };
        ("tokio::time::sleep", sleep)
    }

    fn join(header: u64) -> Leaf {
        let header = Address::new(header);
        ("tokio::task::JoinHandle", Resource::Join { header })
    }

    fn label(kind: NodeKind, name: &str) -> Rc<Label> {
        Rc::new(Label::new(kind, name))
    }

    fn add(nodes: &mut Nodes, leaves: Vec<Leaf>) {
        for (name, resource) in leaves {
            nodes.push(label(NodeKind::Leaf, name), Some(resource));
        }
    }

    fn task(leaves: Vec<Leaf>, held: &[u64]) -> Decoded {
        let mut nodes = Nodes::default();
        add(&mut nodes, leaves);
        holding(nodes, held)
    }

    fn holding(nodes: Nodes, held: &[u64]) -> Decoded {
        let holds = held.iter().map(|semaphore| Hold {
            semaphore: Address::new(*semaphore),
            kind: HeldKind::Mutex,
            guard: Address::new(semaphore + 1000),
            lock: Address::new(*semaphore),
            pointers: vec![Address::new(*semaphore)],
            depth: 0,
            variable: "guard".into(),
            owner: Owner {
                function: label(NodeKind::Function, "shop::restock"),
                is_polled: true,
            },
        });
        Decoded {
            nodes,
            holds: holds.collect(),
            ..Decoded::default()
        }
    }

    fn cycles(tasks: &[Decoded]) -> Vec<Vec<usize>> {
        let tasks = tasks.iter().enumerate();
        Graph::new(tasks.map(|(at, task)| (Address::new(at as u64), task))).cycles()
    }

    #[test]
    fn two_locks_in_opposite_order_are_a_cycle() {
        let tasks = [
            task(vec![lock(20)], &[10]),
            task(vec![sleep()], &[]),
            task(vec![lock(10)], &[20]),
            task(vec![lock(20)], &[]),
        ];
        assert_eq!(cycles(&tasks), [[0, 2]]);
    }

    #[test]
    fn a_task_that_can_be_woken_otherwise_is_in_no_cycle() {
        let tasks = [
            task(vec![lock(20), sleep()], &[10]),
            task(vec![lock(10)], &[20]),
        ];
        assert_eq!(cycles(&tasks), Vec::<Vec<usize>>::new());
    }

    #[test]
    fn a_task_that_may_wait_for_something_that_is_not_shown_is_in_no_cycle() {
        let mut tasks = [task(vec![lock(20)], &[10]), task(vec![lock(10)], &[20])];
        assert_eq!(cycles(&tasks), [[0, 1]]);
        tasks[0].may_wait_elsewhere = true;
        assert_eq!(cycles(&tasks), Vec::<Vec<usize>>::new());
    }

    #[test]
    fn a_lock_with_two_possible_holders_blocks_only_if_both_are_stuck() {
        let mut tasks = vec![
            task(vec![lock(20)], &[10]),
            task(vec![lock(10)], &[20]),
            task(vec![sleep()], &[20]),
        ];
        assert_eq!(cycles(&tasks), Vec::<Vec<usize>>::new());
        tasks[2] = task(vec![lock(10)], &[20]);
        assert_eq!(cycles(&tasks), [[0, 1]]);
    }

    #[test]
    fn branches_of_one_task_can_block_each_other() {
        let tasks = [task(vec![lock(20), lock(10)], &[10, 20])];
        assert_eq!(cycles(&tasks), [[0]]);
    }

    #[test]
    fn a_granted_permit_of_a_semaphore_blocks_nobody() {
        let mut waits = task(vec![lock(20)], &[10]);
        waits.holds[0].kind = HeldKind::Granted;
        let tasks = [waits, task(vec![lock(10)], &[20])];
        assert_eq!(cycles(&tasks), Vec::<Vec<usize>>::new());
    }

    #[test]
    fn joins_and_locks_make_a_cycle() {
        let tasks = [task(vec![join(1)], &[10]), task(vec![lock(10)], &[])];
        assert_eq!(cycles(&tasks), [[0, 1]]);
    }

    #[test]
    fn a_task_that_waits_for_a_set_is_in_a_cycle_if_all_tasks_of_the_set_are_stuck() {
        let set = |members: &[u64], length| {
            let mut nodes = Nodes::default();
            let at = nodes.open(label(NodeKind::Leaf, "tokio::task::JoinSet::join_next"));
            let length = Some(length);
            nodes.set_resource(at, Some(Resource::JoinSet { length }));
            add(&mut nodes, members.iter().map(|it| join(*it)).collect());
            nodes.close(at);
            holding(nodes, &[10])
        };
        let mut tasks = [
            set(&[1, 2], 2),
            task(vec![lock(10)], &[]),
            task(vec![lock(10)], &[]),
        ];
        assert_eq!(cycles(&tasks), [[0, 1]]);
        tasks[2] = task(vec![sleep()], &[]);
        assert_eq!(cycles(&tasks), Vec::<Vec<usize>>::new());
        // A task of the set is not known.
        let tasks = [set(&[1], 2), task(vec![lock(10)], &[])];
        assert_eq!(cycles(&tasks), Vec::<Vec<usize>>::new());
    }

    #[test]
    fn an_owner_waits_for_the_leaf_of_its_own_branch() {
        let mut nodes = Nodes::default();
        add(&mut nodes, vec![join(1)]);
        let restock = nodes.open(label(NodeKind::Function, "shop::restock"));
        add(&mut nodes, vec![sleep()]);
        nodes.close(restock);
        let decoded = holding(nodes, &[10]);
        let graph = Graph::new(std::iter::once((Address::new(0), &decoded)));
        let leaf = graph.leaf_of_owner(0, &decoded.holds[0]).unwrap();
        assert_eq!(leaf.name, "tokio::time::sleep");
    }

    #[test]
    fn an_owner_that_is_not_in_the_tree_waits_for_what_its_task_waits_for() {
        let decoded = task(vec![join(1), sleep()], &[10]);
        let graph = Graph::new(std::iter::once((Address::new(0), &decoded)));
        let leaf = graph.leaf_of_owner(0, &decoded.holds[0]).unwrap();
        assert_eq!(leaf.name, "tokio::task::JoinHandle");
    }

    #[test]
    fn a_lock_without_a_known_holder_blocks_nobody() {
        assert!(cycles(&[task(vec![lock(10)], &[])]).is_empty());
    }
}
