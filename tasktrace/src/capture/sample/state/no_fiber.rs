//! Replaces `fiber` on systems without fibers.

use super::SuspendedThread;

/// The block of a thread, which is not needed.
#[derive(Debug, Default)]
pub(super) struct ThreadBlock(());

impl ThreadBlock {
    pub(super) fn set(&self) {}

    pub(super) fn is_fiber(&self, _: &SuspendedThread<'_>) -> bool {
        false
    }
}
