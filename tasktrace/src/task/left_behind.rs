//! Tells which tasks a `fork` has left behind in the parent.
//!
//! In a child of `fork`, a task is left behind if the thread that polled it last is not the thread that forked, because
//! that thread does not exist in the child. Such a task is not listed, and not shown as running. No request is sent to
//! it, because its waker may lock a mutex that the missing thread had locked. If a thread of the child polls the task
//! after all, it counts as a task of the child again.

use std::sync::atomic::{AtomicU32, Ordering};

/// The last thread index that was assigned in the parent, or 0 if this process is no child of `fork`.
static LAST_IN_PARENT: AtomicU32 = AtomicU32::new(0);

/// The index of the thread that forked, or 0 if it has none.
static FORKED: AtomicU32 = AtomicU32::new(0);

/// Notes that this process is a child of `fork`. `forked` is the index of the thread that forked, or 0 if it has none,
/// and `last` is the last index that was assigned in the parent.
pub(super) fn note_child(forked: u32, last: u32) {
    FORKED.store(forked, Ordering::Relaxed);
    LAST_IN_PARENT.store(last, Ordering::Relaxed);
}

/// Returns `true` if the thread of this index exists only in the parent.
#[inline]
pub(super) fn is_left_behind(thread: u32) -> bool {
    let last = LAST_IN_PARENT.load(Ordering::Relaxed);
    last != 0 && thread != 0 && thread <= last && !is_forked(thread)
}

/// Returns `true` if this process is a child of `fork`, and the thread of this index is the one that forked.
pub(super) fn is_forked(thread: u32) -> bool {
    thread != 0 && FORKED.load(Ordering::Relaxed) == thread
}
