//! Tests that `ARCHITECTURE.md`, the README and the guides agree with the sources.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tasktrace/src")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns the root of the repository.
fn root() -> PathBuf {
    sources().join("../..")
}

/// Returns the section of `ARCHITECTURE.md` with the diagram and the table of modules.
fn modules_section() -> String {
    let page = read(&root().join("ARCHITECTURE.md"));
    let (_, section) = page
        .split_once("\n## Modules\n")
        .expect("the page has the section");
    let section = section.split("\n## ").next().unwrap_or_default();
    section.to_owned()
}

/// Returns the rows of the table: the modules that each module may use.
fn documented_uses() -> BTreeMap<String, BTreeSet<String>> {
    let section = modules_section();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
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

/// Returns the files of a module without its unit tests, which are in `tests.rs` or in a folder `tests`.
fn files(module: &str) -> Vec<PathBuf> {
    let mut pending = vec![sources().join(module)];
    let mut files = vec![sources().join(format!("{module}.rs"))];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                // A folder `tests` contains unit tests only.
                pending.extend(Some(path).filter(|path| !path.ends_with("tests")));
            } else {
                files.push(path);
            }
        }
    }
    files.retain(|path| path.exists() && !path.ends_with("tests.rs"));
    files
}

/// Returns the modules that a source names as `crate::module` outside comments and unit tests.
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
    let documented = documented_uses();
    let rows = documented.len();
    assert_eq!(rows, 19, "the rows of the table: {documented:?}");
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
fn modules_do_not_use_each_other_in_cycles() {
    let documented = documented_uses();
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

/// Proves that the diagram shows all modules, and that each module uses only modules in lower rows.
#[test]
fn the_diagram_agrees_with_the_table() {
    /// The width of the descriptions on the left.
    const LEFT: usize = 18;

    let documented = documented_uses();
    let section = modules_section();
    let diagram = section.split("```").nth(1).expect("there is a diagram");
    let mut rows = BTreeMap::new();
    for (row, line) in diagram.lines().enumerate() {
        let words = line.get(LEFT..).unwrap_or_default();
        for word in words.split(|c: char| !c.is_alphanumeric() && c != '_') {
            if documented.contains_key(word) {
                rows.insert(word.to_owned(), row);
            }
        }
    }
    for (module, uses) in &documented {
        let row = rows.get(module);
        let row = row.unwrap_or_else(|| panic!("`{module}` is not in the diagram"));
        for used in uses {
            assert!(
                rows[used] > *row,
                "`{module}` uses `{used}`, which is not below it"
            );
        }
    }
}

/// Checks each path in backticks with a directory or the ending `.rs`, in the repository or in the library's sources.
/// Builds make the paths below `target`.
#[test]
fn paths_in_the_pages_for_contributors_exist() {
    for page in ["ARCHITECTURE.md", "CONTRIBUTING.md"] {
        let text = read(&root().join(page));
        // Skips code blocks.
        let prose: String = text.split("```").step_by(2).collect();
        for path in prose.split('`').skip(1).step_by(2) {
            let is_path = |c: char| c.is_alphanumeric() || "_-./".contains(c);
            let may_be_path = path.contains('/') || path.ends_with(".rs");
            if !may_be_path || !path.chars().all(is_path) || path.starts_with("target/") {
                continue;
            }
            // The section about requests names the files of its package.
            let places = [
                "",
                "tasktrace/src",
                "tasktrace-http/src",
                "tasktrace-http/src/server",
            ];
            let exists = |place: &&str| root().join(place).join(path).exists();
            assert!(places.iter().any(exists), "{page} names {path}");
        }
    }
}

#[test]
fn unsafe_code_is_where_it_is_said_to_be() {
    for module in documented_uses().keys() {
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

/// Returns the names of the crate's private modules, and the paths of their files.
fn private_modules() -> (BTreeSet<String>, BTreeSet<String>) {
    // Public modules of the crate, and names of other crates.
    let public = ["http", "hyper", "tokio", "tower", "tracing"];
    let (mut names, mut paths) = (BTreeSet::new(), BTreeSet::new());
    for module in documented_uses().keys() {
        names.insert(module.clone());
        for file in files(module) {
            let path = file.strip_prefix(sources()).unwrap();
            let parts = path.with_extension("");
            let parts = parts.iter().map(|part| part.to_str().unwrap().to_owned());
            names.extend(parts.filter(|part| part != "mod"));
            paths.insert(path.to_str().unwrap().to_owned());
        }
    }
    names.retain(|name| !public.contains(&&**name));
    (names, paths)
}

/// Returns the string literals of a source outside comments and unit tests.
fn literals(source: &str) -> Vec<String> {
    let code = source.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let code: String = lines.flat_map(|line| [line, "\n"]).collect();
    // Escaped characters do not matter for the search.
    let code = code.replace("\\\\", "").replace("\\\"", "");
    let code = code.replace("'\"'", "");
    let quoted = code.split('"').skip(1).step_by(2);
    quoted.map(str::to_owned).collect()
}

/// Returns `true` if a text names a private path of this crate.
fn names_private_path(literal: &str, modules: &BTreeSet<String>, paths: &BTreeSet<String>) -> bool {
    let is_file = paths.iter().any(|path| literal.contains(&**path));
    let segments = |path: &str| -> Vec<String> {
        let end = path.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
        let path = &path[..end.unwrap_or(path.len())];
        path.split("::").map(str::to_owned).collect()
    };
    // The last segment is the function itself, such as `tasktrace::dump`.
    let is_in_module = |path: &str| {
        let segments = segments(path);
        let (_, outer) = segments.split_last().unwrap();
        outer.iter().any(|segment| modules.contains(segment))
    };
    let of_crate = literal.split("tasktrace::").skip(1).any(is_in_module);
    // The literal may be a part of a path that the code searches for.
    let is_part = literal.contains("::") && modules.contains(&segments(literal)[0]);
    is_file || of_crate || is_part
}

/// Private functions can thus be renamed and moved without effect on the output.
#[test]
fn no_text_names_a_private_path_of_the_crate() {
    let (modules, paths) = private_modules();
    let names = |literal: &str| names_private_path(literal, &modules, &paths);
    for wrong in [
        "tasktrace::capture::waker::clone",
        "<tasktrace::task::handle::Backtrace>",
        "poll::poll_task",
        "dump::take::dump",
        "task/handle.rs",
    ] {
        assert!(names(wrong), "{wrong}");
    }
    for right in [
        "tasktrace::dump",
        "tasktrace::TraceHandle::backtrace",
        "tokio::task::JoinHandle",
        "src/main.rs",
    ] {
        assert!(!names(right), "{right}");
    }
    for module in documented_uses().keys() {
        for file in files(module) {
            for literal in literals(&read(&file)) {
                assert!(
                    !names(&literal),
                    "{} names what may be called otherwise: {literal:?}",
                    file.display()
                );
            }
        }
    }
}

/// `os/env.rs` ignores all variables in a program that runs with more rights than the user who starts it.
#[test]
fn the_environment_is_read_in_one_place() {
    for module in documented_uses().keys() {
        for file in files(module) {
            let source = read(&file);
            let code = source.split("#[cfg(test)]").next().unwrap_or_default();
            let mut code = code
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"));
            let reads = |line: &str| {
                let at = [
                    "use std::env;",
                    "std::env::var",
                    "env::var_os",
                    "env::vars",
                    "temp_dir()",
                    "getenv(",
                ];
                at.iter().any(|it| line.contains(it))
            };
            let is_the_place = file.ends_with("os/env.rs");
            assert!(
                is_the_place || !code.any(reads),
                "{} reads the environment",
                file.display()
            );
        }
    }
}

/// Only the examples in its documentation use the library.
#[test]
fn the_http_package_knows_nothing_of_the_library() {
    let files = files("../../tasktrace-http/src");
    assert!(files.iter().any(|file| file.ends_with("src/backend.rs")));
    let is_source = |file: &&PathBuf| file.extension().is_some_and(|it| it == "rs");
    for file in files.iter().filter(is_source) {
        let source = read(file);
        let code = source.split("#[cfg(test)]").next().unwrap_or_default();
        let lines = code.lines().map(str::trim_start);
        for line in lines.filter(|line| !line.starts_with("//")) {
            let wrong = ["tasktrace::", "env::var"];
            let is_wrong = wrong.iter().any(|it| line.contains(it));
            assert!(!is_wrong, "{}: {line}", file.display());
        }
    }
    let root = read(&root().join("tasktrace-http/src/lib.rs"));
    assert!(root.contains("#![forbid(unsafe_code)]"));
}

#[test]
fn the_program_uses_one_module_of_the_library() {
    let files = files("../../tasktrace-cli/src");
    assert!(files.iter().any(|file| file.ends_with("src/main.rs")));
    for file in files {
        let source = read(&file);
        let code = source.lines().map(str::trim_start);
        for line in code.filter(|line| line.starts_with("use tasktrace::")) {
            let is_seam = line.starts_with("use tasktrace::__private::cli::");
            assert!(is_seam, "{}: {line}", file.display());
        }
    }
}

#[test]
fn the_readme_is_short_and_has_no_placeholders() {
    let readme = read(&sources().join("../../README.md"));
    let lines = readme.lines().count();
    assert!(
        lines < 200,
        "{lines} lines: the long parts are in tasktrace/docs"
    );
    // No page names a version before there is a release, or contains a placeholder.
    for wrong in ["tasktrace = \"0.", "cargo install tasktrace", "_COST"] {
        let mut pages = vec![sources().join("../../README.md"), sources().join("lib.rs")];
        pages.extend(files("watch"));
        let docs = fs::read_dir(sources().join("../docs")).unwrap();
        pages.extend(docs.map(|page| page.unwrap().path()));
        for page in pages {
            assert!(
                !read(&page).contains(wrong),
                "{wrong} in {}",
                page.display()
            );
        }
    }
    // Each file of this repository that these pages link to exists.
    for page in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"] {
        let text = read(&root().join(page));
        let links = text.split("](").skip(1);
        let links = links.filter_map(|rest| rest.split([')', '#']).next());
        for link in links.filter(|link| !link.is_empty() && !link.contains("://")) {
            assert!(root().join(link).exists(), "{page} links to {link}");
        }
    }
}

/// Returns the names that follow a path prefix in a source: `a` and `b` of `use super::{a::C, b};`.
fn names_after(code: &str, prefix: &str) -> BTreeSet<String> {
    let name_of = |text: &str| -> String {
        let name = text.trim_start().chars();
        name.take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect()
    };
    let mut names = BTreeSet::new();
    for rest in code.split(prefix).skip(1) {
        let Some(group) = rest.strip_prefix('{') else {
            names.insert(name_of(rest));
            continue;
        };
        let (mut depth, mut at_start) = (0, true);
        for (at, c) in group.char_indices() {
            if at_start && depth == 0 {
                names.insert(name_of(&group[at..]));
            }
            at_start = false;
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' => at_start = true,
                _ => {}
            }
        }
    }
    names
}

/// Returns the files of the same module that each file of a module uses. A file and its children count as one.
fn files_used(module: &str) -> BTreeMap<String, BTreeSet<String>> {
    let root = sources().join(module);
    let stem = |path: &Path| path.file_stem().unwrap().to_string_lossy().into_owned();
    let mut used = BTreeMap::<String, BTreeSet<String>>::new();
    for path in files(module) {
        let inside = path.strip_prefix(&root).unwrap_or(&path);
        let is_child = inside.components().count() > 1;
        let name = match inside.components().next() {
            Some(first) => stem(Path::new(&first)),
            None => continue,
        };
        if name == "mod" || stem(&path) == "model" {
            continue;
        }
        let source = read(&path);
        let code = source.split("#[cfg(test)]").next().unwrap_or_default();
        let lines = code.lines().filter(|line| !line.trim().starts_with("//"));
        let code: String = lines.collect::<Vec<_>>().join("\n");
        let own = used.entry(name).or_default();
        own.extend(names_after(&code, &format!("crate::{module}::")));
        if !is_child {
            own.extend(names_after(&code, "super::"));
        }
    }
    let names: BTreeSet<String> = used.keys().cloned().collect();
    for (name, uses) in &mut used {
        uses.retain(|other| other != name && names.contains(other));
    }
    used
}

#[test]
fn no_two_files_of_the_core_use_each_other() {
    for (module, expected) in [("task", 40), ("capture", 9)] {
        let mut left = files_used(module);
        assert!(left.len() >= expected, "{module}: {left:?}");
        while !left.is_empty() {
            let names: BTreeSet<String> = left.keys().cloned().collect();
            left.retain(|_, uses| uses.intersection(&names).next().is_some());
            assert!(left.len() < names.len(), "a cycle in {module}: {left:#?}");
        }
    }
}
