//! What a thread knows of the polls on it.
//!
//! One thread-local for all of it, without a destructor and initialised before the thread runs, so
//! that access is free.
//!
//! A signal handler that interrupts the thread reads which scopes there are ([`scope::collect`](super::scope::collect)).
//! What it reads is atomic, and relaxed: so its reads are no data races, and cost what plain ones do.

use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use super::free::Own;
use super::turn::NEVER;
use crate::capture::CaptureRef;

pub(super) struct Local {
    /// The innermost [`Scope`](super::scope::Scope). Invariant: the list that starts here holds scopes of this thread
    /// whose `enter` has not returned, and no others.
    innermost: AtomicPtr<()>,
    /// What the word of a task is if its next poll is usual and on this thread: see
    /// [`Turn`](super::turn::Turn). [`NEVER`] until the thread polls its first task, and when it ends.
    pub(super) usual: Cell<u32>,
    /// Whether polls on this thread need more than others: [`TANGLED`], and twice the number of captures
    /// that are going on.
    attention: AtomicU32,
    /// The innermost of these captures.
    pub(super) capture: Cell<Option<CaptureRef>>,
    /// Records that are not in use.
    pub(super) records: Own,
}

/// A poll has once ended before one that began in it, so the task of a frame may not be polled any
/// more: see [`Scope::record`](super::scope::Scope::record).
const TANGLED: u32 = 1;
/// A capture.
const CAPTURE: u32 = 2;

thread_local! {
    static LOCAL: Local = const {
        Local {
            innermost: AtomicPtr::new(ptr::null_mut()),
            usual: Cell::new(NEVER),
            attention: AtomicU32::new(0),
            capture: Cell::new(None),
            records: Own::new(),
        }
    };
}

impl Local {
    /// That of this thread. `None` where it is taken down with the thread, from then on; elsewhere that
    /// costs nothing.
    ///
    /// In a library it is a function call, so whoever needs it often is handed it.
    #[inline]
    pub(super) fn get<'a>() -> Option<&'a Self> {
        let local = LOCAL.try_with(ptr::from_ref).ok()?;
        // SAFETY: it is there for as long as the thread runs, or runs anything but destructors of what is
        // thread-local; and the reference cannot leave the thread.
        Some(unsafe { &*local })
    }

    /// Whether a task is being polled on this thread.
    #[inline]
    pub(super) fn is_in_task(&self) -> bool {
        !self.innermost().is_null()
    }

    #[inline]
    pub(super) fn innermost(&self) -> *const () {
        self.innermost.load(Ordering::Relaxed)
    }

    /// # Safety
    ///
    /// The invariant of the list holds.
    #[inline]
    pub(super) unsafe fn set_innermost(&self, scope: *const ()) {
        self.innermost.store(scope.cast_mut(), Ordering::Relaxed);
    }

    /// Whether a poll needs nothing but its scope.
    #[inline]
    pub(super) fn needs_nothing(&self) -> bool {
        self.attention.load(Ordering::Relaxed) == 0
    }

    #[inline]
    pub(super) fn is_tangled(&self) -> bool {
        self.attention.load(Ordering::Relaxed) & TANGLED != 0
    }

    pub(super) fn note_tangled(&self) {
        self.attention.fetch_or(TANGLED, Ordering::Relaxed);
    }

    pub(super) fn note_capture_begins(&self) {
        self.attention.fetch_add(CAPTURE, Ordering::Relaxed);
    }

    pub(super) fn note_capture_ends(&self) {
        self.attention.fetch_sub(CAPTURE, Ordering::Relaxed);
    }

    /// Calls `run` with that of this thread. Where that is taken down with the thread, the answer is
    /// `gone` from then on; elsewhere that costs nothing.
    #[inline]
    pub(super) fn with<R>(gone: R, run: impl FnOnce(&Self) -> R) -> R {
        LOCAL.try_with(run).unwrap_or(gone)
    }
}
