//! The place for the waker of a task.

use std::mem::{ManuallyDrop, MaybeUninit};
use std::task::{RawWaker, Waker};

use crate::sync::UnsafeCell;

/// The place for the waker of a task. There is one in it while the word of the task says `WAKER`.
pub(crate) struct WakerCell(UnsafeCell<MaybeUninit<Waker>>);

impl WakerCell {
    pub(crate) fn new() -> Self {
        Self(UnsafeCell::new(MaybeUninit::uninit()))
    }

    /// Whether it is the same waker, without calling anybody's code.
    ///
    /// # Safety
    ///
    /// The caller is the poller, and there is a waker.
    #[inline]
    pub(super) unsafe fn has(&self, waker: &Waker) -> bool {
        // SAFETY: as asserted by the caller, there is one; only the poller writes, and that is who is
        // reading.
        self.0
            .with(|known| unsafe { (*known).assume_init_ref().will_wake(waker) })
    }

    /// # Safety
    ///
    /// The caller has the place to himself, and there is a waker in it, which is taken.
    pub(super) unsafe fn take(&self) -> Waker {
        // SAFETY: as asserted by the caller.
        self.0
            .with_mut(|known| unsafe { (*known).assume_init_read() })
    }

    /// # Safety
    ///
    /// The caller has the place to himself, and there is nothing in it.
    pub(super) unsafe fn put(&self, waker: Waker) {
        // SAFETY: as asserted by the caller.
        self.0.with_mut(|known| unsafe { (*known).write(waker) });
    }

    /// A copy of the waker, which is not dropped.
    ///
    /// # Safety
    ///
    /// There is a waker. Nobody writes meanwhile, or drops the waker before the copy was used for the last time.
    pub(super) unsafe fn borrow(&self) -> ManuallyDrop<Waker> {
        // SAFETY: as asserted by the caller.
        self.0.with(|waker| unsafe {
            let waker = (*waker).assume_init_ref();
            ManuallyDrop::new(Waker::from_raw(RawWaker::new(waker.data(), waker.vtable())))
        })
    }
}
