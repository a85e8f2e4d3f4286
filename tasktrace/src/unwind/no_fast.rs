//! Replaces `fast` on other platforms: there is no fast walker, and no cache between walks. `walk_interrupted` passes
//! the copied stack of an interrupted thread on to `image` on Windows, and to `frame_pointers` on macOS.

use std::sync::Arc;

use super::{CallPath, InterruptedThread, Mark, PhysicalFrame, Reach, ReturnAddress, WalkResult};

/// The inputs of a cached walk, of which there is none.
pub(crate) enum WalkInputs {}

/// Returns an address near the stack pointer of the function into which this is inlined.
#[inline(always)]
pub(super) fn stack_pointer() -> usize {
    let local = 0_u8;
    std::ptr::from_ref(std::hint::black_box(&local)).addr()
}

pub(super) fn is_in_function(_: ReturnAddress, _: usize) -> bool {
    false
}

#[cfg(test)]
pub(super) const IS_AVAILABLE: bool = false;

#[derive(Default)]
pub(crate) struct FastWalker;

impl FastWalker {
    pub(crate) fn refresh(&mut self) {}

    #[cfg(test)]
    pub(crate) fn walk(&mut self, _: Mark, _: usize, _: &mut Vec<PhysicalFrame>) -> Reach {
        Reach::Lost
    }

    pub(crate) fn walk_or_reuse(
        &mut self,
        _: Mark,
        _: impl Iterator<Item = Mark> + Clone,
        _: usize,
        _: usize,
        _: &mut Vec<PhysicalFrame>,
    ) -> WalkResult {
        WalkResult::New(Reach::Lost, None)
    }

    pub(crate) fn keep(
        &mut self,
        inputs: WalkInputs,
        _: impl Iterator<Item = Mark>,
        _: &Arc<CallPath>,
    ) {
        match inputs {}
    }

    pub(crate) fn walk_interrupted(
        &mut self,
        thread: &InterruptedThread<'_>,
        mark: Mark,
        limit: usize,
        frames: &mut Vec<PhysicalFrame>,
    ) -> Reach {
        #[cfg(all(windows, target_arch = "x86_64"))]
        return super::image::walk(thread, mark, limit, frames);
        #[cfg(all(target_os = "macos", target_arch = "aarch64"))]
        return super::frame_pointers::walk(thread, mark, limit, frames);
        #[cfg(not(any(
            all(windows, target_arch = "x86_64"),
            all(target_os = "macos", target_arch = "aarch64")
        )))]
        {
            let _ = (thread, mark, limit, frames);
            Reach::Lost
        }
    }
}
