//! What a thread knows of the polls on it.
//!
//! One thread-local for all of it, without a destructor and initialised before the thread runs, so
//! that access is free.

use std::cell::Cell;
use std::ptr;

use super::pool;
use super::scope::Scope;
use super::turn::NEVER;
use crate::capture::CaptureRef;

pub(super) struct Local {
    /// The innermost scope. Invariant: the list that starts here holds scopes of this thread whose
    /// `enter` has not returned, and no others.
    pub(super) innermost: Cell<*const Scope<'static>>,
    /// What the word of a task is if its next poll is usual and on this thread: see
    /// [`Turn`](super::turn::Turn). [`NEVER`] until the thread polls its first task, and when it ends.
    pub(super) usual: Cell<u32>,
    /// Whether polls on this thread need more than others: [`TANGLED`], and twice the number of captures
    /// that are going on.
    pub(super) attention: Cell<u32>,
    /// The innermost of these captures.
    pub(super) capture: Cell<Option<CaptureRef>>,
    /// Records that are not in use.
    pub(super) records: pool::Own,
}

/// A poll has once ended before one that began in it, so the task of a frame may not be polled any
/// more: see [`Scope::record`].
pub(super) const TANGLED: u32 = 1;
/// A capture.
pub(super) const CAPTURE: u32 = 2;

thread_local! {
    static LOCAL: Local = const {
        Local {
            innermost: Cell::new(ptr::null()),
            usual: Cell::new(NEVER),
            attention: Cell::new(0),
            capture: Cell::new(None),
            records: pool::Own::new(),
        }
    };
}

impl Local {
    /// That of this thread. `None` where it is taken down with the thread, from then on; elsewhere that
    /// costs nothing.
    ///
    /// In a library it is a function call, so whoever needs it often is handed it.
    #[inline(always)]
    pub(super) fn get<'a>() -> Option<&'a Self> {
        let local = LOCAL.try_with(ptr::from_ref).ok()?;
        // SAFETY: it is there for as long as the thread runs, or runs anything but destructors of what is
        // thread-local; and the reference cannot leave the thread.
        Some(unsafe { &*local })
    }

    /// Whether a task is being polled on this thread.
    #[inline(always)]
    pub(super) fn is_in_task(&self) -> bool {
        !self.innermost.get().is_null()
    }

    /// Whether a poll needs nothing but its scope.
    #[inline(always)]
    pub(super) fn needs_nothing(&self) -> bool {
        self.attention.get() == 0
    }

    #[inline(always)]
    pub(super) fn is_tangled(&self) -> bool {
        self.attention.get() & TANGLED != 0
    }

    /// Calls `run` with that of this thread. Where that is taken down with the thread, the answer is
    /// `gone` from then on; elsewhere that costs nothing.
    #[inline(always)]
    pub(super) fn with<R>(gone: R, run: impl FnOnce(&Self) -> R) -> R {
        LOCAL.try_with(run).unwrap_or(gone)
    }
}
