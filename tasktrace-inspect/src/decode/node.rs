//! Trees of futures, as they are in memory.

use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;

use crate::address::Address;
use crate::report::FrameLabel;
use crate::text::Text;

/// The trees of futures in a task, in one list: each node is followed by those below it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Nodes(Vec<Node>);

/// A future that waits, or a note in its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    label: Rc<Label>,
    resource: Option<Box<Resource>>,
    /// The number of nodes below it.
    below: usize,
}

/// The part of a node that does not depend on the task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Label {
    pub(crate) kind: NodeKind,
    pub(crate) place: Option<Place>,
    /// The path of the function or of the type, the place and the note, as reports show them.
    pub(crate) shown: Arc<FrameLabel>,
}

/// A node with those below it.
#[derive(Clone, Copy)]
pub(crate) struct Tree<'n> {
    /// The node, followed by all nodes below it.
    nodes: &'n [Node],
}

/// Trees that are next to each other.
#[derive(Clone)]
pub(crate) struct Trees<'n> {
    nodes: &'n [Node],
}

/// The kind of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NodeKind {
    /// An async function or block of the program.
    Function,
    /// An async function or block of a runtime.
    Plumbing,
    /// A wrapper that is worth a line of its own.
    Wrapper,
    /// A resource that is waited for.
    Leaf,
    /// Something that could not be read.
    Mark,
}

/// A line in a file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) file: Text,
    pub(crate) line: u64,
}

/// The state of what is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    /// A timer: seconds and nanoseconds of the monotonic clock.
    Sleep { seconds: i64, nanoseconds: u32 },
    /// Permits of a semaphore, which locks are made of.
    Permits {
        semaphore: Address,
        free: u64,
        missing: u64,
        /// The place in the queue, from 1, and the length of the queue.
        queue: Option<(usize, usize)>,
        /// The permits were handed over, and the future was not polled since.
        is_granted: bool,
        is_closed: bool,
        /// The channel whose free places the permits are.
        channel: Option<Bounded>,
    },
    /// Messages in a channel, or room for one.
    Channel {
        address: Address,
        length: Option<u64>,
        /// Nothing if it is unbounded.
        capacity: Option<u64>,
        peers: Option<Peers>,
        is_closed: bool,
    },
    /// A oneshot channel.
    Oneshot {
        address: Address,
        state: OneshotState,
    },
    /// Another task: its header.
    Join { header: Address },
    /// A set of tasks.
    JoinSet { length: Option<u64> },
    /// A notification.
    Notify {
        address: Address,
        /// The place in the queue, from 1, and the length of the queue.
        queue: Option<(usize, usize)>,
        /// The notification was handed over, and the future was not polled since.
        is_notified: bool,
    },
    /// A socket or another file.
    Socket { file: Option<u32> },
    /// A thread for blocking work.
    Thread {
        is_running: bool,
        queue: Option<PlaceInQueue>,
    },
}

/// The other ends of a channel than that which a future uses, and their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peers {
    Senders(u64),
    Receivers(u64),
}

/// The state of a oneshot channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OneshotState {
    Waiting,
    Sent,
    Closed,
}

/// The place of a closure in the queue of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PlaceInQueue {
    /// The place, from 1.
    pub(crate) place: usize,
    /// The length of the queue.
    pub(crate) length: usize,
    pub(crate) pool: Pool,
}

/// The threads on which a runtime runs the closures of `spawn_blocking`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pool {
    /// The number of threads.
    pub(crate) threads: u64,
    /// The largest number of threads.
    pub(crate) most: u64,
    /// The number of threads that have nothing to do.
    pub(crate) idle: u64,
}

/// A channel that has room for a number of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounded {
    pub(crate) address: Address,
    pub(crate) capacity: u64,
}

/// Remarks on futures that do not wait.
pub(crate) const NOT_STARTED: &str = "not started";
pub(crate) const FINISHED: &str = "finished";
pub(crate) const PANICKED: &str = "panicked";

impl Nodes {
    pub(super) fn with_capacity(count: usize) -> Self {
        Self(Vec::with_capacity(count))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns all nodes, each before those below it.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Node> {
        self.0.iter()
    }

    /// Returns the tree of each node.
    pub(crate) fn trees(&self) -> impl Iterator<Item = Tree<'_>> {
        let nodes = self.0.iter().enumerate();
        nodes.map(|(at, node)| Tree {
            nodes: &self.0[at..=at + node.below],
        })
    }

