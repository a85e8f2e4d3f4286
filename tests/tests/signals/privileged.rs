//! Programs that run with more rights than the user who starts them: the environment has no effect.

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

/// A user and a group without rights.
const NOBODY: u32 = 65534;

/// How the program gets its rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rights {
    /// It has those of who starts it.
    None,
    SetUser,
    SetGroup,
    /// The file has capabilities.
    Capability,
}

/// Returns why a program in this directory cannot be given rights, if it cannot.
fn why_not(directory: &Path) -> Option<&'static str> {
    // SAFETY: they take numbers, and write to a place that was zeroed.
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

/// Returns a copy of the program for everybody to start, or `None` if it cannot be given the rights.
fn copy(directory: &Directory, rights: Rights) -> Option<PathBuf> {
    let path = PathBuf::from(directory.path(&format!("{rights:?}")));
    fs::copy(START, &path).expect("it can be copied");
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

/// Starts it as a user without rights, who asks for a dump to a file by the environment, and sends it the
/// signal.
fn dumps(directory: &Directory, rights: Rights) -> Option<bool> {
    let program = copy(directory, rights)?;
    let file = directory.path("precious");
    fs::write(&file, "precious").expect("it can be written");
    // Who has no rights but those of the user may replace it, or this would show nothing.
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
        // Nobody handles it, so it ends the program.
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
