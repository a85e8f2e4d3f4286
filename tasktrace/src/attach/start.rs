//! What the attribute and the environment ask for.

use std::sync::Once;

use super::attach;
use crate::os::{env, stderr};

/// `1` to have it, `0` not to, whatever the attribute says.
const VARIABLE: &str = "TASKTRACE_ATTACH";

const YES: [&str; 4] = ["1", "true", "on", "yes"];
const NO: [&str; 5] = ["0", "none", "off", "false", "no"];

/// What a value asks for.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Nothing,
    Yes,
    No,
    Wrong,
}

impl Asked {
    fn read(value: &str) -> Self {
        let is = |words: &[&str]| words.iter().any(|it| it.eq_ignore_ascii_case(value.trim()));
        match value.trim() {
            "" => Self::Nothing,
            _ if is(&YES) => Self::Yes,
            _ if is(&NO) => Self::No,
            _ => Self::Wrong,
        }
    }

    fn by_environment() -> Self {
        env::text(VARIABLE).map_or(Self::Nothing, |value| Self::read(&value))
    }
}

/// Does what the environment asks for. What cannot be done is told on the standard error output.
pub(crate) fn start_by_environment() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| match Asked::by_environment() {
        Asked::Yes => until_exit(VARIABLE),
        Asked::Nothing | Asked::No => {}
        Asked::Wrong => stderr::write(&format!(
            "tasktrace: {VARIABLE}: use 1 to have the process attached to, or 0 not to\n"
        )),
    });
}

/// Does what the attribute asks for, unless the environment says otherwise.
pub(crate) fn start_by_attribute() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if Asked::by_environment() != Asked::No {
            until_exit("attach");
        }
    });
}

fn until_exit(by: &str) {
    match attach() {
        Ok(attached) => std::mem::forget(attached),
        Err(error) => stderr::write(&format!("tasktrace: {by}: {error}\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        for value in ["1", "true", "On", " yes "] {
            assert_eq!(Asked::read(value), Asked::Yes, "{value}");
        }
        for value in ["0", "none", "OFF", "false", "no"] {
            assert_eq!(Asked::read(value), Asked::No, "{value}");
        }
        for value in ["", " "] {
            assert_eq!(Asked::read(value), Asked::Nothing, "{value}");
        }
        for value in ["2", "perhaps"] {
            assert_eq!(Asked::read(value), Asked::Wrong, "{value}");
        }
    }
}
