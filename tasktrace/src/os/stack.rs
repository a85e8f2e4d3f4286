//! The room that is left on the stack of the calling thread.

use std::cell::Cell;
use std::mem::MaybeUninit;
use std::ops::Range;

/// Where the stack of a thread is.
#[derive(Clone, Copy)]
enum Bounds {
    NotAsked,
    Unknown,
    Known { start: usize, end: usize },
}

thread_local! {
    static BOUNDS: Cell<Bounds> = const { Cell::new(Bounds::NotAsked) };
}

/// The bytes that are left on the stack of the calling thread. `None` if that is not known: the system does not tell,
/// or the thread is on another stack than its own, such as a coroutine's.
#[inline(never)]
pub(crate) fn room() -> Option<usize> {
    let here = 0_u8;
    let here = (&raw const here).addr();
    let bounds = BOUNDS.with(|bounds| {
        if let Bounds::NotAsked = bounds.get() {
            bounds.set(match ask() {
                Some(Range { start, end }) => Bounds::Known { start, end },
                None => Bounds::Unknown,
            });
        }
        bounds.get()
    });
    match bounds {
        Bounds::Known { start, end } if (start..end).contains(&here) => Some(here - start),
        _ => None,
    }
}

/// The stack of the main thread grows: its bounds are those up to which it may.
fn ask() -> Option<Range<usize>> {
    let mut attributes = MaybeUninit::uninit();
    let (mut start, mut size) = (std::ptr::null_mut(), 0);
    // SAFETY: the first writes the attributes of the calling thread, or fails. Only if it has not failed, the second
    // reads them and writes two values, each of which has a place, and the third frees what they hold, once.
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
