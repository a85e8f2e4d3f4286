//! Decides if the value that the body of a test returns is a failure.
//!
//! The test runner prints such a value, but keeps the output back until all tests have ended. It does not tell which
//! values it regards as failures, so this module decides the same for the types that tests return.

use std::fmt::Debug;
use std::ops::Deref;
use std::process::ExitCode;

/// The value that a body returns. For types with an `impl` block here, `failure` is the method of that block. For other
/// types, it is the method of `OtherOutput`, to which `Outcome` dereferences:
///
/// ```text
/// |output| Outcome(output).failure()
/// ```
#[derive(Debug)]
pub struct Outcome<'a, T>(pub &'a T);

impl<T, E: Debug> Outcome<'_, Result<T, E>> {
    /// Returns the text that the test runner prints for an error.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        let error = self.0.as_ref().err()?;
        Some(format!("Error: {error:?}\n"))
    }
}

impl Outcome<'_, ExitCode> {
    /// Returns a text if the code is not that of success.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        let is_success = *self.0 == ExitCode::SUCCESS;
        (!is_success).then(|| format!("the test returned {:?}\n", self.0))
    }
}

impl<T> Deref for Outcome<'_, T> {
    type Target = OtherOutput;

    fn deref(&self) -> &OtherOutput {
        &OtherOutput
    }
}

/// The value of another type, which is not a failure.
#[derive(Debug)]
pub struct OtherOutput;

impl OtherOutput {
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_and_exit_codes_are_failures() {
        assert_eq!(Outcome(&()).failure(), None);
        assert_eq!(Outcome(&ExitCode::SUCCESS).failure(), None);
        assert!(Outcome(&ExitCode::FAILURE).failure().is_some());
        let result = |result: Result<(), u8>| Outcome(&result).failure();
        assert_eq!(result(Ok(())), None);
        assert_eq!(result(Err(7)).as_deref(), Some("Error: 7\n"));
    }
}
