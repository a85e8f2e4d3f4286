//! Adapts the child of a `fork` to its state: it has one thread, and no thread that keeps the time.

use std::sync::atomic::{AtomicBool, Ordering};

use super::clock;
use super::local::Local;
use super::thread;
use super::turn::{NEVER, Turn};
use crate::os::fork::AtFork;
use crate::sync::fork;

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
        super::fork::note_child(own, thread::last());
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
