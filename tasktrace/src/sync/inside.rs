//! The state of this thread inside tasktrace: how many of our locks it holds, and whether it changes what cannot be
//! changed by two at once.
//!
//! The only code of a program that runs there is its allocator. One that asks for a trace is told that there is
//! none: see [`is_inside`].

use std::cell::Cell;
use std::marker::PhantomData;

thread_local! {
    /// How many locks of ours this thread holds.
    static HELD: Cell<u32> = const { Cell::new(0) };

    /// How many [`Inside`]s this thread has.
    static INSIDE: Cell<u32> = const { Cell::new(0) };
}

/// One of the locks that this thread holds.
pub(super) struct Held(PhantomData<*const ()>);

impl Held {
    #[inline]
    pub(super) fn new() -> Self {
        let _ = HELD.try_with(|held| held.set(held.get() + 1));
        Self(PhantomData)
    }
}

impl Drop for Held {
    #[inline]
    fn drop(&mut self) {
        let _ = HELD.try_with(|held| held.set(held.get().wrapping_sub(1)));
    }
}

/// Returns how many locks of ours this thread holds. It is 0 wherever anything is allocated, freed or called that
/// is not ours.
pub(crate) fn held() -> u32 {
    HELD.try_with(Cell::get).unwrap_or(0)
}

/// While there is one, this thread is not to begin what it is in the middle of: to file frames, to walk a stack,
/// to look up symbols.
///
/// Nothing of the program's may run meanwhile, but its allocator.
pub(crate) struct Inside(PhantomData<*const ()>);

impl Inside {
    #[inline]
    pub(crate) fn enter() -> Self {
        let _ = INSIDE.try_with(|inside| inside.set(inside.get() + 1));
        Self(PhantomData)
    }
}

impl Drop for Inside {
    #[inline]
    fn drop(&mut self) {
        let _ = INSIDE.try_with(|inside| inside.set(inside.get().wrapping_sub(1)));
    }
}

/// Returns `true` if this thread was called from the middle of our own code, by an allocator.
#[inline]
pub(crate) fn is_inside() -> bool {
    held() > 0 || INSIDE.try_with(Cell::get).unwrap_or(0) > 0
}
