//! Parses names of signals in arguments: `"SIGUSR1"`, `"usr1"`.

use syn::{Error, LitStr, Result};

/// The signals that a program can handle and continue after. Not every system has all of them.
const ACCEPTED: [&str; 14] = [
    "SIGHUP",
    "SIGINT",
    "SIGQUIT",
    "SIGUSR1",
    "SIGUSR2",
    "SIGALRM",
    "SIGTERM",
    "SIGURG",
    "SIGXCPU",
    "SIGVTALRM",
    "SIGPROF",
    "SIGWINCH",
    "SIGIO",
    "SIGINFO",
];

/// Returns the full name of the signal as a literal in the same place.
pub(super) fn parse(literal: LitStr) -> Result<LitStr> {
    let text = literal.value();
    match full_name(&text) {
        Some(name) => Ok(LitStr::new(name, literal.span())),
        None => Err(Error::new_spanned(
            literal,
            format!(
                "`{text}` is not a signal that can request a dump: the accepted signals are `{}`",
                ACCEPTED.join("`, `")
            ),
        )),
    }
}

fn full_name(text: &str) -> Option<&'static str> {
    let text = text.to_ascii_uppercase();
    let text = text.strip_prefix("SIG").unwrap_or(&text);
    let is_named = |name: &&str| name.strip_prefix("SIG") == Some(text);
    ACCEPTED.into_iter().find(is_named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_named_in_any_case_with_or_without_sig() {
        for text in ["SIGUSR1", "USR1", "usr1", "sigusr1", "SigUsr1"] {
            assert_eq!(full_name(text), Some("SIGUSR1"), "{text}");
        }
        for name in ACCEPTED {
            assert_eq!(full_name(name), Some(name));
        }
        for text in [
            "",
            "SIG",
            "SIGKILL",
            "kill",
            "SIGSIGHUP",
            "10",
            " usr1",
            "SIGUSR",
            "ſighup",
        ] {
            assert_eq!(full_name(text), None, "{text}");
        }
    }
}
