//! Packs everything that a poll checks before it starts into one atomic word.
//!
//! A poll takes the *fast path* if nothing has changed since the last one: it runs on the same thread, outside any
//! other task, with the same waker, and nothing is requested of the task. Then the word has the value that the
//! [thread](super::thread) expects, so the poll compares two words and two wakers.
//!
//! The low eight bits are flags, and the upper 24 are the index of the thread that started the last poll:
//!
//! | bits | flag | set by | cleared by |
//! |---|---|---|---|
//! | 0 | [`CAPTURE`] | a requester, with the queue locked | the requester or the poller, with the queue locked |
//! | 1 | [`PROBE`] | a thread that is about to wake the task | the poller, when the next poll starts |
//! | 2 | [`DETACHED`] | a thread that detaches a frame | the poller, before it removes the detached frames |
//! | 3 | [`PANICKED`] | the poller | the poller, when the next poll starts |
//! | 4 | [`FINISHED`] | the poller | none: the next task starts with a new word |
//! | 5 | [`BORROWED`] | a requester, with the queue locked | the last borrower, with the queue locked |
//! | 6 | [`WAKER`] | the poller | the poller |
//! | 7 | [`NESTED`] | the poller | the poller |
//! | 8–31 | the index of a thread | the poller | the poller |
//!
//! Several threads change the word at the same time, each its own bits, and always by a read-modify-write operation.
//! These operations are totally ordered, so of any two threads that change the word, the second sees the change of the
//! first. Only a thread that has the header to itself, before the first or after the last reference, stores the word.

use crate::sync::{AtomicU32, Ordering};

/// A capture is pending. Requesters set this bit while they hold the queue lock.
pub(crate) const CAPTURE: u32 = 1;
/// A thread of tasktrace is about to wake the task, or has woken it. It sets this bit directly before the wake, and the
/// next poll clears it.
pub(crate) const PROBE: u32 = 1 << 1;
/// Frames of the task were detached outside its polls, and are still in the table. The thread that detached a frame
/// sets this bit after it has marked or listed the frame.
pub(crate) const DETACHED: u32 = 1 << 2;
/// The last poll panicked. The poller sets this bit.
pub(crate) const PANICKED: u32 = 1 << 3;
/// The future resolved or was dropped. The poller sets this bit.
pub(crate) const FINISHED: u32 = 1 << 4;
/// A thread may have borrowed the waker. Requesters set this bit while they hold the queue lock.
pub(crate) const BORROWED: u32 = 1 << 5;
/// The header holds a waker. The poller sets and clears this bit.
pub(crate) const WAKER: u32 = 1 << 6;
/// The last poll was inside a poll of another task. The poller sets and clears this bit.
pub(crate) const NESTED: u32 = 1 << 7;

/// The position of the index of the thread that started the last poll.
const THREAD: u32 = 8;

/// A state that no unfinished task has: a thread without an index expects it, so none of its polls takes the fast path.
/// It contains [`FINISHED`], and a finished task is not polled.
pub(crate) const NO_FAST_PATH: u32 = u32::MAX;

// Every expected state contains `WAKER`, so a task whose state equals one has a stored waker.
const _: () = assert!(NO_FAST_PATH & WAKER != 0 && NO_FAST_PATH & FINISHED != 0);

/// The highest index of a thread.
pub(crate) const MAX_THREADS: u32 = u32::MAX >> THREAD;

/// The state of a future between two polls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lifecycle {
    /// The future can be polled.
    Alive,
    /// The last poll panicked. The future can still be polled.
    Panicked,
    /// The future resolved or was dropped.
    Finished,
}

/// Everything that a poll checks before it starts, packed into one atomic word: see the [module](self).
pub(crate) struct PollState(AtomicU32);

impl PollState {
    pub(crate) fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Returns the state in which a poll on this thread takes the fast path.
    pub(crate) const fn fast_path(thread: u32) -> u32 {
        Self::on_thread(thread) | WAKER
    }

    /// Returns the state that has the index of this thread and no flags.
    pub(crate) const fn on_thread(thread: u32) -> u32 {
        thread << THREAD
    }

    /// Returns the index of the thread in a state.
    #[inline]
    pub(crate) const fn thread_of(state: u32) -> u32 {
        state >> THREAD
    }

    /// Returns the index of the thread that started the last poll, and 0 if there was none.
    pub(crate) fn thread(&self) -> u32 {
        Self::thread_of(self.0.load(Ordering::Relaxed))
    }

    /// Loads the state. Acquire: the caller sees everything that other threads did before they set these bits.
    #[inline]
    pub(crate) fn get(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }

    /// Returns `true` if at least one of these bits is set.
    #[inline]
    pub(crate) fn has(&self, bits: u32) -> bool {
        self.get() & bits != 0
    }

    #[inline]
    pub(crate) fn lifecycle(&self) -> Lifecycle {
        match self.get() & (FINISHED | PANICKED) {
            0 => Lifecycle::Alive,
            PANICKED => Lifecycle::Panicked,
            _ => Lifecycle::Finished,
        }
    }

    /// Returns `true` if the header holds a waker. Only the poller calls this: no other thread changes the bit, so a
    /// relaxed load is enough.
    #[inline]
    pub(crate) fn has_waker(&self) -> bool {
        self.0.load(Ordering::Relaxed) & WAKER != 0
    }

    /// Sets these bits, and returns the state before.
    pub(crate) fn set(&self, bits: u32) -> u32 {
        self.0.fetch_or(bits, Ordering::AcqRel)
    }

    /// Sets a bit, and returns the state before. The bit is clear, and only this thread sets it.
    ///
    /// This adds the bit, because a `fetch_add` whose result is used is one instruction, and a `fetch_or` is a loop.
    #[inline]
    pub(crate) fn set_own(&self, bit: u32) -> u32 {
        self.0.fetch_add(bit, Ordering::AcqRel)
    }

    /// Clears these bits, and returns the state before.
    pub(crate) fn clear(&self, bits: u32) -> u32 {
        self.0.fetch_and(!bits, Ordering::AcqRel)
    }

    /// Replaces the state with the result of `change`, in one atomic step, and returns the state before.
    pub(crate) fn change(&self, change: impl Fn(u32) -> u32) -> u32 {
        let mut before = self.get();
        loop {
            let after = change(before);
            let changed =
                self.0
                    .compare_exchange_weak(before, after, Ordering::AcqRel, Ordering::Acquire);
            match changed {
                Ok(_) => return before,
                Err(now) => before = now,
            }
        }
    }

    /// Stores the state. The caller has the header to itself.
    #[inline]
    pub(crate) fn store(&self, state: u32) {
        self.0.store(state, Ordering::Relaxed);
    }
}
