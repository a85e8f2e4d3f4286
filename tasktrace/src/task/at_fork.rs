//! Resets the child of a `fork`, which has one thread, and no clock thread.

use std::sync::atomic::{AtomicBool, Ordering};

use super::clock;
use super::poll_state::{NO_FAST_PATH, PollState};
use super::thread;
use super::thread_state::ThreadState;
use crate::os::fork::AtFork;
use crate::sync::fork;

/// Installs the handlers for `fork`. A thread calls this before it makes the first object that several threads use.
pub(super) fn install_once() {
    static IS_INSTALLED: AtomicBool = AtomicBool::new(false);

    extern "C" fn before() {
        fork::before();
    }
    extern "C" fn in_parent() {
        fork::after_in_parent();
    }
    extern "C" fn in_child() {
        let own = ThreadState::with(NO_FAST_PATH, |thread_state| thread_state.fast_path.get());
        let own = match own {
            NO_FAST_PATH => 0,
            fast_path => PollState::thread_of(fast_path),
        };
        super::left_behind::note_child(own, thread::last());
        thread::reset_in_child();
        clock::reset_in_child();
        fork::after_in_child();
    }

    if !IS_INSTALLED.swap(true, Ordering::Relaxed) {
        let at_fork = AtFork {
            before,
            in_parent,
            in_child,
        };
        at_fork.install();
    }
}
