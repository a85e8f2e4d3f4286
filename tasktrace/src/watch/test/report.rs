//! Writes the report of a hung test to a file.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::dump::Hang;
use crate::watch::file;

/// Files that cargo puts into target directories. It tags a directory only if it has made it, which it has not if the
/// directory is, for example, a volume of a container.
const TARGET_FILES: [&str; 2] = ["CACHEDIR.TAG", ".rustc_info.json"];

/// The directory of the reports, inside the target directory.
const DIRECTORY: &str = "tasktrace";

/// Writes a report as JSON, and returns the path of the file. Returns `None` if there is no target directory.
pub(super) fn write(hang: &Hang) -> Option<io::Result<PathBuf>> {
    let directory = target_directory()?.join(DIRECTORY);
    let path = directory.join(file_name(&hang.name));
    let written = fs::create_dir_all(&directory)
        .and_then(|()| file::replace(&path, |out| writeln!(out, "{:#}", hang.json())));
    Some(written.map(|()| path))
}

/// Returns the target directory in which the running program was built. The environment is not used, because it may be
/// that of another program, which started this one.
fn target_directory() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let above = program.ancestors().skip(1);
    let mut targets = above.filter(|directory| is_target(directory));
    targets.next().map(Path::to_owned)
}

fn is_target(directory: &Path) -> bool {
    // Caches of other programs have the same tag, but a test is not run from a directory in one.
    let mut files = TARGET_FILES.iter().map(|name| directory.join(name));
    files.any(|file| fs::metadata(file).is_ok_and(|file| file.is_file()))
}

/// Returns the name of the file for the path of a test function, such as `app.tests.hangs.json`.
fn file_name(test: &str) -> String {
    let name = test.replace("::", ".");
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-');
    let name: String = name
        .chars()
        .map(|c| if is_plain(c) { c } else { '_' })
        .collect();
    // File systems limit the length of a name, usually to 255 bytes.
    let end = name.char_indices().map(|(at, c)| at + c.len_utf8());
    let end = end.take_while(|end| *end <= 200).last().unwrap_or(0);
    format!("{}.json", &name[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_name_is_the_path_of_the_test_with_dots() {
        assert_eq!(file_name("app::tests::hangs"), "app.tests.hangs.json");
        assert_eq!(file_name("app::<T>::a/b"), "app._T_.a_b.json");
        assert_eq!(file_name(&"ä".repeat(300)).len(), 205);
        assert_eq!(file_name(""), ".json");
    }

    #[test]
    fn the_target_directory_is_above_the_program() {
        let directory = target_directory().expect("cargo has built it");
        let program = std::env::current_exe().unwrap();
        assert!(program.starts_with(directory));
    }

    #[test]
    fn target_directories_are_recognised_with_and_without_a_tag() {
        let process = std::process::id();
        let directory = std::env::temp_dir().join(format!("tasktrace-target-{process}"));
        fs::create_dir_all(&directory).unwrap();
        assert!(!is_target(&directory));
        for name in TARGET_FILES {
            fs::write(directory.join(name), "").unwrap();
            assert!(is_target(&directory), "{name}");
            fs::remove_file(directory.join(name)).unwrap();
        }
        fs::remove_dir(&directory).unwrap();
    }
}