    /// Returns the outermost trees.
    pub(crate) fn roots(&self) -> Trees<'_> {
        Trees { nodes: &self.0 }
    }

    /// Returns the headers of the tasks for which the futures wait.
    pub(crate) fn joins(&self) -> impl Iterator<Item = Address> {
        self.iter().filter_map(|node| match node.resource() {
            Some(Resource::Join { header }) => Some(*header),
            _ => None,
        })
    }

    /// Adds a node without nodes below it.
    pub(crate) fn push(&mut self, label: Rc<Label>, resource: Option<Resource>) {
        let at = self.open(label);
        self.set_resource(at, resource);
    }

    pub(super) fn mark(&mut self, text: impl Into<Text>) {
        self.push(Rc::new(Label::new(NodeKind::Mark, text)), None);
    }

    /// Adds a node, and returns its index. Nodes that are added until [`close`](Self::close) are below it.
    pub(crate) fn open(&mut self, label: Rc<Label>) -> usize {
        self.0.push(Node {
            label,
            resource: None,
            below: 0,
        });
        self.0.len() - 1
    }

    /// Closes a node: no further nodes are below it.
    pub(crate) fn close(&mut self, at: usize) {
        self.0[at].below = self.0.len() - at - 1;
    }

    /// Closes a node, or removes it if there is nothing below it.
    pub(super) fn close_or_remove(&mut self, at: usize) {
        match self.has_children(at) {
            true => self.close(at),
            false => self.0.truncate(at),
        }
    }

    /// Returns `true` if there is a node below an open node.
    pub(super) fn has_children(&self, at: usize) -> bool {
        self.0.len() > at + 1
    }

    /// Returns the index of the child of an open node, if it has exactly one.
    pub(super) fn only_child(&self, at: usize) -> Option<usize> {
        let child = self.0.get(at + 1)?;
        (at + 2 + child.below == self.0.len()).then_some(at + 1)
    }

    pub(crate) fn set_resource(&mut self, at: usize, resource: Option<Resource>) {
        self.0[at].resource = resource.map(Box::new);
    }

    pub(super) fn resource_mut(&mut self, at: usize) -> Option<&mut Resource> {
        self.0[at].resource.as_deref_mut()
    }
}

impl<'n> Tree<'n> {
    pub(crate) fn node(self) -> &'n Node {
        &self.nodes[0]
    }

    /// Returns the node and all nodes below it, each before those below it.
    pub(crate) fn nodes(self) -> &'n [Node] {
        self.nodes
    }

    pub(crate) fn children(self) -> Trees<'n> {
        Trees {
            nodes: &self.nodes[1..],
        }
    }
}

impl Trees<'_> {
    pub(crate) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }
}

impl<'n> From<Tree<'n>> for Trees<'n> {
    fn from(tree: Tree<'n>) -> Self {
        Self { nodes: tree.nodes }
    }
}

impl<'n> Iterator for Trees<'n> {
    type Item = Tree<'n>;

    fn next(&mut self) -> Option<Tree<'n>> {
        let node = self.nodes.first()?;
        let (nodes, rest) = self.nodes.split_at(node.below + 1);
        self.nodes = rest;
        Some(Tree { nodes })
    }
}

impl Node {
    pub(crate) fn resource(&self) -> Option<&Resource> {
        self.resource.as_deref()
    }

    /// Returns `true` for a future that waits for nothing: it has not started, is finished or has panicked. A suspended
    /// function awaits no such future.
    pub(crate) fn is_idle(&self) -> bool {
        let note = self.note.as_deref().unwrap_or_default();
        [NOT_STARTED, FINISHED, PANICKED].contains(&note)
    }
}

impl Deref for Node {
    type Target = Label;

    fn deref(&self) -> &Label {
        &self.label
    }
}

impl Label {
    pub(crate) fn new(kind: NodeKind, name: impl Into<Text>) -> Self {
        Self::with(kind, name, None, None)
    }

    pub(super) fn with(
        kind: NodeKind,
        name: impl Into<Text>,
        place: Option<Place>,
        note: Option<Text>,
    ) -> Self {
        let shown = FrameLabel {
            name: name.into(),
            file: place.as_ref().map(|place| place.file.clone()),
            line: place.as_ref().map(|place| place.line),
            note,
        };
        Self {
            kind,
            place,
            shown: Arc::new(shown),
        }
    }
}

impl Deref for Label {
    type Target = FrameLabel;

    fn deref(&self) -> &FrameLabel {
        &self.shown
    }
}
