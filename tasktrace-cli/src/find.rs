//! The processes that can be attached to, by their sockets.

use std::path::PathBuf;

use crate::failure::Failure;
#[cfg(unix)]
use crate::output::visible;

/// What a process needs to be found.
const HOW: &str = "it needs the feature `attach` of tasktrace and #[tasktrace::main(attach)], \
                   TASKTRACE_ATTACH=1 in its environment or a call of tasktrace::attach(); \
                   or name its HTTP server with --addr";

/// A process with a socket.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) process: u32,
    pub(crate) path: PathBuf,
}

/// The one that need not be named.
pub(crate) fn the_only_one() -> Result<Found, Failure> {
    let mut found = all();
    match (found.pop(), found.len()) {
        (Some(one), 0) => Ok(one),
        (None, _) => Err(Failure::NotInstrumented(format!(
            "no process of this user can be attached to: {HOW}"
        ))),
        (Some(last), _) => {
            found.push(last);
            let processes: Vec<_> = found.iter().map(|it| it.process.to_string()).collect();
            Err(Failure::Usage(format!(
                "there are several processes that can be asked: name one of {} (tasktrace ps lists \
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

    use tasktrace::__private::cli::{Alive, Listener, Place, alive, user};

    use super::{Failure, Found, HOW, PathBuf, visible};

    /// Those of this user. What others have left behind that were killed is removed.
    pub(crate) fn all() -> Vec<Found> {
        let mut found: Vec<Found> = Vec::new();
        for place in Place::all_of(user()).into_iter().flatten() {
            for process in place.processes().unwrap_or_default() {
                match place.listener(process) {
                    Ok(Listener::There) if found.iter().all(|it| it.process != process) => {
                        let path = place.socket(process);
                        found.push(Found { process, path });
                    }
                    Ok(Listener::Gone) => {
                        let _ = place.remove_stale(process);
                    }
                    _ => {}
                }
            }
        }
        found.sort_by_key(|it| it.process);
        found
    }

    /// The socket of a process.
    pub(crate) fn socket_of(process: u32) -> Result<PathBuf, Failure> {
        let alive = alive(process);
        let owner = owner(process);
        let mut notes = String::new();
        let mut places = Place::all_of(owner);
        // A process with more rights than its user has is root's, as far as the system tells.
        if owner != user() {
            places.extend(Place::all_of(user()));
        }
        for place in places {
            let place = match place {
                Ok(place) => place,
                // Nobody who is not asked for a socket there need know.
                Err(unfit) => {
                    notes += &format!("\nnot looked at: {unfit}");
                    continue;
                }
            };
            match place.listener(process) {
                Ok(Listener::There) => return Ok(place.socket(process)),
                Ok(Listener::Gone) => {
                    let removed = place.remove_stale(process).unwrap_or(false);
                    notes += &format!(
                        "\nnobody listens to {} any more{}",
                        visible(&place.socket(process).display().to_string()),
                        if removed {
                            ", which has been removed"
                        } else {
                            ""
                        }
                    );
                }
                Ok(Listener::NoSocket) => {
                    let path = place.socket(process);
                    notes += &format!(
                        "\n{} is no socket: remove it",
                        visible(&path.display().to_string())
                    );
                }
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    return Err(Failure::NoPermission(format!(
                        "{}: {error}: it is for the user with the number {owner} and root",
                        visible(&place.socket(process).display().to_string())
                    )));
                }
                Err(error) => {
                    notes += &format!(
                        "\n{}: {error}",
                        visible(&place.socket(process).display().to_string())
                    );
                }
                Ok(_) => {}
            }
        }
        Err(match alive {
            Alive::No => Failure::NoProcess(format!(
                "there is no process {process}: tasktrace ps lists those that can be asked{notes}"
            )),
            Alive::Ours => Failure::NotInstrumented(format!(
                "process {process} lets nobody attach: {HOW}{notes}"
            )),
            _ => Failure::NoPermission(format!(
                "process {process} belongs to another user: run tasktrace as that user, or as root"
            )),
        })
    }

    /// Whose process it is. Where the system does not say, ours.
    fn owner(process: u32) -> u32 {
        let known = std::fs::metadata(format!("/proc/{process}"));
        known.map_or_else(|_| user(), |found| found.uid())
    }
}

#[cfg(not(unix))]
pub(crate) fn all() -> Vec<Found> {
    Vec::new()
}

#[cfg(not(unix))]
pub(crate) fn socket_of(_process: u32) -> Result<PathBuf, Failure> {
    Err(Failure::Usage(
        "processes cannot be attached to on this system: name an HTTP server with --addr"
            .to_owned(),
    ))
}
