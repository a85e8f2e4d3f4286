//! Defines one stack of a capture.

use std::sync::Arc;

use crate::unwind::{CallPath, ReturnAddress};

/// The call path from the root of a task to a leaf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stack {
    pub(crate) call_path: Arc<CallPath>,
    /// The position of its first scope marker in the list of all stacks: see [`Recording`](super::Recording).
    pub(super) first_marker: usize,
    pub(crate) kind: LeafKind,
    /// The number of consecutive leaves that had this stack.
    pub(crate) count: usize,
}

/// The reason why a stack was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum LeafKind {
    /// A future cloned a waker: the task waits for it.
    Registered,
    /// [`TraceHandle::backtrace`](crate::TraceHandle::backtrace) cloned a waker: see [`register`](super::register).
    AwaitsTrace,
    /// [`dump`](crate::dump()) cloned a waker.
    AwaitsDump,
    /// The waker was woken by reference: the task will be polled again at once.
    Woken,
    /// A frame or the task returned `Pending` without a registered waker.
    NoWaker,
    /// The program requested the stack of the caller: see [`Trace::here`](crate::Trace::here).
    Here,
    /// The thread was interrupted here.
    Sampled,
}

/// An entry of a stack, read from the root to the leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum StackEntry {
    Ip(ReturnAddress),
    /// The poll of a task or a frame is in the function of the entry before. The number is the position of its scope
    /// marker.
    Marker(u32),
    /// Frames are missing here: the stack was deeper than the limit.
    Cut,
    /// Frames are missing here: the stack could not be followed.
    Lost,
}
