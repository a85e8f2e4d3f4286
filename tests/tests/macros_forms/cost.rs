//! Tests that the expansion allocates nothing.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::pin::{Pin, pin};
use std::task::{Context, Waker};

use crate::pause;

/// An allocator that counts the allocations of each thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: each method passes its arguments unchanged to `System`, whose contract is the same, and counting neither
// allocates nor panics.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: `GlobalAlloc` requires the same of this function's caller as of `System`'s, and all memory is
        // `System`'s.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: `GlobalAlloc` requires the same of this function's caller as of `System`'s, and all memory is
        // `System`'s.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A runtime crate that does nothing, so that the counter shows the expansion alone.
mod nothing {
    pub(super) mod __private {
        pub(in super::super) use tasktrace_tests::probe::__private::{
            FrameMeta, format, output, type_name,
        };

        pub(in super::super) struct Function;

        impl Function {
            pub(in super::super) const fn of(_: &'static FrameMeta) -> Self {
                Self
            }
        }

        pub(in super::super) const fn frame<F>(_: fn() -> &'static Function, future: F) -> F {
            future
        }

        pub(in super::super) fn labelled<F>(_: &'static FrameMeta, _: String, future: F) -> F {
            future
        }
    }
}

async fn untraced(text: &str, number: u32) -> String {
    pause().await;
    format!("{text}{number}")
}

#[tasktrace::traced(crate = nothing)]
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

#[tasktrace::traced("{{nothing}} to format", crate = nothing)]
async fn with_static_label(text: &str, number: u32) -> String {
    pause().await;
    format!("{text}{number}")
}

#[tasktrace::traced("{text}", crate = nothing)]
async fn with_label(text: &str, number: u32) -> String {
    pause().await;
    format!("{text}{number}")
}

#[tasktrace::traced(crate = nothing)]
fn returned(text: &str, number: u32) -> impl Future<Output = String> {
    if number == 0 {
        return untraced("zero", 0);
    }
    untraced(text, number)
}

#[tasktrace::traced(crate = nothing)]
fn in_a_box(number: u32) -> Pin<Box<dyn Future<Output = String>>> {
    Box::pin(async move {
        if number == 0 {
            return String::new();
        }
        untraced("up", number).await
    })
}

#[tasktrace::traced(crate = nothing)]
fn boxed_again(number: u32) -> Pin<Box<dyn Future<Output = String>>> {
    Box::pin(untraced("up", number))
}

#[test]
fn the_attribute_allocates_nothing() {
    let untraced = allocations(untraced("up", 1));
    assert_eq!(allocations(with_attribute("up", 1)), untraced);
    assert_eq!(allocations(nested()), untraced);
    assert_eq!(allocations(with_static_label("up", 1)), untraced);
    assert_eq!(allocations(returned("up", 1)), untraced);
}

#[test]
fn a_label_with_arguments_allocates() {
    assert!(allocations(with_label("up", 1)) > allocations(untraced("up", 1)));
}

/// The attribute traces an async block inside its box, and puts a future that is already boxed into another box.
#[test]
fn a_boxed_block_needs_no_second_box_and_another_boxed_future_does() {
    let calls = |call: fn(u32) -> Pin<Box<dyn Future<Output = String>>>| {
        let before = ALLOCATIONS.get();
        drop(call(1));
        ALLOCATIONS.get() - before
    };
    assert_eq!(calls(in_a_box), 1);
    assert_eq!(calls(boxed_again), 2);
}

#[tasktrace::traced(crate = nothing)]
async fn nested() {
    with_attribute("up", 1).await;
}
