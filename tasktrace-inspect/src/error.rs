//! Reasons for which there is no report.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::debug::DebugFile;

/// The reason for which nothing could be read.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The system or the processor is not supported.
    Unsupported,
    /// A file cannot be opened or mapped.
    Open {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// A file is not a 64-bit little-endian x86-64 ELF file, or is damaged.
    Elf {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// The program was stripped of debug info and symbols.
    Stripped {
        /// The executable.
        path: PathBuf,
    },
    /// The program was compiled without debug info.
    NoDebugInfo {
        /// The executable.
        path: PathBuf,
    },
    /// The debug info has lines but no types.
    NoTypes {
        /// The executable.
        path: PathBuf,
    },
    /// The debug info is split from the executable (`split-debuginfo`), and no file with it was found that is of this
    /// build.
    SplitDebugInfo {
        /// The executable.
        path: PathBuf,
    },
    /// The debug info is damaged.
    Dwarf {
        /// The file with the debug info.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// The program has debug info, but not from the Rust compiler.
    NotRust {
        /// The executable.
        path: PathBuf,
    },
    /// The program has debug info, but no async functions in it.
    NoAsync {
        /// The executable.
        path: PathBuf,
    },
    /// Two files are not of the same build.
    OtherBuild {
        /// The file that was named.
        path: PathBuf,
        /// Its build id.
        id: Option<String>,
        /// The program that runs or has run.
        program: String,
        /// The build id of the program.
        program_id: Option<String>,
    },
    /// The thread that reads memory could not be started.
    Thread {
        /// The error of the system.
        source: io::Error,
    },
    /// No such process exists.
    NoProcess {
        /// The number of the process.
        pid: u32,
    },
    /// The process has ended, but its parent has not asked for its status yet.
    Ended {
        /// The number of the process.
        pid: u32,
    },
    /// The process ended while it was read, or runs another program now.
    EndedMeanwhile {
        /// The number of the process.
        pid: u32,
    },
    /// The process is a thread of the kernel.
    KernelThread {
        /// The number of the process.
        pid: u32,
    },
    /// The process belongs to another user, or the system forbids reading its memory.
    Permission {
        /// The number of the process.
        pid: u32,
        /// The setting `kernel.yama.ptrace_scope`, if it forbids reading.
        ptrace_scope: Option<u8>,
    },
    /// The process cannot be stopped, because another process traces it.
    Traced {
        /// The number of the process.
        pid: u32,
        /// The number of the process that traces it.
        tracer: u32,
    },
    /// The process could not be stopped.
    Freeze {
        /// The number of the process.
        pid: u32,
        /// The error of the system.
        source: io::Error,
    },
    /// The process could not be stopped, because it starts threads faster than they are stopped.
    StartsThreads {
        /// The number of the process.
        pid: u32,
    },
    /// A core file does not say of which executable it is, and none was named.
    NoExecutable {
        /// The core file.
        path: PathBuf,
    },
    /// It is not known where the executable is in memory.
    NotLoaded {
        /// The executable.
        path: PathBuf,
    },
}

impl Error {
    /// Returns the error for a process whose memory may not be read.
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    pub(crate) fn permission(pid: u32) -> Self {
        let scope = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").ok();
        let scope = scope.and_then(|scope| scope.trim().parse().ok());
        Self::Permission {
            pid,
            ptrace_scope: scope.filter(|scope| *scope != 0),
        }
    }

    /// Returns the error for a file that is of another build than the program.
    pub(crate) fn other_build(file: &DebugFile, program: &Path, id: Option<&[u8]>) -> Self {
        Self::OtherBuild {
            path: file.path().to_owned(),
            id: file.build_id().map(hex),
            program: program.display().to_string(),
            program_id: id.map(hex),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsupported => {
                f.write_str("memory can be inspected on Linux on x86-64 only, so far")
            }
            Self::Open { path, source } => {
                write!(f, "{} cannot be opened: {source}", path.display())
            }
            Self::Elf { path, reason } => {
                write!(
                    f,
                    "{} is no ELF file of x86-64 that can be read: {reason}",
                    path.display()
                )
            }
            Self::Stripped { path } => write!(
                f,
                "{} is stripped: name a file with its debug info, or build with `debug = 2` and `strip = false`",
                path.display()
            ),
            Self::NoDebugInfo { path } => write!(
                f,
                "{} has no debug info: build it with `debug = 2`, or name a file with its debug info",
                path.display()
            ),
            Self::NoTypes { path } => write!(
                f,
                "{} has line tables only, and no types: build it with `debug = 2`",
                path.display()
            ),
            Self::SplitDebugInfo { path } => write!(
                f,
                "the debug info of {} is in .dwo files or in a .dwp file, and none of this build was found: \
                 name the .dwp file, or put it beside the program with the name {}.dwp",
                path.display(),
                path.display()
            ),
            Self::Dwarf { path, reason } => {
                write!(
                    f,
                    "the debug info of {} is damaged: {reason}",
                    path.display()
                )
            }
            Self::NotRust { path } => write!(
                f,
                "{} is not a Rust program: only async functions of Rust can be read",
                path.display()
            ),
            Self::NoAsync { path } => write!(
                f,
                "{} has no async functions in its debug info: build the crates that have them with `debug = 2`",
                path.display()
            ),
            Self::OtherBuild {
                path,
                id,
                program,
                program_id,
            } => {
                let of = |id: &Option<String>| match id {
                    Some(id) => format!("build id {id}"),
                    None => "no build id".to_owned(),
                };
                write!(
                    f,
                    "{} ({}) is of another build than {program} as it ran ({}): name the file of that build",
                    path.display(),
                    of(id),
                    of(program_id)
                )
            }
            Self::Thread { source } => write!(f, "a thread could not be started: {source}"),
            Self::NoProcess { pid } => write!(f, "there is no process {pid}"),
            Self::Ended { pid } => write!(
                f,
                "process {pid} has ended and has no memory any more: it waits for its parent to notice"
            ),
            Self::EndedMeanwhile { pid } => write!(
                f,
                "process {pid} ended, or started another program, while it was read: read it again, or a core file of it"
            ),
            Self::KernelThread { pid } => write!(
                f,
                "process {pid} is a thread of the kernel, which has no memory of its own: name a program"
            ),
            Self::Permission {
                pid,
                ptrace_scope: Some(scope),
            } => write!(
                f,
                "the memory of process {pid} may not be read: use the same user and set `kernel.yama.ptrace_scope` to 0 \
                 (it is {scope}), or use root"
            ),
            Self::Permission {
                pid,
                ptrace_scope: None,
            } => write!(
                f,
                "the memory of process {pid} may not be read: it needs the same user, or CAP_SYS_PTRACE"
            ),
            Self::Traced { pid, tracer } => write!(
                f,
                "process {pid} cannot be stopped, because process {tracer} traces it: detach that debugger, or do not \
                 freeze"
            ),
            Self::Freeze { pid, source } => {
                write!(f, "process {pid} could not be stopped: {source}")
            }
            Self::StartsThreads { pid } => write!(
                f,
                "process {pid} could not be stopped: it starts threads all the time"
            ),
            Self::NoExecutable { path } => write!(
                f,
                "{} does not name its executable, or that file is gone: name the executable",
                path.display()
            ),
            Self::NotLoaded { path } => write!(
                f,
                "{} is not in the memory that was read: is it the right executable?",
                path.display()
            ),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Open { source, .. } | Self::Freeze { source, .. } | Self::Thread { source } => {
                Some(source)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_that_forbids_reading_is_named() {
        let text = |ptrace_scope| {
            let error = Error::Permission {
                pid: 7,
                ptrace_scope,
            };
            error.to_string()
        };
        assert!(text(Some(1)).contains("set `kernel.yama.ptrace_scope` to 0 (it is 1)"));
        assert!(text(None).ends_with("the same user, or CAP_SYS_PTRACE"));
    }
}
