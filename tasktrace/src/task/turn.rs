//! What a poller has to know before it begins the next poll, in one word.
//!
//! A poll is *usual* if there is nothing to be said of it: it is on the same thread as the last, outside of
//! any other task, and nobody wants anything. Then the word is what the [thread](super::thread)
//! expects it to be, so one comparison tells.
//!
//! Everybody changes bits of it with read-modify-write operations, which are in one order: so of any two
//! that do, one knows what the other has done. Only who has the record to himself stores it.

use crate::sync::{AtomicU32, Ordering};

/// Somebody waits for a trace. Set by askers, with the queue locked.
pub(crate) const CAPTURE: u32 = 1;
/// A requester is about to wake the task, or has woken it. Set right before the wake, and cleared by the next poll.
pub(crate) const PROBE: u32 = 1 << 1;
/// Frames have ended elsewhere. Set by who dropped them, with the list of them locked.
pub(crate) const GONE: u32 = 1 << 2;
/// The last poll has panicked. Set by the poller, as are the others that follow.
pub(crate) const PANICKED: u32 = 1 << 3;
/// The future has resolved, or is gone.
pub(crate) const FINISHED: u32 = 1 << 4;
/// Askers may have the waker on loan. Set by them, with the queue locked.
pub(crate) const LENT: u32 = 1 << 5;
/// There is a waker.
pub(crate) const WAKER: u32 = 1 << 6;
/// The last poll was in one of another task.
pub(crate) const NESTED: u32 = 1 << 7;

/// The rest is the number of the thread that has begun the last poll.
const THREAD: u32 = 8;

/// What is usual on a thread that has no number. It is none that a word ever is: a task that has finished is
/// not polled.
pub(crate) const NEVER: u32 = u32::MAX;

// So whatever is the same as what is usual on some thread says that there is a waker.
const _: () = assert!(NEVER & WAKER != 0 && NEVER & FINISHED != 0);

/// The highest number that a thread can have.
pub(crate) const MOST_THREADS: u32 = u32::MAX >> THREAD;

/// What has become of the future.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It can be polled.
    Good,
    /// Its last poll has panicked. It can be polled.
    Panicked,
    /// It has resolved, or is gone.
    Finished,
}

/// See the module.
pub(crate) struct Turn(AtomicU32);

impl Turn {
    pub(crate) fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// What it is before a usual poll on the thread of this number.
    pub(crate) const fn usual(thread: u32) -> u32 {
        Self::on(thread) | WAKER
    }

    /// What it is on the thread of this number when there is nothing else.
    pub(crate) const fn on(thread: u32) -> u32 {
        thread << THREAD
    }

    /// The number of the thread that is in such a word.
    #[inline]
    pub(crate) const fn thread_in(word: u32) -> u32 {
        word >> THREAD
    }

    /// The number of the thread that has begun the last poll. 0 if none has.
    pub(crate) fn thread(&self) -> u32 {
        Self::thread_in(self.0.load(Ordering::Relaxed))
    }

    /// Acquire: what others did before they changed it is seen.
    #[inline]
    pub(crate) fn get(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }

    #[inline]
    pub(crate) fn has(&self, bits: u32) -> bool {
        self.get() & bits != 0
    }

    #[inline]
    pub(crate) fn standing(&self) -> Standing {
        match self.get() & (FINISHED | PANICKED) {
            0 => Standing::Good,
            PANICKED => Standing::Panicked,
            _ => Standing::Finished,
        }
    }

    /// Whether there is a waker. For the poller, who alone says so.
    #[inline]
    pub(crate) fn has_waker(&self) -> bool {
        self.0.load(Ordering::Relaxed) & WAKER != 0
    }

    /// Sets bits. Returns what it was.
    pub(crate) fn set(&self, bits: u32) -> u32 {
        self.0.fetch_or(bits, Ordering::AcqRel)
    }

    /// Sets a bit that is not set, and that nobody else sets. Returns what it was.
    ///
    /// By addition, which is one instruction.
    #[inline]
    pub(crate) fn set_own(&self, bit: u32) -> u32 {
        self.0.fetch_add(bit, Ordering::AcqRel)
    }

    /// Clears bits. Returns what it was.
    pub(crate) fn clear(&self, bits: u32) -> u32 {
        self.0.fetch_and(!bits, Ordering::AcqRel)
    }

    /// Changes it in one step. Returns what it was.
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

    /// For who has the record to himself.
    #[inline]
    pub(crate) fn store(&self, bits: u32) {
        self.0.store(bits, Ordering::Relaxed);
    }
}
