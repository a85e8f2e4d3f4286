//! Calls foreign code that may panic: wakers, and functions of the program.
//!
//! The payload of a panic is a value of the code that panicked. Dropping it calls foreign code again.
#![forbid(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Calls `call`. Returns `None` if it panics, which the panic hook has reported.
///
/// Nothing unwinds out of this function: neither that panic, nor a panic of the destructor of its payload.
pub(crate) fn catch_panic<R>(call: impl FnOnce() -> R) -> Option<R> {
    let payload = match catch_unwind(AssertUnwindSafe(call)) {
        Ok(value) => return Some(value),
        Err(payload) => payload,
    };
    if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        // The payload of this panic may have such a destructor as well, and so on without end.
        std::mem::forget(another);
    }
    None
}

#[cfg(all(test, not(tasktrace_loom)))]
mod tests {
    use std::panic::resume_unwind;

    use super::*;

    /// A payload that panics when it is dropped, with another payload of this kind.
    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            resume_unwind(Box::new(Bomb));
        }
    }

    #[test]
    fn neither_a_panic_nor_its_payload_comes_through() {
        assert_eq!(catch_panic(|| 1), Some(1));
        assert_eq!(catch_panic(|| resume_unwind(Box::new("boom"))), None::<()>);
        assert_eq!(catch_panic(|| resume_unwind(Box::new(Bomb))), None::<()>);
    }
}
