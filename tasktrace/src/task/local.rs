//! What a thread knows of the polls on it.
//!
//! One thread-local for all of it, without a destructor and initialised before the thread runs, so
//! that access is free.

use std::cell::Cell;
use std::ptr;

use super::scope::Scope;

pub(super) struct Local {
    /// The innermost scope. Invariant: the list that starts here holds scopes of this thread whose
    /// `enter` has not returned, and no others.
    pub(super) innermost: Cell<*const Scope<'static>>,
    /// How many captures are going on. There is no need to look for one while it is 0.
    pub(super) captures: Cell<u32>,
    /// The number of the thread, see [`Token`](super::Token). 0 until it polls its first task.
    pub(super) token: Cell<u32>,
    /// Whether a poll has ever ended before one that began in it, so that the task of a frame may
    /// not be polled any more: see [`Scope::record`].
    pub(super) is_tangled: Cell<bool>,
}

thread_local! {
    static LOCAL: Local = const {
        Local {
            innermost: Cell::new(ptr::null()),
            captures: Cell::new(0),
            token: Cell::new(0),
            is_tangled: Cell::new(false),
        }
    };
}

impl Local {
    /// Calls `run` with that of this thread. Where that is taken down with the thread, the answer is
    /// `gone` from then on; elsewhere that costs nothing.
    #[inline(always)]
    pub(super) fn with<R>(gone: R, run: impl FnOnce(&Self) -> R) -> R {
        LOCAL.try_with(run).unwrap_or(gone)
    }
}
