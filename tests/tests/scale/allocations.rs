//! Counts the allocations of a thread.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

fn count_allocation() {
    // While the thread ends, the counter may be destroyed already.
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: each method passes its arguments unchanged to `System`, whose `GlobalAlloc` contract is the same.
// `count_allocation` neither allocates nor panics.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count_allocation();
        // SAFETY: `GlobalAlloc::alloc` requires the same of this function's caller as of `System`'s.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, allocated: *mut u8, layout: Layout) {
        // SAFETY: `GlobalAlloc` requires the same of this function's caller, and `allocated` comes from `System`.
        unsafe { System.dealloc(allocated, layout) }
    }

    unsafe fn realloc(&self, allocated: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count_allocation();
        // SAFETY: `GlobalAlloc` requires the same of this function's caller, and `allocated` comes from `System`.
        unsafe { System.realloc(allocated, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Calls `run`, and returns the number of allocations that the calling thread made meanwhile, and the result.
pub(crate) fn count<T>(run: impl FnOnce() -> T) -> (usize, T) {
    let before = COUNT.get();
    let made = run();
    (COUNT.get() - before, made)
}
