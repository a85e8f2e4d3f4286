//! The expansion allocates nothing.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::pin::pin;
use std::task::{Context, Waker};

use crate::pause;

/// An allocator that counts, for this thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: `System` does the work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's contract is that of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract is that of `System`.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

async fn untraced(text: &str, number: u32) -> String {
    pause().await;
    format!("{text}{number}")
}

#[tasktrace::traced]
async fn with_attribute(text: &str, number: u32) -> String {
    pause().await;
    format!("{text}{number}")
}

fn allocations<T>(future: impl Future<Output = T>) -> usize {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    let before = ALLOCATIONS.get();
    while future.as_mut().poll(&mut context).is_pending() {}
    ALLOCATIONS.get() - before
}

#[test]
fn no_allocation_is_added() {
    let untraced = allocations(untraced("up", 1));
    // As a task that nobody has asked for, and as a frame of another.
    assert_eq!(allocations(with_attribute("up", 1)), untraced);
    assert_eq!(allocations(nested()), untraced);
}

#[tasktrace::traced]
async fn nested() {
    with_attribute("up", 1).await;
}
