//! The table of modules in the documentation of the crate is what the sources say.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tasktrace/src")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The rows of the table: what each module may use.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let lib = read(&sources().join("lib.rs"));
    let rows = lib.lines().filter_map(|line| line.strip_prefix("//! | `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let uses = cells[2]
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty());
        (
            cells[0].trim_end_matches('`').to_owned(),
            uses.map(str::to_owned).collect(),
        )
    })
    .collect()
}

/// The files of a module, without its tests.
fn files(module: &str) -> Vec<PathBuf> {
    let mut pending = vec![sources().join(module)];
    let mut files = vec![sources().join(format!("{module}.rs"))];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files.retain(|path| path.exists() && !path.ends_with("tests.rs"));
    files
}

/// The modules that a source names as `crate::module`, leaving comments and unit tests aside.
fn used(source: &str, modules: &BTreeMap<String, BTreeSet<String>>) -> BTreeSet<String> {
    let code = source.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = code
        .lines()
        .map(str::trim_start)
        .filter(|line| !line.starts_with("//"));
    let paths = lines.flat_map(|line| line.split("crate::").skip(1));
    paths
        .filter_map(|path| {
            path.split(|c: char| !c.is_alphanumeric() && c != '_')
                .next()
        })
        .filter(|name| modules.contains_key(*name))
        .map(str::to_owned)
        .collect()
}

#[test]
fn modules_use_only_what_is_documented() {
    let documented = documented();
    let rows = documented.len();
    assert_eq!(rows, 14, "the rows of the table: {documented:?}");
    for (module, allowed) in &documented {
        let files = files(module);
        assert!(!files.is_empty(), "there is no module `{module}`");
        for file in files {
            let mut used = used(&read(&file), &documented);
            used.remove(module);
            let more: Vec<_> = used.difference(allowed).collect();
            assert!(more.is_empty(), "{} uses {more:?}", file.display());
        }
    }
}

#[test]
fn the_arrows_point_one_way() {
    let documented = documented();
    let mut settled = BTreeSet::new();
    while settled.len() < documented.len() {
        let next: Vec<&String> = documented
            .iter()
            .filter(|(module, uses)| !settled.contains(*module) && uses.is_subset(&settled))
            .map(|(module, _)| module)
            .collect();
        assert!(!next.is_empty(), "a cycle outside of {settled:?}");
        settled.extend(next.into_iter().cloned());
    }
}

#[test]
fn unsafe_code_is_where_it_is_said_to_be() {
    for module in documented().keys() {
        let allowed = ["unwind", "capture", "task", "os"].contains(&module.as_str());
        for file in files(module) {
            let source = read(&file);
            let code = source
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"));
            let has = code
                .into_iter()
                .any(|line| line.contains("unsafe {") || line.contains("unsafe fn"));
            assert!(allowed || !has, "{} has unsafe code", file.display());
        }
    }
}
