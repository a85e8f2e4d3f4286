//! Walking with the platform's own unwinder: slower, but wherever `backtrace` works.

use super::{LARGEST_MARKED_FRAME, Mark, PhysicalFrame, Reach, ReturnAddress, StackPointer};
use crate::sync::fork::Section;

/// Replaces the content of `frames` by those from the caller up to `mark`, leaf first.
pub(super) fn walk(mark: Mark, limit: usize, frames: &mut Vec<PhysicalFrame>) -> Reach {
    frames.clear();
    let mut reach = Reach::Lost;
    // It takes the lock of its crate.
    let _section = Section::enter();
    backtrace::trace(|frame| {
        let frame = PhysicalFrame {
            ip: ReturnAddress(frame.ip().addr()),
            sp: StackPointer(frame.sp().addr()),
        };
        // The stack may have been switched on the way, to one at a higher or at a lower address.
        // So the only sure sign is to come close to the mark from below and then to pass it.
        let holds_the_mark = frames.last().is_some_and(|below: &PhysicalFrame| {
            mark.distance(below.sp)
                .is_some_and(|distance| distance <= LARGEST_MARKED_FRAME)
                && !mark.is_above(frame)
        });
        if holds_the_mark {
            frames.pop();
            reach = Reach::Mark;
            return false;
        }
        if frames.len() == limit {
            reach = Reach::Limit;
            return false;
        }
        frames.push(frame);
        true
    });
    reach
}
