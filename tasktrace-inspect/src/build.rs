//! Makes the tasks and the deadlocks of a report from decoded futures.

use std::sync::Arc;
use std::time::Duration;

use crate::address::Address;
use crate::async_task::AsyncTask;
use crate::count::count;
use crate::decode::{
    Bounded, Decoded, Hold, Node, NodeKind, OneshotState, Peers, Place, PlaceInQueue, Resource,
    Tree,
};
use crate::graph::{Graph, LeafOf};
use crate::report::{Deadlock, Frame, Held, Holder, Task, TaskState, Wait, WaitKind};
use crate::sockets::Sockets;
use crate::text::Text;
use crate::tokio::Header;
use crate::value::Value;

/// A task as it was read.
pub(crate) struct ReadTask {
    pub(crate) id: Option<u64>,
    pub(crate) origin: Origin,
    /// The number of the root whose future this is, or whose future is in this task.
    pub(crate) root: Option<u64>,
    /// The number of the runtime, or of the local set, whose list contains the task.
    pub(crate) runtime: Option<u64>,
    pub(crate) state: TaskState,
    /// The name of the type of the future, for tasks without frames.
    pub(crate) default_name: Text,
    pub(crate) decoded: Decoded,
    pub(crate) problem: Option<String>,
}

/// The value that was decoded.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Origin {
    /// A task of tokio.
    Task(Header),
    /// A task of async-task.
    AsyncTask(AsyncTask),
    /// A future that a thread blocks on, or that its owner knows.
    Future(Value),
    /// A future whose type is not in the debug info.
    Unknown(Address),
}

impl Origin {
    /// Returns the address that other tasks know it by.
    pub(crate) fn address(&self) -> Address {
        match self {
            Self::Task(header) => header.address,
            Self::AsyncTask(task) => task.address,
            Self::Future(future) => future.address,
            Self::Unknown(address) => *address,
        }
    }

    /// Returns the cell or the future of the task, unless its type is unknown.
    pub(crate) fn value(&self) -> Option<Value> {
        match self {
            Self::Task(header) => Some(header.value()),
            Self::AsyncTask(task) => Some(task.future),
            Self::Future(future) => Some(*future),
            Self::Unknown(_) => None,
        }
    }
}

/// Makes the graph of tasks.
pub(crate) fn graph(tasks: &[ReadTask]) -> Graph<'_> {
    let tasks = tasks.iter();
    Graph::new(tasks.map(|task| (task.origin.address(), &task.decoded)))
}

/// Makes the tasks of a report, and a deadlock for each cycle. `graph` is the graph of the tasks, `now` is the monotonic
/// time of the program, and `sockets` are the sockets of its process. With `has_roots`, `task 7` is the number of a
/// root, so tokio's own numbers are written as `tokio task 7`.
pub(crate) fn tasks(
    tasks: &[ReadTask],
    graph: Graph<'_>,
    cycles: &[Vec<usize>],
    now: Option<Duration>,
    sockets: &Sockets,
    has_roots: bool,
) -> (Vec<Task>, Vec<Deadlock>) {
    let builder = Builder {
        tasks,
        graph,
        now,
        sockets,
        has_roots,
    };
    let tasks = tasks.iter().map(|task| builder.task(task)).collect();
    let deadlocks = cycles.iter().map(|cycle| builder.deadlock(cycle));
    (tasks, deadlocks.collect())
}

struct Builder<'s> {
    tasks: &'s [ReadTask],
    graph: Graph<'s>,
    now: Option<Duration>,
    sockets: &'s Sockets,
    has_roots: bool,
}

