//! Says which tasks a `fork` has left behind.
//!
//! A task that was last polled by another thread than the one that forked is left behind: no thread of the child
//! goes on with it. So it is not listed, not asked (its waker may lock what a thread that is gone had locked), and not
//! said to be running. Should a thread of the child poll it all the same, it is there again.

use std::sync::atomic::{AtomicU32, Ordering};

/// The last number of a thread that was given in the parent. 0 where there is none.
static LAST_IN_PARENT: AtomicU32 = AtomicU32::new(0);

/// The number of the thread that forked, if it has one.
static FORKED: AtomicU32 = AtomicU32::new(0);

/// This process is a child. `forked` is the number of the thread that forked (0 if it has none), and `last` the last
/// that was given in the parent.
pub(super) fn note_child(forked: u32, last: u32) {
    FORKED.store(forked, Ordering::Relaxed);
    LAST_IN_PARENT.store(last, Ordering::Relaxed);
}

/// Returns `true` if the thread of this number is one of a parent, and not here.
#[inline]
pub(super) fn is_left_behind(thread: u32) -> bool {
    let last = LAST_IN_PARENT.load(Ordering::Relaxed);
    last != 0 && thread != 0 && thread <= last && !is_forked(thread)
}

/// Returns `true` if the thread of this number is the one that forked, here in the child.
pub(super) fn is_forked(thread: u32) -> bool {
    thread != 0 && FORKED.load(Ordering::Relaxed) == thread
}
