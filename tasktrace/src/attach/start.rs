//! Attaches if the attribute or the environment requests it.

use std::sync::Once;

use super::attach;
use crate::os::{env, stderr};

/// The environment variable: `1` to attach, and `0` not to attach, which overrides the attribute.
const VARIABLE: &str = "TASKTRACE_ATTACH";

/// The request of the environment variable.
#[derive(Debug, PartialEq, Eq)]
enum AttachRequest {
    Unset,
    Yes,
    No,
    Invalid,
}

impl AttachRequest {
    fn read(value: &str) -> Self {
        match env::switch(value) {
            Some(true) => Self::Yes,
            Some(false) => Self::No,
            None if value.trim().is_empty() => Self::Unset,
            None => Self::Invalid,
        }
    }

    fn by_environment() -> Self {
        env::text(VARIABLE).map_or(Self::Unset, |value| Self::read(&value))
    }
}

/// Attaches if the environment requests it. Errors are printed on stderr.
pub(crate) fn start_by_environment() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| match AttachRequest::by_environment() {
        AttachRequest::Yes => attach_until_exit(VARIABLE),
        AttachRequest::Unset | AttachRequest::No => {}
        AttachRequest::Invalid => stderr::write(&format!(
            "tasktrace: {VARIABLE}: use 1 to let other programs attach to the process, or 0 to forbid it\n"
        )),
    });
}

/// Attaches because the attribute requests it, unless the environment forbids it. Errors are printed on stderr.
pub(crate) fn start_by_attribute() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if AttachRequest::by_environment() != AttachRequest::No {
            attach_until_exit("attach");
        }
    });
}

/// Attaches until the process exits. `source` is the name of the attribute or the variable.
fn attach_until_exit(source: &str) {
    match attach() {
        Ok(attached) => std::mem::forget(attached),
        Err(error) => stderr::write(&format!("tasktrace: {source}: {error}\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_takes_yes_and_no_words() {
        for value in ["1", "true", "On", " yes "] {
            assert_eq!(AttachRequest::read(value), AttachRequest::Yes, "{value}");
        }
        for value in ["0", "none", "OFF", "false", "no"] {
            assert_eq!(AttachRequest::read(value), AttachRequest::No, "{value}");
        }
        for value in ["", " "] {
            assert_eq!(AttachRequest::read(value), AttachRequest::Unset, "{value}");
        }
        for value in ["2", "perhaps"] {
            assert_eq!(
                AttachRequest::read(value),
                AttachRequest::Invalid,
                "{value}"
            );
        }
    }
}
