//! Stores the state of the polls on a thread in one thread-local.
//!
//! The thread-local has no destructor, and is initialised before the thread runs, so an access is a plain load or
//! store.
//!
//! A signal handler that interrupts the thread reads the list of its scopes
//! ([`scope::sampled_scopes`](super::scope::sampled_scopes)). The fields that it reads are atomics with relaxed
//! accesses, which are no data races and cost as much as plain accesses. On Windows and macOS, a requester that has
//! suspended the thread reads them instead.

use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use super::free_list::LocalFreeList;
use super::poll_state::NO_FAST_PATH;
use crate::capture::CaptureRef;

/// The state of the polls on a thread.
pub(super) struct ThreadState {
    /// The innermost [`Scope`](super::scope::Scope) of this thread. Invariant: the list that starts here contains
    /// exactly those scopes of this thread whose `enter` has not returned.
    innermost: AtomicPtr<()>,
    /// The [`PollState`](super::poll_state::PollState) of a task whose next poll on this thread takes the fast path.
    /// [`NO_FAST_PATH`] until the thread polls its first task, and while it ends.
    pub(super) fast_path: Cell<u32>,
    /// The reasons why polls of frames on this thread take the slow path: [`OUT_OF_ORDER`], and [`RUNNING_CAPTURE`]
    /// once for each running capture.
    slow_path_reasons: AtomicU32,
    /// The innermost running capture.
    pub(super) capture: Cell<Option<CaptureRef>>,
    /// The free headers of this thread.
    pub(super) free_headers: LocalFreeList,
}

/// A bit of the reasons: a poll has ended before a poll inside it. So the task of a scope may no longer be polled: see
/// [`Scope::poller`](super::scope::Scope::poller).
const OUT_OF_ORDER: u32 = 1;
/// The value that each running capture adds to the reasons.
const RUNNING_CAPTURE: u32 = 2;

thread_local! {
    static LOCAL: ThreadState = const {
        ThreadState {
            innermost: AtomicPtr::new(ptr::null_mut()),
            fast_path: Cell::new(NO_FAST_PATH),
            slow_path_reasons: AtomicU32::new(0),
            capture: Cell::new(None),
            free_headers: LocalFreeList::new(),
        }
    };
}

impl ThreadState {
    /// Returns the state of this thread. Returns `None` if the thread-local has been destroyed, which happens only on
    /// platforms without native thread-locals. Elsewhere this check costs nothing.
    ///
    /// In a shared library, the access to a thread-local is a function call, so the functions of a poll pass the result
    /// on.
    #[inline]
    pub(super) fn get<'a>() -> Option<&'a Self> {
        let thread_state = LOCAL.try_with(ptr::from_ref).ok()?;
        // SAFETY: a native thread-local without a destructor is alive until the thread has ended. Any other
        // thread-local is destroyed when the destructors of thread-locals run: no poll that began before is still
        // running then, and a later call gets `None` above. `ThreadState` is not `Sync`, so the reference stays on this
        // thread, and no caller stores the result.
        Some(unsafe { &*thread_state })
    }

    /// Returns `true` if this thread is inside the poll of a task.
    #[inline]
    pub(super) fn is_in_task(&self) -> bool {
        !self.innermost().is_null()
    }

    /// Returns the innermost scope, or null.
    #[inline]
    pub(super) fn innermost(&self) -> *const () {
        self.innermost.load(Ordering::Relaxed)
    }

    /// Replaces the innermost scope.
    ///
    /// # Safety
    ///
    /// The invariant of the field `innermost` must hold after the call.
    #[inline]
    pub(super) unsafe fn set_innermost(&self, scope: *const ()) {
        self.innermost.store(scope.cast_mut(), Ordering::Relaxed);
    }

    /// Returns `true` if a frame on this thread can be polled with nothing but a scope.
    #[inline]
    pub(super) fn allows_fast_path(&self) -> bool {
        self.slow_path_reasons.load(Ordering::Relaxed) == 0
    }

    /// Returns `true` if a poll on this thread has ever ended before a poll inside it.
    #[inline]
    pub(super) fn is_out_of_order(&self) -> bool {
        self.slow_path_reasons.load(Ordering::Relaxed) & OUT_OF_ORDER != 0
    }

    pub(super) fn note_out_of_order(&self) {
        self.slow_path_reasons
            .fetch_or(OUT_OF_ORDER, Ordering::Relaxed);
    }

    pub(super) fn note_capture_begins(&self) {
        self.slow_path_reasons
            .fetch_add(RUNNING_CAPTURE, Ordering::Relaxed);
    }

    pub(super) fn note_capture_ends(&self) {
        self.slow_path_reasons
            .fetch_sub(RUNNING_CAPTURE, Ordering::Relaxed);
    }

    /// Calls `run` with the state of this thread, and returns its result, or `default` if the thread-local has been
    /// destroyed: see [`get`](Self::get).
    #[inline]
    pub(super) fn with<R>(default: R, run: impl FnOnce(&Self) -> R) -> R {
        LOCAL.try_with(run).unwrap_or(default)
    }
}
