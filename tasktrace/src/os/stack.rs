//! Measures the room that is left on the stack of the calling thread.

use std::cell::Cell;
use std::mem::MaybeUninit;
use std::ops::Range;

/// The bounds of the stack of this thread.
#[derive(Clone, Copy)]
enum StackBounds {
    NotAsked,
    Unknown,
    Known { start: usize, end: usize },
}

thread_local! {
    static BOUNDS: Cell<StackBounds> = const { Cell::new(StackBounds::NotAsked) };
}

/// Returns the number of bytes that are left on the stack of the calling thread. Returns `None` if it is unknown: the
/// system does not report it, or the thread runs on another stack, such as that of a coroutine.
#[inline(never)]
pub(crate) fn room() -> Option<usize> {
    let here = 0_u8;
    let here = (&raw const here).addr();
    let bounds = BOUNDS.with(|bounds| {
        if let StackBounds::NotAsked = bounds.get() {
            bounds.set(match ask() {
                Some(Range { start, end }) => StackBounds::Known { start, end },
                None => StackBounds::Unknown,
            });
        }
        bounds.get()
    });
    match bounds {
        StackBounds::Known { start, end } if (start..end).contains(&here) => Some(here - start),
        _ => None,
    }
}

/// Asks the system for the bounds of the stack. The stack of the main thread grows, and its bounds are those that it
/// may grow to.
fn ask() -> Option<Range<usize>> {
    let mut attributes = MaybeUninit::uninit();
    let (mut start, mut size) = (std::ptr::null_mut(), 0);
    // SAFETY: `pthread_getattr_np` initialises the attributes, or fails. Only if it succeeds, `pthread_attr_getstack`
    // reads them and writes to `start` and `size`, which are valid for writes, and `pthread_attr_destroy` frees them
    // once.
    let is_known = unsafe {
        let thread = libc::pthread_self();
        libc::pthread_getattr_np(thread, attributes.as_mut_ptr()) == 0 && {
            let got = libc::pthread_attr_getstack(attributes.as_ptr(), &mut start, &mut size);
            libc::pthread_attr_destroy(attributes.as_mut_ptr());
            got == 0
        }
    };
    let start = start.addr();
    is_known.then(|| start..start.saturating_add(size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_is_less_than_the_stack_and_shrinks() {
        #[inline(never)]
        fn deeper() -> usize {
            let large = std::hint::black_box([0_u8; 64 << 10]);
            let room = room().expect("it is known");
            std::hint::black_box(large);
            room
        }
        let thread = std::thread::Builder::new().stack_size(1 << 20);
        let look = || {
            let room = room().expect("it is known");
            assert!((512 << 10..2 << 20).contains(&room), "{room}");
            assert!(deeper() <= room - (64 << 10));
        };
        thread
            .spawn(look)
            .expect("there is memory")
            .join()
            .expect("it is as it should be");
    }
}
