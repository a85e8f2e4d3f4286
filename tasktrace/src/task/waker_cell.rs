//! Stores the waker of a task, and lends it without cloning it.

use std::mem::{ManuallyDrop, MaybeUninit};
use std::task::{RawWaker, Waker};

use crate::sync::UnsafeCell;

/// The waker of a task. The cell contains one while the flag [`WAKER`](super::poll_state::WAKER) of the task is set.
///
/// The module [`requests`](super::requests) says which thread may access the cell, and when.
pub(crate) struct WakerCell(UnsafeCell<MaybeUninit<Waker>>);

impl WakerCell {
    pub(crate) fn new() -> Self {
        Self(UnsafeCell::new(MaybeUninit::uninit()))
    }

    /// Returns `true` if the cell contains this waker. Runs no foreign code.
    ///
    /// # Safety
    ///
    /// The caller must be the poller, and the cell must contain a waker.
    #[inline]
    pub(super) unsafe fn contains(&self, waker: &Waker) -> bool {
        // SAFETY: the caller asserts that the cell contains a waker, and that it is the poller. Only the poller writes
        // to the cell, so no thread writes during this read.
        self.0
            .with(|known| unsafe { (*known).assume_init_ref().will_wake(waker) })
    }

    /// Takes the waker out of the cell.
    ///
    /// # Safety
    ///
    /// No other thread may access the cell during this call, and the cell must contain a waker.
    pub(super) unsafe fn take(&self) -> Waker {
        // SAFETY: the caller asserts that the cell contains a waker, and that no other thread accesses it. From now on
        // the cell counts as empty, so the waker is read out once.
        self.0
            .with_mut(|known| unsafe { (*known).assume_init_read() })
    }

    /// Puts a waker into the cell.
    ///
    /// # Safety
    ///
    /// No other thread may access the cell during this call, and the cell must contain no waker.
    pub(super) unsafe fn put(&self, waker: Waker) {
        // SAFETY: the caller asserts that no other thread accesses the cell, so no thread reads during this write.
        self.0.with_mut(|known| unsafe { (*known).write(waker) });
    }

    /// Returns a bitwise copy of the waker, which is not dropped.
    ///
    /// # Safety
    ///
    /// The cell must contain a waker. No thread may write to the cell during this call, and none may drop the waker
    /// before the last use of the copy.
    pub(super) unsafe fn borrow(&self) -> ManuallyDrop<Waker> {
        // SAFETY: the caller asserts that the cell contains a waker, that no thread writes to the cell now, and that
        // none drops the waker before the last use of the copy. So the data and the table of the copy are those of a
        // waker that is still valid, and `ManuallyDrop` keeps the copy from releasing them a second time.
        self.0.with(|waker| unsafe {
            let waker = (*waker).assume_init_ref();
            ManuallyDrop::new(Waker::from_raw(RawWaker::new(waker.data(), waker.vtable())))
        })
    }
}
