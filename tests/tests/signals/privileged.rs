//! Tests that environment variables have no effect on programs with more rights than the user who starts them.

use std::ffi::CString;
use std::fs;
use std::fs::Permissions;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use libc::SIGUSR1;

use super::support::*;

/// The id of a user and a group without rights.
const NOBODY: u32 = 65534;

/// The source of the program's rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rights {
    /// The program has the rights of the user who starts it.
    None,
    SetUser,
    SetGroup,
    /// The program's file has capabilities.
    Capability,
}

/// Returns the reason why a program in `directory` cannot be given rights, or `None` if it can.
fn why_not(directory: &Path) -> Option<&'static str> {
    // SAFETY: `geteuid` and `prctl` take no pointer. Zeros are a valid `statvfs`. `path` is terminated, and `system` is
    // a local that is valid for writes.
    unsafe {
        if libc::geteuid() != 0 {
            return Some("the tests do not run as root");
        }
        if libc::prctl(libc::PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 0 {
            return Some("no process here may gain rights");
        }
        let path = CString::new(directory.as_os_str().as_bytes()).expect("it is a path");
        let mut system: libc::statvfs = std::mem::zeroed();
        if libc::statvfs(path.as_ptr(), &raw mut system) != 0
            || system.f_flag & libc::ST_NOSUID != 0
        {
            return Some("no program in this file system gains rights");
        }
    }
    None
}

/// Returns a copy of the program that every user may start, or `None` if it cannot be given `rights`.
fn copy(directory: &Directory, rights: Rights) -> Option<PathBuf> {
    let path = PathBuf::from(directory.path(&format!("{rights:?}")));
    // A process of its own copies it. A test that starts a program at this moment would inherit the open file, and a
    // file that is open for writing cannot be started.
    let copied = Command::new("cp").arg(START).arg(&path).status();
    assert!(copied.is_ok_and(|status| status.success()));
    let mode = match rights {
        Rights::None | Rights::Capability => 0o755,
        Rights::SetUser => 0o4755,
        Rights::SetGroup => 0o2755,
    };
    fs::set_permissions(&path, Permissions::from_mode(mode)).expect("it is ours");
    if rights == Rights::Capability {
        let mut setcap = Command::new("setcap");
        let setcap = setcap.arg("cap_net_raw+ep").arg(&path).output();
        if !setcap.is_ok_and(|output| output.status.success()) {
            println!("not run with capabilities: there is no `setcap`, or it is refused");
            return None;
        }
    }
    Some(path)
}

/// Starts the program as a user without rights whose environment asks for a dump to a file, sends it the signal, and
/// returns `true` if it writes the dump, or `None` if it cannot be given `rights`.
fn dumps(directory: &Directory, rights: Rights) -> Option<bool> {
    let program = copy(directory, rights)?;
    let file = directory.path("precious");
    fs::write(&file, "precious").expect("it can be written");
    // A program with no more rights than the user must be able to write the file, or this test would show nothing.
    let is_shared = Permissions::from_mode(0o777);
    fs::set_permissions(&directory.0, is_shared).expect("it is ours");
    let mut command = Command::new(program);
    command
        .env("TASKTRACE_DUMP_ON_SIGNAL", "SIGUSR1")
        .env("TASKTRACE_DUMP_FILE", &file)
        .current_dir("/")
        .uid(NOBODY)
        .gid(NOBODY);
    let mut program = Program::run(&mut command);
    program.says("ready");
    program.send(SIGUSR1);
    let dumps = match rights {
        Rights::None => {
            program.tells("written to");
            program.ends_well();
            true
        }
        // Without a handler the signal ends the program.
        _ => {
            let ended = program.ended();
            assert_eq!(ended.status.signal(), Some(SIGUSR1), "{rights:?}");
            assert_eq!(ended.stderr, "", "{rights:?}");
            false
        }
    };
    assert_eq!(read(&file) == "precious", !dumps, "{rights:?}");
    Some(dumps)
}

#[test]

fn variables_have_no_effect_on_programs_with_more_rights_than_their_users() {
    let directory = Directory::new("privileged");
    if let Some(reason) = why_not(&directory.0) {
        println!("not run: {reason}");
        return;
    }
    assert_eq!(dumps(&directory, Rights::None), Some(true));
    assert_eq!(dumps(&directory, Rights::SetUser), Some(false));
    assert_eq!(dumps(&directory, Rights::SetGroup), Some(false));
    assert_ne!(dumps(&directory, Rights::Capability), Some(true));
}
