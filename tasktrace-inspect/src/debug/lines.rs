//! Names of source files.

use super::names::shorten_file;
use super::unit::Unit;

/// Returns the name of a file in the list of a unit, shortened.
pub(super) fn file_name(unit: &Unit<'_>, number: u64) -> Option<String> {
    let header = unit.line_program.as_ref()?.header();
    let file = header.file(number)?;
    let string = |value| {
        let text = unit.text_of_line_program(value)?;
        Some(String::from_utf8_lossy(text.slice()).into_owned())
    };
    let name = string(file.path_name())?;
    let directory = file.directory(header).and_then(string).unwrap_or_default();
    let root = unit
        .comp_dir
        .map(|root| String::from_utf8_lossy(root.slice()).into_owned())
        .unwrap_or_default();
    let path = join(&root, &join(&directory, &name));
    let short = shorten_file(&path);
    let below = short
        .strip_prefix(root.as_str())
        .and_then(|path| path.strip_prefix('/'));
    Some(below.unwrap_or(short).to_owned())
}

fn join(directory: &str, name: &str) -> String {
    match name.starts_with('/') || directory.is_empty() {
        true => name.to_owned(),
        false => format!("{}/{name}", directory.trim_end_matches('/')),
    }
}
