//! One stack of a capture.

use std::sync::Arc;

use crate::unwind::{ReturnAddress, Way};

/// A way from the root of the task to a leaf.
#[derive(Clone, Debug)]
pub(crate) struct Stack {
    pub(crate) way: Arc<Way>,
    pub(super) polls: Polls,
    pub(crate) kind: LeafKind,
    /// How many leaves in a row had just this stack.
    pub(crate) count: usize,
}

impl Stack {
    /// The number of its first marker, if the others follow it one by one.
    pub(crate) fn first_poll(&self) -> Option<u32> {
        match self.polls {
            Polls::From(first) => Some(first),
            Polls::Listed(_) => None,
        }
    }

    /// Without looking at ways that are not shared.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let is_same_polls = match (self.polls, other.polls) {
            (Polls::From(one), Polls::From(other)) => one == other,
            _ => false,
        };
        is_same_polls
            && Arc::ptr_eq(&self.way, &other.way)
            && (self.kind, self.count) == (other.kind, other.count)
    }
}

/// Which markers those of a way are.
#[derive(Clone, Copy, Debug)]
pub(super) enum Polls {
    /// One after the other, from this one on. So it is for most stacks.
    From(u32),
    /// From there on in the list.
    Listed(usize),
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
