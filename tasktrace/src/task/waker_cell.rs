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

    /// Returns `true` if it is the same waker. Calls nobody's code.
    ///
    /// # Safety
    ///
    /// The caller is the poller, and there is a waker.
    #[inline]
    pub(super) unsafe fn has(&self, waker: &Waker) -> bool {
        // SAFETY: the caller asserts that there is a waker, and that it is the poller. Only the poller writes, so nobody writes
        // during this read.
        self.0
            .with(|known| unsafe { (*known).assume_init_ref().will_wake(waker) })
    }

    /// Takes the waker out.
    ///
    /// # Safety
    ///
    /// The caller has the place to himself, and there is a waker in it.
    pub(super) unsafe fn take(&self) -> Waker {
        // SAFETY: the caller asserts that there is a waker, and that nobody else uses the place. From now on there is none in it,
        // so it is read once.
        self.0
            .with_mut(|known| unsafe { (*known).assume_init_read() })
    }

    /// Puts a waker in.
    ///
    /// # Safety
    ///
    /// The caller has the place to himself, and there is nothing in it.
    pub(super) unsafe fn put(&self, waker: Waker) {
        // SAFETY: the caller asserts that nobody else uses the place, so nobody reads during this write.
        self.0.with_mut(|known| unsafe { (*known).write(waker) });
    }

    /// Returns a copy of the waker, which is not dropped.
    ///
    /// # Safety
    ///
    /// There is a waker. Nobody writes meanwhile, or drops the waker before the copy was used for the last time.
    pub(super) unsafe fn borrow(&self) -> ManuallyDrop<Waker> {
        // SAFETY: the caller asserts that there is a waker, and that nobody writes or drops it before the copy was used for the
        // last time. The copy has the data and the table of a valid waker, and `ManuallyDrop` keeps it from giving them back
        // a second time.
        self.0.with(|waker| unsafe {
            let waker = (*waker).assume_init_ref();
            ManuallyDrop::new(Waker::from_raw(RawWaker::new(waker.data(), waker.vtable())))
        })
    }
}
