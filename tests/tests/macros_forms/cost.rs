//! The expansion allocates nothing.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::pin::{Pin, pin};
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

/// A runtime crate that does nothing, so that what is counted is the expansion's.
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
fn no_allocation_is_added() {
    let untraced = allocations(untraced("up", 1));
    assert_eq!(allocations(with_attribute("up", 1)), untraced);
    assert_eq!(allocations(nested()), untraced);
    assert_eq!(allocations(with_static_label("up", 1)), untraced);
    assert_eq!(allocations(returned("up", 1)), untraced);
}

#[test]
fn a_label_allocates() {
    assert!(allocations(with_label("up", 1)) > allocations(untraced("up", 1)));
}

/// An async block in a box is traced in there. What comes in a box from elsewhere gets another.
#[test]
fn boxes() {
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
