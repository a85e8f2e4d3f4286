//! Sends one answer from one thread to another, which blocks for it or polls for it.
//!
//! This differs from other oneshot channels in two ways. A thread can wait for an answer with a deadline as well as
//! poll for it. And a requester that sends many requests can make its channels as a [`ChannelBatch`]: one allocation
//! serves many of them, and the requester is woken only for the answer that it waits for.
//!
//! A channel has a [`Sender`], which sends one answer or none, and a [`Receiver`]. Between them is an [`AnswerCell`]
//! whose state only goes forward:
//!
//! | from | to | by |
//! |---|---|---|
//! | `EMPTY` | `AWAITED` | the receiver, with `receiver_waker` locked, before it waits |
//! | `EMPTY`, `AWAITED` | `SENT` | the sender, after it has written the answer |
//! | `SENT` | `TAKEN` | the receiver, before it reads the answer |
//!
//! # No answer is missed
//!
//! A receiver that finds no answer locks `receiver_waker`, stores its waker there if it has one, and changes the state
//! to `AWAITED`. If that fails, the answer has been sent. If it succeeds, the sender will find `AWAITED` and notify the
//! receiver. It locks `receiver_waker` to do so, and thus notifies after the waker was stored, or after the thread has
//! begun to wait on the condition variable, which unlocks.
//!
//! # Cost for the sender
//!
//! One swap, if the receiver does not wait for this answer. To notify a thread takes a system call, and most answers to
//! a dump come while the dump waits for some other task.

use std::sync::PoisonError;
use std::task::{Poll, Waker};

use crate::os::time::Instant;
use crate::sync::{Arc, AtomicU8, Condvar, Mutex, Ordering, UnsafeCell, lock};

/// The reason why a request will never get a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CaptureError {
    /// The future resolved or was dropped.
    Finished,
    /// The poll that was to answer the request panicked.
    Panicked,
    /// The executor of the task accepts only its own wakers.
    OwnWakers,
    /// The stack on which the task is polled is too small for a capture.
    NoRoom,
}

/// No answer has been sent, and the receiver does not wait for it.
const EMPTY: u8 = 0;
/// The receiver waits for the answer, and must be notified.
const AWAITED: u8 = 1;
/// The answer has been written.
const SENT: u8 = 2;
/// The receiver has read the answer, or is reading it.
const TAKEN: u8 = 3;

/// The state and the answer of one channel.
struct AnswerCell<T> {
    state: AtomicU8,
    answer: UnsafeCell<Option<Result<T, CaptureError>>>,
}

/// The allocation that the channels of a batch share.
struct SharedCells<T> {
    cells: Box<[AnswerCell<T>]>,
    /// The waker of the requester, which waits for one of the answers at a time.
    receiver_waker: Mutex<Option<Waker>>,
    /// Notifies a requester that blocks.
    sent: Condvar,
}

// SAFETY: only `answer` is not `Sync` itself. A cell has one `Sender`, because `ends` is called once for each index, as
// it requires. The sender writes the answer once, before it changes the state to `SENT`. Only the receiver that changes
// `SENT` to `TAKEN` reads the answer, so once and after the write. The two changes synchronise (release and acquire).
// An answer is moved from one thread to another, hence `T: Send`.
unsafe impl<T: Send> Sync for SharedCells<T> {}
// SAFETY: a `SharedCells` owns its answers, which are `Send`, and its other fields are `Send` themselves.
unsafe impl<T: Send> Send for SharedCells<T> {}

impl<T> SharedCells<T> {
    fn new(length: usize) -> Arc<Self> {
        let cell = |_| AnswerCell {
            state: AtomicU8::new(EMPTY),
            answer: UnsafeCell::new(None),
        };
        Arc::new(Self {
            cells: (0..length).map(cell).collect(),
            receiver_waker: Mutex::new(None),
            sent: Condvar::new(),
        })
    }

    /// Returns the two ends of the channel with this index.
    ///
    /// # Safety
    ///
    /// The caller must call this at most once for each index of the cells.
    unsafe fn ends(cells: &Arc<Self>, index: usize) -> (Sender<T>, Receiver<T>) {
        let sender = Sender {
            cells: Arc::clone(cells),
            index,
        };
        let receiver = Receiver {
            cells: Arc::clone(cells),
            index,
        };
        (sender, receiver)
    }
}

/// Creates a channel for one answer.
pub(crate) fn channel<T>() -> (Sender<T>, Receiver<T>) {
    // SAFETY: the cells are new, and this is the only call for them.
    unsafe { SharedCells::ends(&SharedCells::new(1), 0) }
}

/// The most channels that share an allocation. It is freed when the last end of these channels is dropped.
const MAX_IN_BATCH: usize = 64;

/// Creates channels for many answers to one requester.
pub(crate) struct ChannelBatch<T> {
    /// The number of channels that are expected beyond those of `cells`.
    left: usize,
    cells: Arc<SharedCells<T>>,
    /// The number of cells that already have a channel.
    used: usize,
}

impl<T> ChannelBatch<T> {
    /// Prepares this many channels. More can be made.
    pub(crate) fn new(count: usize) -> Self {
        let length = count.clamp(1, MAX_IN_BATCH);
        Self {
            left: count.saturating_sub(length),
            cells: SharedCells::new(length),
            used: 0,
        }
    }

    /// Creates the next channel.
    pub(crate) fn channel(&mut self) -> (Sender<T>, Receiver<T>) {
        if self.used == self.cells.cells.len() {
            *self = Self::new(self.left);
        }
        self.used += 1;
        // SAFETY: `used` counts the cells whose ends were returned. It has just grown, so this is the first call for
        // this index. Only this batch creates channels of its cells.
        unsafe { SharedCells::ends(&self.cells, self.used - 1) }
    }
}

