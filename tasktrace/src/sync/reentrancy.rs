//! Tracks whether a thread is inside this crate's own code: how many locks it holds, and whether it does non-reentrant
//! work.
//!
//! The only code of a program that is called from there is its allocator. If that requests a trace, it gets none: see
//! [`is_reentrant`].

use std::cell::Cell;
use std::marker::PhantomData;

thread_local! {
    /// The number of locks that this thread holds: those of tasktrace, and the loader's lock while it lists modules.
    static LOCKS_HELD: Cell<u32> = const { Cell::new(0) };

    /// The number of [`ReentrancyGuard`]s of this thread.
    static GUARDS: Cell<u32> = const { Cell::new(0) };
}

/// Counts a lock that this thread holds.
pub(crate) struct HeldLock(PhantomData<*const ()>);

impl HeldLock {
    #[inline]
    pub(crate) fn new() -> Self {
        let _ = LOCKS_HELD.try_with(|locks_held| locks_held.set(locks_held.get() + 1));
        Self(PhantomData)
    }
}

impl Drop for HeldLock {
    #[inline]
    fn drop(&mut self) {
        let _ = LOCKS_HELD.try_with(|locks_held| locks_held.set(locks_held.get().wrapping_sub(1)));
    }
}

/// Returns the number of locks that this thread holds: those of tasktrace, and the loader's lock while it lists
/// modules. It is 0 wherever memory is allocated or freed, or code of the program is called.
pub(crate) fn locks_held() -> u32 {
    LOCKS_HELD.try_with(Cell::get).unwrap_or(0)
}

/// Marks non-reentrant work, which this thread must not begin again before it has ended: to register frames, to walk a
/// stack, to look up symbols.
///
/// Meanwhile the only code of the program that may run on this thread is its allocator.
pub(crate) struct ReentrancyGuard(PhantomData<*const ()>);

impl ReentrancyGuard {
    #[inline]
    pub(crate) fn enter() -> Self {
        let _ = GUARDS.try_with(|inside| inside.set(inside.get() + 1));
        Self(PhantomData)
    }
}

impl Drop for ReentrancyGuard {
    #[inline]
    fn drop(&mut self) {
        let _ = GUARDS.try_with(|inside| inside.set(inside.get().wrapping_sub(1)));
    }
}

/// Returns `true` if this crate's own code has called an allocator of the program, which has called this function.
#[inline]
pub(crate) fn is_reentrant() -> bool {
    locks_held() > 0 || GUARDS.try_with(Cell::get).unwrap_or(0) > 0
}
