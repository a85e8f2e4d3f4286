//! Walks the copied stack of an interrupted thread by the unwind tables of Windows, which are in the images of the
//! program and its libraries.
//!
//! * [`function_table`]: finds the function at an address in an image.
//! * [`unwind_info`]: finds the caller of a function from its unwind information.
//! * [`epilog`]: recognises the end of a function, which the unwind information does not describe.
//! * [`loaded`]: finds the images that are loaded.
//!
//! Windows has `RtlVirtualUnwind` for this, which reads the stack through pointers. On a copy, all registers and all
//! words that point into the stack would have to be moved, and a wrong pointer would crash the program. Here each read
//! is checked, so a wrong rule ends the walk.
//!
//! A thread could also be walked while it is suspended. But it may hold the lock of the loader or of the function
//! tables, which a walk takes.

mod epilog;
mod function_table;
#[cfg(all(windows, target_arch = "x86_64"))]
mod loaded;
mod unwind_info;

use std::cell::Cell;

use self::function_table::Image;
use super::{
    InterruptedThread, MAX_MARKED_FRAME, Mark, PhysicalFrame, Reach, ReturnAddress, StackPointer,
};

/// The registers of a function on the stack.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Registers {
    ip: usize,
    /// The general registers, by their numbers in instructions.
    general: [usize; 16],
}

/// The number of the stack pointer among the general registers.
const RSP: usize = 4;

impl Registers {
    fn stack_pointer(&self) -> usize {
        self.general[RSP]
    }

    fn set_stack_pointer(&mut self, to: usize) {
        self.general[RSP] = to;
    }

    /// Removes the top word from the stack and returns it.
    fn pop(&mut self, read: impl Fn(usize) -> Option<usize>) -> Option<usize> {
        let word = read(self.stack_pointer())?;
        self.set_stack_pointer(self.stack_pointer().checked_add(size_of::<usize>())?);
        Some(word)
    }
}

/// Appends the frames of an interrupted thread up to `mark`, leaf first. If the walk is lost, the frames up to that
/// point are correct and stay.
#[cfg(all(windows, target_arch = "x86_64"))]
pub(super) fn walk(
    thread: &InterruptedThread<'_>,
    mark: Mark,
    limit: usize,
    frames: &mut Vec<PhysicalFrame>,
) -> Reach {
    let mut loaded = loaded::LoadedImages::default();
    let reach = walk_in(
        |address| loaded.image_at(address),
        thread,
        mark,
        limit,
        frames,
    );
    // The address of the leaf is that of the instruction that the thread executes next. All others are return
    // addresses, one or more bytes after the start of their call, and symbols are looked up for the byte before. So the
    // address of the leaf is moved by one byte.
    if let Some(leaf) = frames.first_mut() {
        leaf.ip.0 = leaf.ip.0.wrapping_add(1);
    }
    reach
}

/// Does the work of [`walk`]. `image_at` returns the image at an address.
fn walk_in(
    mut image_at: impl FnMut(usize) -> Option<Image>,
    thread: &InterruptedThread<'_>,
    mark: Mark,
    limit: usize,
    frames: &mut Vec<PhysicalFrame>,
) -> Reach {
    let Ok(general) = thread.general.try_into() else {
        return Reach::Lost;
    };
    let mut registers = Registers {
        ip: thread.ip,
        general,
    };
    let is_beyond = Cell::new(false);
    let read = |address: usize| {
        is_beyond.set(thread.is_beyond(address));
        thread.read(address)
    };
    let lost = || match is_beyond.get() {
        true => Reach::Limit,
        false => Reach::Lost,
    };
    while frames.len() < limit {
        let (ip, sp) = (registers.ip, registers.stack_pointer());
        // A caller is looked up by an address within its call, which is one below the return address. The return
        // address itself may be the start of the next function, if the called function does not return.
        let is_leaf = frames.is_empty();
        let image = image_at(ip.wrapping_sub(usize::from(!is_leaf)));
        let unwound = match &image {
            Some(image) => unwind_info::unwind(image, is_leaf, &mut registers, read),
            None => None,
        };
        // Each call has pushed a return address.
        let unwound = unwound.filter(|()| registers.stack_pointer() > sp);
        if unwound.is_some() && registers.stack_pointer() > mark.0 {
            return match mark.distance(StackPointer(sp)) {
                Some(distance) if distance <= MAX_MARKED_FRAME => Reach::Mark,
                _ => Reach::Lost,
            };
        }
        // An address outside of all code is no return address.
        if is_leaf || image.is_some() {
            frames.push(PhysicalFrame {
                ip: ReturnAddress(ip),
                sp: StackPointer(sp),
            });
        }
        match unwound {
            None => return lost(),
            // The first function of a thread has no caller.
            Some(()) if registers.ip == 0 && thread.is_fiber => return Reach::Lost,
            Some(()) if registers.ip == 0 => return Reach::End,
            Some(()) => {}
        }
    }
    Reach::Limit
}

#[cfg(test)]
mod tests;
