//! Walks the stack with the platform's unwinder, which is slower and works wherever the `backtrace` crate does.

use super::{MAX_MARKED_FRAME, Mark, PhysicalFrame, Reach, ReturnAddress, StackPointer};
use crate::sync::fork::NoForkSection;

/// Replaces the content of `frames` with the frames from the caller up to `mark`, leaf first.
pub(super) fn walk(mark: Mark, limit: usize, frames: &mut Vec<PhysicalFrame>) -> Reach {
    frames.clear();
    let mut reach = Reach::Lost;
    // `backtrace::trace` takes the lock of its crate, which must not be locked in a child of `fork`.
    let _section = NoForkSection::enter();
    backtrace::trace(|frame| {
        let frame = PhysicalFrame {
            ip: ReturnAddress(frame.ip().addr()),
            sp: StackPointer(frame.sp().addr()),
        };
        // The stack may have been switched to one at a higher or a lower address. So the walk has reached the marked
        // function only if one frame is close below the mark and the next frame is above it.
        let holds_the_mark = frames.last().is_some_and(|below: &PhysicalFrame| {
            mark.distance(below.sp)
                .is_some_and(|distance| distance <= MAX_MARKED_FRAME)
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
