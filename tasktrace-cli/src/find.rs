//! Finds the processes that can be attached to, by their sockets.

use std::path::PathBuf;

use crate::failure::Failure;
#[cfg(unix)]
use crate::output::visible;

/// The message about the ways to let a process be found.
const WAYS_TO_ATTACH: &str = "it needs the feature `attach` of tasktrace and #[tasktrace::main(attach)], \
                   TASKTRACE_ATTACH=1 in its environment or a call of tasktrace::attach(); \
                   or name its HTTP server with --addr";

/// A process with a socket.
#[derive(Clone, Debug)]
pub(crate) struct FoundProcess {
    pub(crate) process: u32,
    pub(crate) path: PathBuf,
}

/// Returns the only process that can be attached to.
pub(crate) fn only_process() -> Result<FoundProcess, Failure> {
    let mut found = all();
    match (found.pop(), found.len()) {
        (Some(one), 0) => Ok(one),
        (None, _) => Err(Failure::NotInstrumented(format!(
            "no process of this user lets other programs attach: {WAYS_TO_ATTACH}; or name the PID of any process, \
             and dump, ps and top read its memory"
        ))),
        (Some(last), _) => {
            found.push(last);
            let processes: Vec<_> = found.iter().map(|it| it.process.to_string()).collect();
            Err(Failure::Usage(format!(
                "several processes can be attached to: name one of {} (tasktrace ps lists \
                 them)",
                processes.join(", ")
            )))
        }
    }
}

#[cfg(unix)]
pub(crate) use unix::{all, socket_of};

#[cfg(unix)]
mod unix {
    use std::io;
    use std::os::unix::fs::MetadataExt;

    use tasktrace::__private::cli::{
        ProcessState, SocketDirectory, SocketState, process_state, user,
    };

    use super::{Failure, FoundProcess, PathBuf, WAYS_TO_ATTACH, visible};

    /// Returns the processes of this user. Removes the sockets of killed processes.
    pub(crate) fn all() -> Vec<FoundProcess> {
        let mut found: Vec<FoundProcess> = Vec::new();
        for directory in SocketDirectory::all_of(user()).into_iter().flatten() {
            for process in directory.processes().unwrap_or_default() {
                match directory.socket_state(process) {
                    Ok(SocketState::Listening) if found.iter().all(|it| it.process != process) => {
                        let path = directory.socket(process);
                        found.push(FoundProcess { process, path });
                    }
                    Ok(SocketState::Stale) => {
                        let _ = directory.remove_stale(process);
                    }
                    _ => {}
                }
            }
        }
        found.sort_by_key(|it| it.process);
        found
    }

    /// Returns the path of the socket of a process.
    pub(crate) fn socket_of(process: u32) -> Result<PathBuf, Failure> {
        let process_state = process_state(process);
        let owner = owner(process);
        let mut notes = String::new();
        let mut directories = SocketDirectory::all_of(owner);
        // The system reports root as the owner of a process that has more rights than its user. Its socket belongs to
        // the user.
        if owner != user() {
            directories.extend(SocketDirectory::all_of(user()));
        }
        for directory in directories {
            let directory = match directory {
                Ok(directory) => directory,
                // An unsuitable directory is mentioned only if no socket is found.
                Err(unsuitable) => {
                    notes += &format!("\nskipped: {unsuitable}");
                    continue;
                }
            };
            match directory.socket_state(process) {
                Ok(SocketState::Listening) => return Ok(directory.socket(process)),
                Ok(SocketState::Stale) => {
                    let removed = directory.remove_stale(process).unwrap_or(false);
                    notes += &format!(
                        "\nno process listens on {} any more{}",
                        visible(&directory.socket(process).display().to_string()),
                        if removed {
                            ", which has been removed"
                        } else {
                            ""
                        }
                    );
                }
                Ok(SocketState::NotASocket) => {
                    let path = directory.socket(process);
                    notes += &format!(
                        "\n{} is not a socket: remove it",
                        visible(&path.display().to_string())
                    );
                }
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    return Err(Failure::NoPermission(format!(
                        "{}: {error}: only root and the user with the ID {owner} may use it",
                        visible(&directory.socket(process).display().to_string())
                    )));
                }
                Err(error) => {
                    notes += &format!(
                        "\n{}: {error}",
                        visible(&directory.socket(process).display().to_string())
                    );
                }
                Ok(_) => {}
            }
        }
        Err(match process_state {
            ProcessState::NotRunning => Failure::NoProcess(format!(
                "there is no process {process}: tasktrace ps lists the processes that can be attached to{notes}"
            )),
            ProcessState::Ours => Failure::NotInstrumented(format!(
                "process {process} does not let other programs attach: {WAYS_TO_ATTACH}{notes}"
            )),
            _ => Failure::NoPermission(format!(
                "process {process} belongs to another user: run tasktrace as that user, or as root"
            )),
        })
    }

    /// Returns the owner of a process, or this user if the system does not report it.
    fn owner(process: u32) -> u32 {
        let known = std::fs::metadata(format!("/proc/{process}"));
        known.map_or_else(|_| user(), |found| found.uid())
    }
}

#[cfg(not(unix))]
pub(crate) fn all() -> Vec<FoundProcess> {
    Vec::new()
}

#[cfg(not(unix))]
pub(crate) fn socket_of(_process: u32) -> Result<PathBuf, Failure> {
    Err(Failure::Usage(
        "attaching to processes is not supported on this system: name an HTTP server with --addr"
            .to_owned(),
    ))
}
