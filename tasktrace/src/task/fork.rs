//! Adapts the child of a `fork` to its state: it has one thread, and no thread that keeps the time.
//!
//! A task that was last polled by another thread than the one that forked is left behind: no thread of the child
//! goes on with it. So it is not listed, not asked (its waker may lock what a thread that is gone had locked), and not
//! said to be running. Should a thread of the child poll it all the same, it is there again.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::clock;
use super::local::Local;
use super::thread;
use super::turn::{NEVER, Turn};
use crate::os::fork::AtFork;
use crate::sync::fork;

/// The last number of a thread that was given in the parent. 0 where there is none.
static LAST_IN_PARENT: AtomicU32 = AtomicU32::new(0);

/// The number of the thread that forked, if it has one.
static FORKED: AtomicU32 = AtomicU32::new(0);

/// Registers the handlers for forks. A thread calls this before it makes the first of anything that more than one
/// thread uses.
pub(super) fn expect() {
    static IS_EXPECTED: AtomicBool = AtomicBool::new(false);

    extern "C" fn before() {
        fork::before();
    }
    extern "C" fn in_parent() {
        fork::after_in_parent();
    }
    extern "C" fn in_child() {
        let own = Local::with(NEVER, |local| local.usual.get());
        let own = match own {
            NEVER => 0,
            usual => Turn::thread_in(usual),
        };
        FORKED.store(own, Ordering::Relaxed);
        LAST_IN_PARENT.store(thread::last(), Ordering::Relaxed);
        thread::forked();
        clock::forked();
        fork::after_in_child();
    }

    if !IS_EXPECTED.swap(true, Ordering::Relaxed) {
        let at_fork = AtFork {
            before,
            in_parent,
            in_child,
        };
        at_fork.install();
    }
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
