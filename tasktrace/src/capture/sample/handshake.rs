//! One asker, one signal handler, and the room that the handler writes to.
//!
//! | phase | who may use the room | goes on to |
//! |---|---|---|
//! | [`IDLE`] | the asker | `ASKED`, by the asker |
//! | [`ASKED`] of a thread | nobody | `TAKING`, by the handler on that thread; `IDLE`, by an asker who gives up |
//! | [`TAKING`] | the handler | `TAKEN`, by the handler |
//! | [`TAKEN`] | the asker | `ASKED`, by the asker |
//!
//! There is one asker at a time: [`question`](Handshake::question) is `unsafe` and demands it. The number of the thread is
//! part of the state, so a handler that comes late, for a question that was given up, answers a later
//! one only if that is for the same thread, which is as good. A thread that is stopped in the middle
//! of the handler keeps the room: the asker sees that, leaves it all to the handler, and takes
//! another. It can come back when the handler is done: the room is the asker's then, as the table says.

use crate::sync::{AtomicU64, Ordering, UnsafeCell};

const IDLE: u64 = 0;
const ASKED: u64 = 1;
const TAKING: u64 = 2;
const TAKEN: u64 = 3;

pub(super) struct Handshake<T> {
    /// The phase in the lower two bits, the number of the thread in the others.
    state: AtomicU64,
    room: UnsafeCell<T>,
}

// SAFETY: by the table above, the phase gives the room to one thread at a time, and the changes of the phase order
// what one does with it before what the next does. So it is sent from thread to thread, which `T: Send` allows.
unsafe impl<T: Send> Sync for Handshake<T> {}

/// Why a question has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unanswered {
    /// The handler has not begun, and will not.
    NotBegun,
    /// The handler is in the middle of it: the room is its own.
    Unfinished,
}

impl<T> Handshake<T> {
    pub(super) fn new(room: T) -> Self {
        Self {
            state: AtomicU64::new(IDLE),
            room: UnsafeCell::new(room),
        }
    }

    // The asker's side.

    /// Asks a thread. Calls `prepare` with the room, `wait`, in which the caller sends the signal and waits, and, if there
    /// is an answer by then, `read` with the room.
    ///
    /// # Safety
    ///
    /// The caller is the only asker, and none of its questions has ended with [`Unanswered::Unfinished`] before, unless
    /// it was [answered](Self::is_answered) since.
    pub(super) unsafe fn question<R>(
        &self,
        thread: u64,
        prepare: impl FnOnce(&mut T),
        wait: impl FnOnce(),
        read: impl FnOnce(&mut T) -> R,
    ) -> Result<R, Unanswered> {
        // SAFETY: the `# Safety` section says that the caller is the asker, and that no earlier question is open.
        unsafe {
            self.with_room(prepare);
            self.ask(thread);
        }
        wait();
        // SAFETY: as above, the caller is the asker. It uses the room only if `give_up` says that this question was
        // answered.
        unsafe {
            self.give_up()?;
            Ok(self.with_room(read))
        }
    }

    /// Uses the room between two questions.
    ///
    /// # Safety
    ///
    /// The caller is the asker, and none of its questions is open: the last was answered or has not
    /// begun.
    unsafe fn with_room<R>(&self, run: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: by the table above, the asker may use the room in the phases `IDLE` and `TAKEN`. The `# Safety` section
        // says that the caller is the asker, and that none of its questions is open, so the phase is one of these.
        self.room.with_mut(|room| run(unsafe { &mut *room }))
    }

    /// Asks a thread, which is to be sent the signal next.
    ///
    /// # Safety
    ///
    /// As of [`with_room`](Self::with_room).
    unsafe fn ask(&self, thread: u64) {
        // Release: the handler sees the room as the asker has left it.
        self.state.store(thread << 2 | ASKED, Ordering::Release);
    }

    pub(super) fn is_answered(&self) -> bool {
        // Acquire: the asker sees what the handler wrote.
        self.state.load(Ordering::Acquire) & 0b11 == TAKEN
    }

    /// Whether the last question was answered, and by this thread.
    pub(super) fn was_answered_by(&self, thread: u64) -> bool {
        self.state.load(Ordering::Relaxed) == thread << 2 | TAKEN
    }

    /// Does not wait for the answer any longer.
    ///
    /// # Safety
    ///
    /// The caller is the asker.
    unsafe fn give_up(&self) -> Result<(), Unanswered> {
        // Relaxed: if it is an answer, `is_answered` sees it.
        let state = self.state.load(Ordering::Relaxed);
        if state & 0b11 == ASKED {
            let given_up =
                self.state
                    .compare_exchange(state, IDLE, Ordering::Relaxed, Ordering::Relaxed);
            if given_up.is_ok() {
                return Err(Unanswered::NotBegun);
            }
        }
        match self.is_answered() {
            true => Ok(()),
            false => Err(Unanswered::Unfinished),
        }
    }

    // The handler's side.

    /// Answers, if this thread is asked. `thread` is its number.
    pub(super) fn answer(&self, thread: u64, fill: impl FnOnce(&mut T)) {
        let (asked, taking) = (thread << 2 | ASKED, thread << 2 | TAKING);
        let exchanged =
            self.state
                .compare_exchange(asked, taking, Ordering::Acquire, Ordering::Relaxed);
        if exchanged.is_err() {
            return;
        }
        // SAFETY: the exchange has made the phase `TAKING`, in which, by the table above, only the handler that made it
        // so uses the room.
        self.room.with_mut(|room| fill(unsafe { &mut *room }));
        self.state.store(thread << 2 | TAKEN, Ordering::Release);
    }
}

#[cfg(all(test, tasktrace_loom))]
mod model;
