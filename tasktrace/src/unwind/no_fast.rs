//! Where there is no fast walker, there is nothing to keep between walks.

use super::{Interrupted, Known, Mark, PhysicalFrame, Reach, ReturnAddress};

/// About the stack pointer of the function into which this is inlined.
#[inline(always)]
pub(super) fn stack_pointer() -> usize {
    let local = 0_u8;
    std::ptr::from_ref(std::hint::black_box(&local)).addr()
}

pub(super) fn is_in_function(_: ReturnAddress, _: usize) -> bool {
    false
}

#[cfg(test)]
pub(super) const IS_THERE: bool = false;

#[derive(Default)]
pub(crate) struct FastWalker;

impl FastWalker {
    pub(crate) fn refresh(&mut self) {}

    #[cfg(test)]
    pub(crate) fn walk(&mut self, _: Mark, _: usize, _: &mut Vec<PhysicalFrame>) -> Reach {
        Reach::Lost
    }

    pub(crate) fn walk_or_know(
        &mut self,
        _: Mark,
        _: usize,
        _: usize,
        _: &mut Vec<PhysicalFrame>,
    ) -> (Reach, bool) {
        (Reach::Lost, false)
    }

    pub(crate) fn last_known(&mut self) -> Option<&mut Known> {
        None
    }

    pub(crate) fn walk_interrupted(
        &mut self,
        _: &Interrupted<'_>,
        _: Mark,
        _: usize,
        _: &mut Vec<PhysicalFrame>,
    ) -> Reach {
        Reach::Lost
    }
}
