//! Calls of code that may panic and is not ours: wakers, and functions of the program.
//!
//! A panic has a payload, which is a value of whoever panicked, and to drop that is to call foreign code again.
#![forbid(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Calls `call`. Returns `None` if it panicked, which the panic hook has reported.
///
/// Nothing unwinds out of it: neither that panic, nor one of the destructor of its payload.
pub(crate) fn caught<R>(call: impl FnOnce() -> R) -> Option<R> {
    let payload = match catch_unwind(AssertUnwindSafe(call)) {
        Ok(value) => return Some(value),
        Err(payload) => payload,
    };
    if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        // The payload of a payload could have such a destructor as well, without an end.
        std::mem::forget(another);
    }
    None
}

#[cfg(all(test, not(tasktrace_loom)))]
mod tests {
    use std::panic::resume_unwind;

    use super::*;

    /// Panics when it is dropped, with another one.
    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            resume_unwind(Box::new(Bomb));
        }
    }

    #[test]
    fn neither_a_panic_nor_its_payload_comes_through() {
        assert_eq!(caught(|| 1), Some(1));
        assert_eq!(caught(|| resume_unwind(Box::new("boom"))), None::<()>);
        assert_eq!(caught(|| resume_unwind(Box::new(Bomb))), None::<()>);
    }
}
