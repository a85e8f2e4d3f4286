//! Reasons for which there is no report.

use std::fmt;
use std::io;
use std::path::PathBuf;

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
    /// The debug info is in other files, by `split-debuginfo`.
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
    /// Two files are not of the same build.
    OtherBuild {
        /// The file that was named.
        path: PathBuf,
        /// The program that runs or has run.
        program: String,
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
    /// The process belongs to another user, or the system forbids reading its memory.
    Permission {
        /// The number of the process.
        pid: u32,
    },
    /// The process could not be stopped.
    Freeze {
        /// The number of the process.
        pid: u32,
        /// The error of the system.
        source: io::Error,
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
                "the debug info of {} is in .dwo or .dwp files, which cannot be read yet: build it with `split-debuginfo = \"off\"`",
                path.display()
            ),
            Self::Dwarf { path, reason } => {
                write!(
                    f,
                    "the debug info of {} is damaged: {reason}",
                    path.display()
                )
            }
            Self::OtherBuild { path, program } => write!(
                f,
                "{} is of another build than {program}: their build ids differ",
                path.display()
            ),
            Self::Thread { source } => write!(f, "a thread could not be started: {source}"),
            Self::NoProcess { pid } => write!(f, "there is no process {pid}"),
            Self::Permission { pid } => write!(
                f,
                "the memory of process {pid} may not be read: it needs the same user, or CAP_SYS_PTRACE"
            ),
            Self::Freeze { pid, source } => {
                write!(f, "process {pid} could not be stopped: {source}")
            }
            Self::NoExecutable { path } => write!(
                f,
                "{} does not name its executable, or the executable is gone: name it",
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
