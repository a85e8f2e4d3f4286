//! Hands a buffer from a requester to a signal handler and back.
//!
//! | phase | owner of the buffer | next phase |
//! |---|---|---|
//! | [`IDLE`] | the requester | `REQUESTED`, set by the requester |
//! | [`REQUESTED`] of a thread | none | `FILLING`, set by the handler on that thread; `IDLE`, set by a requester that withdraws |
//! | [`FILLING`] | the handler | `FILLED`, set by the handler |
//! | [`FILLED`] | the requester | `REQUESTED`, set by the requester |
//!
//! Only one requester exists at a time: [`request`](Handshake::request) is `unsafe` and demands it. The number of the
//! thread is part of the state. So a handler that is late, after its request was withdrawn, answers a later request
//! only if that is for the same thread, and then the answer is correct. A thread that is stopped in the middle of the
//! handler keeps the buffer: the requester notices that, abandons the buffer, and uses another one. When the handler
//! has finished, the phase is `FILLED`, so a requester may take the buffer back.

use crate::sync::{AtomicU64, Ordering, UnsafeCell};

const IDLE: u64 = 0;
const REQUESTED: u64 = 1;
const FILLING: u64 = 2;
const FILLED: u64 = 3;

/// A buffer that a requester and a signal handler use in turn.
pub(super) struct Handshake<T> {
    /// The phase in the lower two bits, and the number of the thread in the other bits.
    state: AtomicU64,
    buffer: UnsafeCell<T>,
}

// SAFETY: by the table in the module docs, each phase gives the buffer to one thread at most. The atomic transitions
// between phases order each thread's accesses before those of the next thread. So sharing a `Handshake` only moves the
// `T` from thread to thread, which `T: Send` permits.
unsafe impl<T: Send> Sync for Handshake<T> {}

/// The reason why a request has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestError {
    /// The handler has not started, and will not answer this request.
    NotStarted,
    /// The handler has started and not finished: it owns the buffer.
    Unfinished,
}

impl<T> Handshake<T> {
    pub(super) fn new(buffer: T) -> Self {
        Self {
            state: AtomicU64::new(IDLE),
            buffer: UnsafeCell::new(buffer),
        }
    }

    // The requester's side.

    /// Requests that the handler on a thread fills the buffer.
    ///
    /// Calls `prepare` with the buffer, then `wait`, in which the caller sends the signal and waits. If the handler has
    /// answered by then, calls `read` with the buffer.
    ///
    /// # Safety
    ///
    /// The caller must be the only requester. No earlier request may have ended with [`RequestError::Unfinished`],
    /// unless it was [answered](Self::is_answered) since.
    pub(super) unsafe fn request<R>(
        &self,
        thread: u64,
        prepare: impl FnOnce(&mut T),
        wait: impl FnOnce(),
        read: impl FnOnce(&mut T) -> R,
    ) -> Result<R, RequestError> {
        // SAFETY: the `# Safety` section says that the caller is the only requester and that no earlier request is
        // open, which is the condition of both functions.
        unsafe {
            self.with_buffer(prepare);
            self.post_request(thread);
        }
        wait();
        // SAFETY: the caller is the only requester, as above. `with_buffer` runs only if `withdraw` has returned `Ok`,
        // which means that this request was answered. So no request is open.
        unsafe {
            self.withdraw()?;
            Ok(self.with_buffer(read))
        }
    }

    /// Calls `run` with the buffer between two requests.
    ///
    /// # Safety
    ///
    /// The caller must be the only requester, and no request may be open: the last request was answered, or withdrawn
    /// before the handler started.
    unsafe fn with_buffer<R>(&self, run: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: by the table in the module docs, the requester owns the buffer in the phases `IDLE` and `FILLED`. The
        // `# Safety` section says that the caller is the requester and that no request is open, so the phase is one of
        // the two.
        self.buffer.with_mut(|buffer| run(unsafe { &mut *buffer }))
    }

    /// Posts a request to a thread. The caller sends the signal after this.
    ///
    /// # Safety
    ///
    /// The caller must be the only requester, and no request may be open.
    unsafe fn post_request(&self, thread: u64) {
        // Release: the handler sees the buffer as the requester prepared it.
        self.state.store(thread << 2 | REQUESTED, Ordering::Release);
    }

    /// Returns `true` if the last request was answered.
    pub(super) fn is_answered(&self) -> bool {
        // Acquire: the requester sees the writes of the handler.
        self.state.load(Ordering::Acquire) & 0b11 == FILLED
    }

    /// Returns `true` if the last request was answered by this thread.
    pub(super) fn was_answered_by(&self, thread: u64) -> bool {
        self.state.load(Ordering::Relaxed) == thread << 2 | FILLED
    }

    /// Withdraws the request if the handler has not started. Returns `Ok` if the request was answered.
    ///
    /// # Safety
    ///
    /// The caller must be the only requester.
    unsafe fn withdraw(&self) -> Result<(), RequestError> {
        // Relaxed: if the request was answered, `is_answered`, called below, synchronises with the handler.
        let state = self.state.load(Ordering::Relaxed);
        if state & 0b11 == REQUESTED {
            let withdrawn =
                self.state
                    .compare_exchange(state, IDLE, Ordering::Relaxed, Ordering::Relaxed);
            if withdrawn.is_ok() {
                return Err(RequestError::NotStarted);
            }
        }
        match self.is_answered() {
            true => Ok(()),
            false => Err(RequestError::Unfinished),
        }
    }

    // The handler's side.

    /// Calls `fill` with the buffer if a request to this thread is open. `thread` is the number of the calling thread.
    pub(super) fn answer(&self, thread: u64, fill: impl FnOnce(&mut T)) {
        let (requested, filling) = (thread << 2 | REQUESTED, thread << 2 | FILLING);
        let exchanged =
            self.state
                .compare_exchange(requested, filling, Ordering::Acquire, Ordering::Relaxed);
        if exchanged.is_err() {
            return;
        }
        // SAFETY: this exchange has set the phase to `FILLING`. By the table in the module docs, only the handler that
        // set this phase owns the buffer, until it sets the phase to `FILLED` below.
        self.buffer.with_mut(|buffer| fill(unsafe { &mut *buffer }));
        self.state.store(thread << 2 | FILLED, Ordering::Release);
    }
}

#[cfg(all(test, tasktrace_loom))]
mod model;
