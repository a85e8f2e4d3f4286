//! Where there is no fast walker, there is nothing to keep between walks.

use super::{Mark, PhysicalFrame, Reach};

#[derive(Default)]
pub(crate) struct FastWalker;

impl FastWalker {
    pub(crate) fn refresh(&mut self) {}

    pub(crate) fn walk(&mut self, _: Mark, _: usize, _: &mut Vec<PhysicalFrame>) -> Reach {
        Reach::Lost
    }
}
