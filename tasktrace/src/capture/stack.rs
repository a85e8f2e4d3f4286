//! One stack of a capture.

use std::sync::Arc;

use crate::unwind::{ReturnAddress, Way};

/// The call path from the root of a task to a leaf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stack {
    pub(crate) way: Arc<Way>,
    /// The position of its first marker in the list that has those of all stacks.
    pub(super) polls: usize,
    pub(crate) kind: LeafKind,
    /// The number of leaves in a row that had this stack.
    pub(crate) count: usize,
}

/// Why a stack was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum LeafKind {
    /// A waker was cloned: this is waited for.
    Registered,
    /// As above, by [`TraceHandle::backtrace`](crate::TraceHandle::backtrace): see
    /// [`register`](super::register).
    AwaitsTrace,
    /// As above, by [`dump`](crate::dump()).
    AwaitsDump,
    /// The task was woken by reference: it will be polled again at once.
    Woken,
    /// It returned `Pending`, but has no waker registered.
    NoWaker,
    /// Somebody asked from here.
    Here,
    /// The thread was interrupted here.
    Sampled,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Entry {
    Ip(ReturnAddress),
    /// A task or a frame whose poll is in the function of the entry before. An index.
    Marker(u32),
    /// Here frames are missing: the stack was deeper than the limit.
    Cut,
    /// Here frames are missing: the stack could not be followed.
    Lost,
}