impl Builder<'_> {
    fn task(&self, task: &ReadTask) -> Task {
        let roots = task.decoded.nodes.roots();
        let mut frames = Vec::with_capacity(roots.clone().count());
        for tree in roots {
            self.frames(tree, &mut frames);
        }
        let holds = task.decoded.holds.iter().map(held);
        Task {
            id: task.id,
            root: task.root,
            runtime: task.runtime,
            title: self.title_of(task),
            name: name(task),
            state: task.state,
            address: task.origin.address().to_string(),
            frames,
            holds: holds.collect(),
            problem: task.problem.clone(),
        }
    }

    /// Shows a node. Plumbing between functions of the program is left out; plumbing before a leaf names the leaf.
    fn frames(&self, tree: Tree<'_>, out: &mut Vec<Frame>) {
        let node = tree.node();
        if node.kind == NodeKind::Plumbing {
            if has_program(tree) {
                for child in tree.children() {
                    self.frames(child, out);
                }
                return;
            }
            let mut frame = frame(node);
            let resource = tree.nodes().iter().find_map(Node::resource);
            frame.wait = resource.map(|it| Box::new(self.wait(it, &node.name)));
            self.marks_and_members(tree, &mut frame.children);
            out.push(frame);
            return;
        }
        let mut frame = frame(node);
        let resource = node.resource();
        frame.wait = resource.map(|it| Box::new(self.wait(it, &node.name)));
        frame.children.reserve_exact(tree.children().count());
        for child in tree.children() {
            self.frames(child, &mut frame.children);
        }
        out.push(frame);
    }

    /// Adds the marks below plumbing, and the members of a set that is waited for.
    fn marks_and_members(&self, tree: Tree<'_>, out: &mut Vec<Frame>) {
        let node = tree.node();
        if node.kind == NodeKind::Mark {
            out.push(frame(node));
        }
        let is_set = matches!(node.resource(), Some(Resource::JoinSet { .. }));
        for child in tree.children() {
            match is_set {
                true => self.frames(child, out),
                false => self.marks_and_members(child, out),
            }
        }
    }

    fn wait(&self, resource: &Resource, name: &str) -> Wait {
        let mut holders: Vec<(usize, &Hold)> = Vec::new();
        for (task, hold) in self.graph.holders(resource) {
            // A permit that was moved is still in the variable that it was moved from.
            let is_known = |it: &(usize, &Hold)| {
                it.0 == *task && it.1.kind == hold.kind && it.1.owner == hold.owner
            };
            if !holders.iter().any(is_known) {
                holders.push((*task, hold));
            }
        }
        let holders = holders
            .into_iter()
            .map(|(task, hold)| self.holder(task, hold));
        let (kind, address) = match resource {
            Resource::Sleep { .. } => (WaitKind::Sleep, None),
            Resource::Permits {
                channel: Some(channel),
                ..
            } => (WaitKind::Channel, Some(channel.address)),
            Resource::Permits { semaphore, .. } => (WaitKind::Permits, Some(*semaphore)),
            Resource::Channel { address, .. } => (WaitKind::Channel, Some(*address)),
            Resource::Oneshot { address, .. } => (WaitKind::Oneshot, Some(*address)),
            Resource::Join { header } => (WaitKind::Join, Some(*header)),
            Resource::JoinSet { .. } => (WaitKind::JoinSet, None),
            Resource::Notify { address, .. } => (WaitKind::Notify, Some(*address)),
            Resource::Socket { .. } => (WaitKind::Socket, None),
            Resource::Thread { .. } => (WaitKind::Thread, None),
        };
        let task = match resource {
            Resource::Join { header } => self
                .graph
                .task(*header)
                .and_then(|task| self.tasks[task].id),
            _ => None,
        };
        Wait {
            kind,
            text: self.text(resource, name),
            address: address.map(|address| address.to_string()),
            task,
            holders: holders.collect(),
        }
    }

    fn text(&self, resource: &Resource, name: &str) -> String {
        match *resource {
            Resource::Sleep {
                seconds,
                nanoseconds,
            } => self.time_left(seconds, nanoseconds),
            Resource::Permits {
                free,
                missing,
                queue,
                is_granted,
                is_closed,
                channel,
                ..
            } => {
                let is_lock = name.contains("Mutex") || name.contains("RwLock");
                let state = match channel {
                    _ if is_closed => "closed".to_owned(),
                    _ if is_granted => "granted, and not polled since".to_owned(),
                    Some(Bounded { capacity, .. }) if free == 0 => {
                        format!("full, capacity {capacity}")
                    }
                    Some(Bounded { capacity, .. }) => {
                        format!("{free} of {capacity} places free, {missing} missing")
                    }
                    None if is_lock => "locked".to_owned(),
                    None if name.contains("OnceCell") => "being initialized".to_owned(),
                    None => format!("{}, {missing} missing", count(free, "free permit")),
                };
                let place = place_in(queue);
                // A semaphore can lack permits without a holder (`forget_permits`), but a taken lock has a holder.
                let has_holder = !self.graph.holders(resource).is_empty();
                let is_lost = is_lock && free < missing && !has_holder;
                let holder = match is_lost && !is_granted && !is_closed {
                    true => {
                        ", and the holder is not known: it runs, or keeps the guard behind a pointer"
                    }
                    false => "",
                };
                format!("{state}{place}{holder}")
            }
            Resource::Channel {
                length,
                capacity,
                peers,
                is_closed,
                ..
            } => {
                let is_sender = matches!(peers, Some(Peers::Receivers(_)));
                let mut text = match (length, capacity) {
                    (Some(length), Some(capacity)) if is_sender && length >= capacity => {
                        format!("full, capacity {capacity}")
                    }
                    (Some(length), Some(capacity)) => format!("{length} of {capacity} messages"),
                    (Some(length), None) => count(length, "message"),
                    (None, _) => "messages not known".to_owned(),
                };
                if let Some(peers) = peers {
                    let peers = match peers {
                        Peers::Senders(senders) => count(senders, "sender"),
                        Peers::Receivers(receivers) => count(receivers, "receiver"),
                    };
                    text = format!("{text}, {peers}");
                }
                if is_closed {
                    text.push_str(", closed");
                }
                text
            }
            Resource::Oneshot { state, .. } => match state {
                OneshotState::Sent => "the value was sent",
                OneshotState::Closed => "closed",
                OneshotState::Waiting => "no value yet",
            }
            .to_owned(),
            Resource::Join { header } => match self.graph.task(header) {
                Some(task) => {
                    let read = &self.tasks[task];
                    let mut resources = read.decoded.nodes.iter().filter_map(Node::resource);
                    match resources.next() {
                        Some(thread) if read.state == TaskState::Blocking => {
                            format!("{}, {}", self.title(task), self.text(thread, name))
                        }
                        _ => self.title(task),
                    }
                }
                None => "a task that is not listed".to_owned(),
            },
            Resource::JoinSet { length } => match length {
                Some(length) => count(length, "task"),
                None => "tasks".to_owned(),
            },
            Resource::Notify {
                is_notified: true, ..
            } => "notified, and not polled since".to_owned(),
            Resource::Notify { queue, .. } => format!("not notified yet{}", place_in(queue)),
            Resource::Socket { file } => match file {
                Some(file) => match self.sockets.address(file) {
                    Some(address) => format!("file descriptor {file}, {address}"),
                    None => format!("file descriptor {file}"),
                },
                None => "not ready yet".to_owned(),
            },
            Resource::Thread { is_running, queue } => match (is_running, queue) {
                (true, _) => "running".to_owned(),
                (false, None) => "not started".to_owned(),
                (
                    false,
                    Some(PlaceInQueue {
                        place,
                        length,
                        pool,
                    }),
                ) => format!(
                    "not started, place {place} of {length} in the queue of a pool with {} of {} threads, {} idle",
                    pool.threads, pool.most, pool.idle
                ),
            },
        }
    }

    fn time_left(&self, seconds: i64, nanoseconds: u32) -> String {
        let Some(now) = self.now else {
            return "a timer".to_owned();
        };
        let end = u64::try_from(seconds).unwrap_or_default();
        let end = Duration::new(end, nanoseconds.min(999_999_999));
        match end.checked_sub(now) {
            Some(left) => short(left) + " left",
            None => format!("over for {}", short(now.saturating_sub(end))),
        }
    }

    fn title(&self, task: usize) -> String {
        self.title_of(&self.tasks[task])
    }

    fn title_of(&self, task: &ReadTask) -> String {
        match self.number(task) {
            Some(number) => number + " " + &name(task),
            None => name(task).to_string(),
        }
    }

    /// Returns the number of a task with its noun.
    fn number(&self, task: &ReadTask) -> Option<String> {
        match (task.root, task.id) {
            (Some(root), _) => Some(format!("task {root}")),
            (None, Some(id)) if self.has_roots => Some(format!("tokio task {id}")),
            (None, Some(id)) => Some(format!("task {id}")),
            (None, None) => None,
        }
    }

    /// Returns how a task is called in a sentence.
    fn noun(&self, task: usize) -> String {
        let task = &self.tasks[task];
        self.number(task).unwrap_or_else(|| match task.origin {
            Origin::AsyncTask(_) => "a task".to_owned(),
            _ => "a thread".to_owned(),
        })
    }

    fn holder(&self, task: usize, hold: &Hold) -> Holder {
        let leaf = self.graph.leaf_of_owner(task, hold);
        Holder {
            task: self.tasks[task].id,
            root: self.tasks[task].root,
            noun: self.noun(task),
            held: held(hold),
            waits_for: leaf.map(|leaf| leaf.name.to_owned()),
        }
    }

    fn deadlock(&self, cycle: &[usize]) -> Deadlock {
        let mut text = String::new();
        for (at, task) in cycle.iter().enumerate() {
            let next = cycle[(at + 1) % cycle.len()];
            let leaf = self.graph.leaf_between(*task, next);
            let what = leaf.map_or("something", |leaf| leaf.name);
            if at == 0 {
                text = self.title(*task);
            }
            text = format!("{text} waits for {what}");
            let is_last = at + 1 == cycle.len();
            let next = match cycle.len() {
                1 => "itself".to_owned(),
                _ => self.noun(next),
            };
            text = match leaf.and_then(|leaf| self.hold_of(leaf)) {
                Some(hold) if !hold.owner.is_polled => {
                    let owner = of_owner(hold);
                    match cycle.len() {
                        1 => format!(
                            "{text}, granted to its own {owner}, which it does not poll any more"
                        ),
                        _ => format!(
                            "{text}, granted to {owner}, which {next} does not poll any more"
                        ),
                    }
                }
                Some(hold) => format!("{text}, held by {next} in {}", of_owner(hold)),
                None => format!("{text} of {next}"),
            };
            if !is_last {
                text.push_str(", which");
            }
        }
        Deadlock {
            tasks: cycle.iter().map(|task| self.tasks[*task].id).collect(),
            indices: cycle.to_vec(),
            text,
        }
    }

    fn hold_of(&self, leaf: &LeafOf<'_>) -> Option<&Hold> {
        let holders = self.graph.holders(leaf.resource?);
        holders.first().map(|(_, hold)| *hold)
    }
}

