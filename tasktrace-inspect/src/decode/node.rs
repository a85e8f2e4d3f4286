//! Trees of futures, as they are in memory.

use crate::address::Address;
use crate::text::Text;

/// A future that waits, or a note in its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) kind: NodeKind,
    /// The path of the function or of the type.
    pub(crate) name: Text,
    pub(crate) place: Option<Place>,
    pub(crate) note: Option<Text>,
    pub(crate) resource: Option<Box<Resource>>,
    pub(crate) children: Vec<Node>,
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
    /// The receiving side of a channel.
    Channel {
        address: Address,
        length: Option<u64>,
        /// Nothing if it is unbounded.
        capacity: Option<u64>,
        senders: Option<u64>,
        is_closed: bool,
    },
    /// A oneshot channel.
    Oneshot { address: Address, state: u64 },
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

impl Node {
    /// Returns the headers of the tasks for which the future waits.
    pub(crate) fn joins(nodes: &[Self]) -> Vec<Address> {
        let mut joins = Vec::new();
        let mut below: Vec<&Self> = nodes.iter().collect();
        while let Some(node) = below.pop() {
            if let Some(Resource::Join { header }) = node.resource.as_deref() {
                joins.push(*header);
            }
            below.extend(&node.children);
        }
        joins
    }

    /// Returns `true` for a future that waits for nothing. What a suspended function awaits is none.
    pub(crate) fn is_idle(&self) -> bool {
        let note = self.note.as_deref().unwrap_or_default();
        [NOT_STARTED, FINISHED, PANICKED].contains(&note)
    }

    pub(crate) fn new(kind: NodeKind, name: impl Into<Text>) -> Self {
        Self {
            kind,
            name: name.into(),
            place: None,
            note: None,
            resource: None,
            children: Vec::new(),
        }
    }

    pub(crate) fn mark(text: impl Into<Text>) -> Self {
        Self::new(NodeKind::Mark, text)
    }
}

/// Dropping a deep tree would need as deep a stack.
impl Drop for Node {
    fn drop(&mut self) {
        let mut below = std::mem::take(&mut self.children);
        while let Some(mut node) = below.pop() {
            below.append(&mut node.children);
        }
    }
}
