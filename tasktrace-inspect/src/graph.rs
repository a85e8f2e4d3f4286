//! The graph of tasks that wait for each other: holders of locks, and cycles.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::address::Address;
use crate::decode::{Decoded, Hold, Node, NodeKind, Place, Resource};
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
    leaves: Vec<Vec<LeafOf<'n>>>,
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
            owners: HashMap::new(),
            holders: FastMap::default(),
            headers: FastMap::default(),
        };
        for (number, (header, decoded)) in tasks.enumerate() {
            graph.headers.insert(header, number);
            let mut leaves: Vec<LeafOf<'n>> = leaves_below(&decoded.nodes).collect();
            if decoded.may_wait_elsewhere {
                leaves.push(LeafOf {
                    name: "something that is not known",
                    resource: None,
                });
            }
            graph.leaves.push(leaves);
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
        self.leaves.get(task).map_or(&[], Vec::as_slice)
    }

    /// Finds what the functions of a task that have guards wait for.
    fn add_owners(&mut self, task: usize, decoded: &'n Decoded) {
        let owners = decoded.holds.iter().map(|hold| &hold.owner);
        let mut wanted: HashSet<FunctionOf<'n>> = owners
            .map(|owner| (task, &*owner.name, owner.place.as_ref()))
            .collect();
        let mut below: Vec<&Node> = decoded.nodes.iter().rev().collect();
        while let Some(node) = below.pop()
            && !wanted.is_empty()
        {
            if let Some(owner) = wanted.take(&(task, &*node.name, node.place.as_ref()))
                && let Some(leaf) = leaves_below(std::slice::from_ref(node)).next()
            {
                self.owners.insert(owner, leaf);
            }
            below.extend(node.children.iter().rev());
        }
    }

    /// Returns what the function that has a guard waits for. Other branches of its task may wait for something else.
    pub(crate) fn leaf_of_owner(&self, task: usize, hold: &Hold) -> Option<LeafOf<'n>> {
        let owner = (task, &*hold.owner.name, hold.owner.place.as_ref());
        let leaf = self.owners.get(&owner).copied();
        leaf.or_else(|| self.leaves(task).first().copied())
    }

    /// Returns the number of tasks.
    pub(crate) fn len(&self) -> usize {
        self.leaves.len()
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
        let blockers: Vec<Vec<Vec<usize>>> = self
            .leaves
            .iter()
            .map(|leaves| leaves.iter().map(|leaf| self.blockers(leaf)).collect())
            .collect();
        let mut stuck: HashSet<usize> = (0..blockers.len())
            .filter(|task| !blockers[*task].is_empty())
            .collect();
        loop {
            let free: Vec<usize> = stuck
                .iter()
                .filter(|task| {
                    // Only one of several holders has the lock, and which is not known.
                    let is_blocked = |leaf: &Vec<usize>| {
                        !leaf.is_empty() && leaf.iter().all(|it| stuck.contains(it))
                    };
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

/// Returns the leaves below nodes.
fn leaves_below(nodes: &[Node]) -> impl Iterator<Item = LeafOf<'_>> {
    let mut below: Vec<(&Node, Option<&str>)> =
        nodes.iter().rev().map(|node| (node, None)).collect();
    std::iter::from_fn(move || {
        loop {
            let (node, plumbing) = below.pop()?;
            let plumbing = match node.kind {
                NodeKind::Plumbing => plumbing.or(Some(&*node.name)),
                NodeKind::Function | NodeKind::Wrapper => None,
                NodeKind::Leaf | NodeKind::Mark => plumbing,
            };
            below.extend(node.children.iter().rev().map(|child| (child, plumbing)));
            // The set waits for any of its tasks, and so for as long as all of them do.
            let is_listed_set = matches!(
                node.resource.as_deref(),
                Some(Resource::JoinSet { length: Some(length) }) if *length == node.children.len() as u64
            );
            if node.children.is_empty() || node.resource.is_some() && !is_listed_set {
                return Some(LeafOf {
                    name: plumbing.unwrap_or(&node.name),
                    resource: node.resource.as_deref(),
                });
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::Owner;

    fn lock(semaphore: u64) -> Node {
        let mut node = Node::new(NodeKind::Leaf, "tokio::sync::Semaphore::acquire");
        node.resource = Some(Box::new(Resource::Permits {
            semaphore: Address::new(semaphore),
            free: 0,
            missing: 1,
            queue: None,
            is_granted: false,
            is_closed: false,
            channel: None,
        }));
        node
    }

    fn sleep() -> Node {
        let mut node = Node::new(NodeKind::Leaf, "tokio::time::sleep");
        node.resource = Some(Box::new(Resource::Sleep {
            seconds: 1,
            nanoseconds: 0,
        }));
        node
    }

    fn join(header: u64) -> Node {
        let mut node = Node::new(NodeKind::Leaf, "tokio::task::JoinHandle");
        node.resource = Some(Box::new(Resource::Join {
            header: Address::new(header),
        }));
        node
    }

    fn task(nodes: Vec<Node>, held: &[u64]) -> Decoded {
        let holds = held.iter().map(|semaphore| Hold {
            semaphore: Address::new(*semaphore),
            kind: HeldKind::Mutex,
            guard: Address::new(semaphore + 1000),
            lock: Address::new(*semaphore),
            pointers: vec![Address::new(*semaphore)],
            depth: 0,
            variable: "guard".into(),
            owner: Owner {
                name: "shop::restock".into(),
                place: None,
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
            let mut node = Node::new(NodeKind::Leaf, "tokio::task::JoinSet::join_next");
            node.resource = Some(Box::new(Resource::JoinSet {
                length: Some(length),
            }));
            node.children = members.iter().map(|member| join(*member)).collect();
            node
        };
        let mut tasks = [
            task(vec![set(&[1, 2], 2)], &[10]),
            task(vec![lock(10)], &[]),
            task(vec![lock(10)], &[]),
        ];
        assert_eq!(cycles(&tasks), [[0, 1]]);
        tasks[2] = task(vec![sleep()], &[]);
        assert_eq!(cycles(&tasks), Vec::<Vec<usize>>::new());
        // A task of the set is not known.
        let tasks = [task(vec![set(&[1], 2)], &[10]), task(vec![lock(10)], &[])];
        assert_eq!(cycles(&tasks), Vec::<Vec<usize>>::new());
    }

    #[test]
    fn an_owner_waits_for_the_leaf_of_its_own_branch() {
        let mut restock = Node::new(NodeKind::Function, "shop::restock");
        restock.children.push(sleep());
        let decoded = task(vec![join(1), restock], &[10]);
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