/// Returns a place in a queue with others.
fn place_in(queue: Option<(usize, usize)>) -> String {
    match queue {
        Some((place, length)) if length > 1 => format!(", place {place} of {length} in the queue"),
        _ => String::new(),
    }
}

fn of_owner(hold: &Hold) -> String {
    let function = &hold.owner.function;
    match &function.place {
        Some(Place { file, line }) => format!("{} at {file}:{line}", function.name),
        None => function.name.to_string(),
    }
}

/// Returns the name of a task: that of the outermost function in it.
fn name(task: &ReadTask) -> Text {
    let mut trees = task.decoded.nodes.roots();
    while let Some(tree) = trees.next().filter(|_| trees.next().is_none()) {
        if tree.node().kind == NodeKind::Function {
            return tree.node().name.clone();
        }
        trees = tree.children();
    }
    match task.decoded.nodes.iter().next() {
        Some(node) if node.kind != NodeKind::Mark && task.state != TaskState::Blocking => {
            node.name.clone()
        }
        _ => task.default_name.clone(),
    }
}

fn frame(node: &Node) -> Frame {
    Frame {
        label: Arc::clone(&node.shown),
        wait: None,
        children: Vec::new(),
    }
}

/// Returns `true` if there is a function of the program, or a wrapper, in a tree.
fn has_program(tree: Tree<'_>) -> bool {
    let mut nodes = tree.nodes().iter();
    nodes.any(|node| matches!(node.kind, NodeKind::Function | NodeKind::Wrapper))
}

fn held(hold: &Hold) -> Held {
    let function = &hold.owner.function;
    let place = function.place.as_ref();
    Held {
        kind: hold.kind,
        function: function.name.to_string(),
        file: place.map(|place| place.file.to_string()),
        line: place.map(|place| place.line),
        variable: hold.variable.to_string(),
        address: hold.semaphore.to_string(),
        is_polled: hold.owner.is_polled,
    }
}

/// Returns a time in the largest unit that has a digit before the point.
fn short(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => format!("{}ms", time.as_millis()),
        1..120 => format!("{:.1}s", time.as_secs_f64()),
        120..7200 => format!("{}m {}s", seconds / 60, seconds % 60),
        7200..172_800 => format!("{}h {}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d", seconds / 86400),
    }
}
