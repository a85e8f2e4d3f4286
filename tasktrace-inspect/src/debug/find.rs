//! Separate files with debug info.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use super::file::DebugFile;
use crate::error::Error;

/// Returns the file with the debug info of a program, if it is not the executable itself.
pub(crate) fn debug_file(
    executable: &DebugFile,
    name: Option<&Path>,
    named: Option<&Path>,
) -> Result<Option<DebugFile>, Error> {
    // A package of split debug info does not replace the debug info in the executable: see `SplitFiles`.
    let named = named.map(DebugFile::open).transpose()?;
    if let Some(file) = named.filter(|file| !file.is_package()) {
        if !file.may_be_of(executable) {
            let program = name.unwrap_or(executable.path());
            return Err(Error::other_build(&file, program, executable.build_id()));
        }
        return Ok(Some(file));
    }
    if executable.has_debug_info() {
        return Ok(None);
    }
    let found = candidates(executable, name).into_iter().find_map(|path| {
        let file = DebugFile::open(&path).ok()?;
        (file.has_debug_info() && file.may_be_of(executable)).then_some(file)
    });
    match found {
        Some(file) => Ok(Some(file)),
        None if !executable.is_rust() => Err(Error::NotRust {
            path: name.unwrap_or(executable.path()).to_owned(),
        }),
        None if executable.has_symbols() => Err(Error::NoDebugInfo {
            path: name.unwrap_or(executable.path()).to_owned(),
        }),
        None => Err(Error::Stripped {
            path: name.unwrap_or(executable.path()).to_owned(),
        }),
    }
}

/// Returns the paths at which debuggers look too.
fn candidates(executable: &DebugFile, name: Option<&Path>) -> Vec<PathBuf> {
    const ROOT: &str = "/usr/lib/debug";
    let mut paths = Vec::new();
    if let Some([first, rest @ ..]) = executable.build_id() {
        let mut digits = String::new();
        for byte in rest {
            let _ = write!(digits, "{byte:02x}");
        }
        paths.push(format!("{ROOT}/.build-id/{first:02x}/{digits}.debug").into());
    }
    let directory = name.unwrap_or(executable.path()).parent();
    if let (Some(link), Some(directory)) = (executable.link(), directory) {
        paths.push(directory.join(link));
        paths.push(directory.join(".debug").join(link));
        if let Ok(below) = directory.strip_prefix("/") {
            paths.push(Path::new(ROOT).join(below).join(link));
        }
    }
    paths
}
