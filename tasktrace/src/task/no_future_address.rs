//! Stores nothing: without the feature `inspect`, no future is read from memory.

use super::erased_future::ErasedFuture;

/// The place of the future of a task, which is not stored.
pub(super) struct FutureAddressCell;

impl FutureAddressCell {
    pub(super) const fn new() -> Self {
        Self
    }

    #[inline(always)]
    pub(super) fn clear(&self) {}

    #[inline(always)]
    pub(super) fn note(&self, _future: &mut dyn ErasedFuture) {}
}
