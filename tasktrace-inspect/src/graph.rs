//! The graph of tasks that wait for each other: holders of locks, and circles.

use std::collections::{HashMap, HashSet};

use crate::address::Address;
use crate::decode::{Decoded, Hold, Node, NodeKind, Resource};
use crate::report::HeldKind;

/// The leaf of a task.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeafOf<'n> {
    /// The outermost function of a runtime on the way to it, which programs know it by.
    pub(crate) name: &'n str,
    pub(crate) resource: Option<Resource>,
}

/// The graph of tasks that wait for each other. Tasks are numbers.
pub(crate) struct Graph<'n> {
    leaves: Vec<Vec<LeafOf<'n>>>,
    /// The holders of each semaphore.
    holders: HashMap<Address, Vec<(usize, &'n Hold)>>,
    headers: HashMap<Address, usize>,
}

impl<'n> Graph<'n> {
    /// Makes the graph of tasks, each with the address of its header.
    pub(crate) fn new(tasks: impl Iterator<Item = (Address, &'n Decoded)>) -> Self {
        let mut graph = Self {
            leaves: Vec::new(),
            holders: HashMap::new(),
            headers: HashMap::new(),
        };
        for (number, (header, decoded)) in tasks.enumerate() {
            graph.headers.insert(header, number);
            let mut leaves = Vec::new();
            collect(&decoded.nodes, &mut leaves);
            graph.leaves.push(leaves);
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

    /// Returns the tasks of which one at least must go on before a leaf can. Nothing if something else can wake it.
    fn blockers(&self, leaf: &LeafOf<'_>) -> Vec<usize> {
        match leaf.resource {
            Some(Resource::Join { header }) => self.task(header).into_iter().collect(),
            Some(
                resource @ Resource::Permits {
                    is_granted: false,
                    is_closed: false,
                    ..
                },
            ) => match self.holders(&resource) {
                // If there are several holders, only one of them can hold the lock, and which is not known. A granted
                // permit of a semaphore need not be its only one.
                [(task, hold)] if hold.kind.is_exclusive() && !is_semaphore(leaf, hold) => {
                    vec![*task]
                }
                _ => Vec::new(),
            },
            _ => Vec::new(),
        }
    }

    /// Returns the circles of tasks that can never go on: each waits for the next, and for nothing else that another
    /// task could do.
    pub(crate) fn circles(&self) -> Vec<Vec<usize>> {
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
                    let is_blocked = |leaf: &Vec<usize>| leaf.iter().any(|it| stuck.contains(it));
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
        let mut circles = Vec::new();
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
                circles.push(way.split_off(begin));
            }
        }
        circles
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

/// Collects the leaves below nodes.
fn collect<'n>(nodes: &'n [Node], leaves: &mut Vec<LeafOf<'n>>) {
    let mut below: Vec<(&Node, Option<&str>)> =
        nodes.iter().rev().map(|node| (node, None)).collect();
    while let Some((node, plumbing)) = below.pop() {
        let plumbing = match node.kind {
            NodeKind::Plumbing => plumbing.or(Some(&*node.name)),
            NodeKind::Function | NodeKind::Wrapper => None,
            NodeKind::Leaf | NodeKind::Mark => plumbing,
        };
        if node.children.is_empty() || node.resource.is_some() {
            leaves.push(LeafOf {
                name: plumbing.unwrap_or(&node.name),
                resource: node.resource,
            });
        }
        if node.note.is_some() && node.children.len() < 2 {
            // A branch of `select!` or `join!` is not shown, and may wake the task.
            leaves.push(LeafOf {
                name: "a branch that is not known",
                resource: None,
            });
        }
        below.extend(node.children.iter().rev().map(|child| (child, plumbing)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::Owner;

    fn lock(semaphore: u64) -> Node {
        let mut node = Node::new(NodeKind::Leaf, "tokio::sync::Semaphore::acquire");
        node.resource = Some(Resource::Permits {
            semaphore: Address::new(semaphore),
            free: 0,
            missing: 1,
            queue: None,
            is_granted: false,
            is_closed: false,
        });
        node
    }

    fn sleep() -> Node {
        let mut node = Node::new(NodeKind::Leaf, "tokio::time::sleep");
        node.resource = Some(Resource::Sleep {
            seconds: 1,
            nanoseconds: 0,
        });
        node
    }

    fn join(header: u64) -> Node {
        let mut node = Node::new(NodeKind::Leaf, "tokio::task::JoinHandle");
        node.resource = Some(Resource::Join {
            header: Address::new(header),
        });
        node
    }

    fn task(nodes: Vec<Node>, held: &[u64]) -> Decoded {
        let holds = held.iter().map(|semaphore| Hold {
            semaphore: Address::new(*semaphore),
            kind: HeldKind::Mutex,
            guard: Address::new(semaphore + 1000),
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

    fn circles(tasks: &[Decoded]) -> Vec<Vec<usize>> {
        let tasks = tasks.iter().enumerate();
        Graph::new(tasks.map(|(at, task)| (Address::new(at as u64), task))).circles()
    }

    #[test]
    fn two_locks_in_opposite_order_are_a_circle() {
        let tasks = [
            task(vec![lock(20)], &[10]),
            task(vec![sleep()], &[]),
            task(vec![lock(10)], &[20]),
            task(vec![lock(20)], &[]),
        ];
        assert_eq!(circles(&tasks), [[0, 2]]);
    }

    #[test]
    fn a_task_that_can_be_woken_otherwise_is_in_no_circle() {
        let tasks = [
            task(vec![lock(20), sleep()], &[10]),
            task(vec![lock(10)], &[20]),
        ];
        assert_eq!(circles(&tasks), Vec::<Vec<usize>>::new());
    }

    #[test]
    fn a_task_with_a_branch_that_is_not_shown_is_in_no_circle() {
        let mut select = Node::new(NodeKind::Function, "shop::serve");
        select.note = Some("select!".into());
        select.children.push(lock(20));
        let tasks = [task(vec![select], &[10]), task(vec![lock(10)], &[20])];
        assert_eq!(circles(&tasks), Vec::<Vec<usize>>::new());
    }

    #[test]
    fn branches_of_one_task_can_block_each_other() {
        let tasks = [task(vec![lock(20), lock(10)], &[10, 20])];
        assert_eq!(circles(&tasks), [[0]]);
    }

    #[test]
    fn a_granted_permit_of_a_semaphore_blocks_nobody() {
        let mut waits = task(vec![lock(20)], &[10]);
        waits.holds[0].kind = HeldKind::Granted;
        let tasks = [waits, task(vec![lock(10)], &[20])];
        assert_eq!(circles(&tasks), Vec::<Vec<usize>>::new());
    }

    #[test]
    fn joins_and_locks_make_a_circle() {
        let tasks = [task(vec![join(1)], &[10]), task(vec![lock(10)], &[])];
        assert_eq!(circles(&tasks), [[0, 1]]);
    }

    #[test]
    fn a_lock_without_a_known_holder_blocks_nobody() {
        assert!(circles(&[task(vec![lock(10)], &[])]).is_empty());
    }
}