/// Sends the answer of a channel.
pub(crate) struct Sender<T> {
    cells: Arc<SharedCells<T>>,
    index: usize,
}

impl<T> Sender<T> {
    /// Sends the answer, and notifies the receiver if it waits.
    pub(crate) fn send(self, answer: Result<T, CaptureError>) {
        let Self { cells, index } = &self;
        let cell = &cells.cells[*index];
        cell.answer.with_mut(|place| {
            // SAFETY: this is the only sender of the cell, because `ends` is called once for each index, and `send`
            // consumes it. So this is the only write. The receiver does not read before the state is `SENT`, which the
            // swap below sets.
            unsafe { *place = Some(answer) };
        });
        // Release: the receiver that takes the answer sees it. Acquire: if the receiver waits, its waker is visible
        // here.
        if cell.state.swap(SENT, Ordering::AcqRel) == AWAITED {
            let waker = lock(&cells.receiver_waker).take();
            cells.sent.notify_all();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    /// Returns `true` if this sender and `receiver` are the ends of one channel.
    pub(super) fn is_connected_to(&self, receiver: &Receiver<T>) -> bool {
        Arc::ptr_eq(&self.cells, &receiver.cells) && self.index == receiver.index
    }
}

/// Receives the answer of a channel.
pub(crate) struct Receiver<T> {
    cells: Arc<SharedCells<T>>,
    index: usize,
}

impl<T> Receiver<T> {
    fn cell(&self) -> &AnswerCell<T> {
        &self.cells.cells[self.index]
    }

    /// Returns `true` if the answer has been sent.
    pub(crate) fn is_ready(&self) -> bool {
        self.cell().state.load(Ordering::Acquire) >= SENT
    }

    /// Takes the answer, if it has been sent and was not taken before.
    pub(crate) fn take(&self) -> Option<Result<T, CaptureError>> {
        let AnswerCell { state, answer } = self.cell();
        // Acquire: the answer is visible.
        let taken = state.compare_exchange(SENT, TAKEN, Ordering::Acquire, Ordering::Relaxed);
        // SAFETY: the exchange succeeds once, so no other thread reads the answer. The sender wrote it before it set
        // `SENT`, and writes no more.
        taken
            .ok()
            .and_then(|_| answer.with_mut(|answer| unsafe { &mut *answer }.take()))
    }

    /// Requests a notification, if the answer has not been sent. Returns `true` if the sender will notify.
    ///
    /// The caller holds the lock of `receiver_waker`.
    fn request_notification(&self) -> bool {
        let requested = self.cell().state.compare_exchange(
            EMPTY,
            AWAITED,
            // Release: the sender sees the waker that the caller has stored.
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        matches!(requested, Ok(_) | Err(AWAITED))
    }

    /// Returns the answer, or arranges that `waker` is woken when it is sent.
    ///
    /// The caller passes a clone of the waker of its context: that call of `clone` makes this poll a leaf of the task.
    pub(crate) fn poll(&self, waker: Waker) -> Poll<Result<T, CaptureError>> {
        let mut receiver_waker = lock(&self.cells.receiver_waker);
        let replaced = receiver_waker.replace(waker);
        let will_notify = self.request_notification();
        let unneeded = if will_notify {
            None
        } else {
            receiver_waker.take()
        };
        drop(receiver_waker);
        drop((replaced, unneeded));
        match self.take() {
            Some(answer) => Poll::Ready(answer),
            None => Poll::Pending,
        }
    }

    /// Blocks until the answer is sent, or until `deadline`. Returns `true` if it was sent.
    pub(crate) fn wait(&self, deadline: Option<Instant>) -> bool {
        if self.is_ready() {
            return true;
        }
        let mut receiver_waker = lock(&self.cells.receiver_waker);
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return self.is_ready();
            }
            if !self.request_notification() {
                return true;
            }
            let sent = &self.cells.sent;
            receiver_waker = match left {
                None => sent
                    .wait(receiver_waker)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(left) => {
                    let waited = sent.wait_timeout(receiver_waker, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}

#[cfg(all(test, tasktrace_loom))]
mod model;

#[cfg(all(test, not(tasktrace_loom)))]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_dropped_sender_leaves_the_receiver_without_an_answer() {
        let (sender, receiver) = channel::<u32>();
        assert!(!receiver.wait(Some(Instant::now() + Duration::from_millis(1))));
        assert!(receiver.poll(Waker::noop().clone()).is_pending());
        drop(sender);
        assert!(!receiver.is_ready());
        assert_eq!(receiver.take(), None);
    }

    #[test]
    fn channels_of_a_batch_do_not_share_a_cell() {
        for count in [0, 1, MAX_IN_BATCH - 1, MAX_IN_BATCH, 3 * MAX_IN_BATCH + 1] {
            let mut batch = ChannelBatch::new(count);
            // One more than were announced.
            let channels: Vec<_> = (0..=count).map(|_| batch.channel()).collect();
            let (senders, receivers): (Vec<_>, Vec<_>) = channels.into_iter().unzip();
            for (at, sender) in senders.into_iter().enumerate().rev() {
                assert!(sender.is_connected_to(&receivers[at]));
                assert!(
                    !sender.is_connected_to(&receivers[(at + 1) % receivers.len()]) || count == 0
                );
                sender.send(Ok(at));
            }
            for (at, receiver) in receivers.iter().enumerate() {
                assert!(receiver.is_ready());
                assert_eq!(receiver.take(), Some(Ok(at)));
            }
        }
    }
}
