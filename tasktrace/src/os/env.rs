//! The environment, as far as it may be believed.
//!
//! A program that runs with more rights than the user who started it (set-user-id, set-group-id, or with
//! file capabilities) is given its environment by that user. There no variable has any effect, or the
//! user could have the program write, replace or reveal what the user has no right to. Every variable is
//! read here, and nowhere else.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

/// Returns the value of a variable, unless the program has more rights than who started it.
pub(crate) fn var(name: &str) -> Option<OsString> {
    let is_believed = !has_more_rights();
    is_believed.then(|| env::var_os(name)).flatten()
}

/// Returns the same as text, with marks in the place of bytes that are none.
pub(crate) fn text(name: &str) -> Option<String> {
    var(name).map(|value| value.to_string_lossy().into_owned())
}

/// Returns the directory for temporary files. The environment names it where it is believed.
#[cfg_attr(
    not(feature = "__cli"),
    allow(dead_code, reason = "sockets are placed in it")
)]
pub(crate) fn temporary_directory() -> PathBuf {
    match has_more_rights() {
        true => PathBuf::from("/tmp"),
        false => env::temp_dir(),
    }
}

/// Returns `true` if the program has privileges that its caller does not have.
///
/// The system noted that when the program was started, so it is so also after the program has given its
/// rights away: the environment is still the same.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn has_more_rights() -> bool {
    // SAFETY: `getauxval` takes any number, and reads the auxiliary vector, which does not change after the start of
    // the process.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// Returns `true` if the program has privileges that its caller does not have.
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

/// Returns `false`: there is no such thing.
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
