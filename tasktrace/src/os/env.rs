//! Reads environment variables, unless the environment cannot be trusted.
//!
//! If a program runs with more rights than the user who started it (set-user-id, set-group-id, or file capabilities),
//! that user controls its environment. In such a program no variable has an effect. Otherwise the user could make the
//! program write, replace or reveal files that the user has no right to. All variables are read in this module and
//! nowhere else.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

/// Returns the value of a variable, unless the program has more rights than the user who started it.
pub(crate) fn var(name: &str) -> Option<OsString> {
    let is_trusted = !has_more_rights();
    is_trusted.then(|| env::var_os(name)).flatten()
}

/// Returns the value of a variable like [`var`], as text. Bytes that are not UTF-8 become replacement characters.
pub(crate) fn text(name: &str) -> Option<String> {
    var(name).map(|value| value.to_string_lossy().into_owned())
}

/// Reads a word that turns something on or off: `Some(true)` for words like `1` or `yes`, `Some(false)` for words like
/// `0` or `none`, and `None` for any other word.
pub(crate) fn switch(word: &str) -> Option<bool> {
    let is_in = |words: &[&str]| words.iter().any(|it| it.eq_ignore_ascii_case(word.trim()));
    if is_in(&["1", "true", "on", "yes"]) {
        return Some(true);
    }
    is_in(&["0", "none", "off", "false", "no"]).then_some(false)
}

/// Returns the directory for temporary files. The environment names it, if the environment is trusted.
#[cfg_attr(
    not(all(unix, feature = "__cli")),
    allow(dead_code, reason = "sockets are placed in it")
)]
pub(crate) fn temporary_directory() -> PathBuf {
    match has_more_rights() {
        true => PathBuf::from("/tmp"),
        false => env::temp_dir(),
    }
}

/// Returns `true` if the program has more rights than the user who started it.
///
/// The system records that when it starts the program. So the answer stays `true` after the program has given up its
/// rights, because its environment is still that of the user.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn has_more_rights() -> bool {
    // SAFETY: `getauxval` takes any number, and reads the auxiliary vector, which does not change after the start of
    // the process.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// Returns `true` if the program has more rights than the user who started it.
#[cfg(all(unix, not(any(target_os = "linux", target_os = "android"))))]
fn has_more_rights() -> bool {
    #[cfg(any(
        target_vendor = "apple",
        target_os = "freebsd",
        target_os = "netbsd",
        target_os = "openbsd",
        target_os = "dragonfly",
        target_os = "haiku"
    ))]
    // SAFETY: `issetugid` has no arguments and no preconditions, and always succeeds.
    if unsafe { libc::issetugid() } != 0 {
        return true;
    }
    // SAFETY: the four functions have no arguments and no preconditions, and always succeed.
    unsafe { libc::getuid() != libc::geteuid() || libc::getgid() != libc::getegid() }
}

/// Returns `false`: this system has no such programs.
#[cfg(not(unix))]
fn has_more_rights() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_process_has_no_more_rights_than_its_caller() {
        assert!(!has_more_rights());
        assert_eq!(var("PATH"), env::var_os("PATH"));
        assert_eq!(var("TASKTRACE_THAT_NOBODY_SETS"), None);
        assert_eq!(temporary_directory(), env::temp_dir());
    }
}
