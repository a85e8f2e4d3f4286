//! The file that a report goes to.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::dump::Hang;
use crate::watch::file;

/// What cargo puts into each target directory.
const TAG: &str = "CACHEDIR.TAG";

/// Where reports are, in the target directory.
const DIRECTORY: &str = "tasktrace";

/// Writes a report as JSON, and tells where to. `None` if there is no target directory.
pub(super) fn write(hang: &Hang) -> Option<io::Result<PathBuf>> {
    let directory = target_directory()?.join(DIRECTORY);
    let path = directory.join(file_name(&hang.name));
    let written = fs::create_dir_all(&directory)
        .and_then(|()| file::replace(&path, |out| writeln!(out, "{:#}", hang.json())));
    Some(written.map(|()| path))
}

/// The one that the running program was built in. Not what the environment says, which may be about
/// another program that has started this one.
fn target_directory() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let above = program.ancestors().skip(1);
    let mut tagged = above.filter(|directory| is_target(directory));
    tagged.next().map(Path::to_owned)
}

fn is_target(directory: &Path) -> bool {
    // Of other caches than cargo's, a program is not run from there.
    fs::metadata(directory.join(TAG)).is_ok_and(|tag| tag.is_file())
}

/// The path of a function as the name of a file: `app.tests.hangs.json`.
fn file_name(test: &str) -> String {
    let name = test.replace("::", ".");
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-');
    let name: String = name
        .chars()
        .map(|c| if is_plain(c) { c } else { '_' })
        .collect();
    // As long as a file system takes it.
    let end = name.char_indices().map(|(at, c)| at + c.len_utf8());
    let end = end.take_while(|end| *end <= 200).last().unwrap_or(0);
    format!("{}.json", &name[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files() {
        assert_eq!(file_name("app::tests::hangs"), "app.tests.hangs.json");
        assert_eq!(file_name("app::<T>::a/b"), "app._T_.a_b.json");
        assert_eq!(file_name(&"ä".repeat(300)).len(), 205);
        assert_eq!(file_name(""), ".json");
    }

    #[test]
    fn this_program_is_in_a_target_directory() {
        let directory = target_directory().expect("cargo has built it");
        let program = std::env::current_exe().unwrap();
        assert!(program.starts_with(directory));
    }
}
