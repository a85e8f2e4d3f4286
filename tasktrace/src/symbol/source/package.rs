//! Finds the crate and the module of a source file by its path in its package.
//!
//! It knows the layout that Cargo discovers, and the targets whose path the manifest states. The manifest is read line
//! by line, for keys of the usual form: `name = "…"`.

use std::io;
use std::path::{Component, Path};

/// Returns the root of the workspace that a directory of sources belongs to, or the root of its package if that is in
/// no workspace.
pub(in crate::symbol) fn workspace_of(directory: &Path) -> Option<&Path> {
    let mut packages = directory
        .ancestors()
        .filter(|dir| dir.join("Cargo.toml").is_file());
    let package = packages.next()?;
    let is_root = |dir: &&Path| {
        let manifest = super::read(&dir.join("Cargo.toml")).unwrap_or_default();
        manifest
            .lines()
            .any(|line| line.trim_start().starts_with("[workspace"))
    };
    Some(
        std::iter::once(package)
            .chain(packages)
            .find(is_root)
            .unwrap_or(package),
    )
}

/// Returns the crate of `file` and the modules down to it, or `None` if the file is in no package.
///
/// # Errors
///
/// Returns an error if the manifest cannot be read.
pub(super) fn module_of(file: &Path) -> io::Result<Option<Vec<String>>> {
    let has_manifest = |dir: &&Path| dir.join("Cargo.toml").is_file();
    let Some(package) = file.ancestors().skip(1).find(has_manifest) else {
        return Ok(None);
    };
    let manifest = super::read(&package.join("Cargo.toml"))?;
    let inside = file.strip_prefix(package).unwrap_or(file).components();
    let names: Option<Vec<&str>> = inside
        .map(|component| match component {
            Component::Normal(name) => name.to_str(),
            _ => None,
        })
        .collect();
    let has_library = package.join("src/lib.rs").is_file();
    Ok(names.and_then(|names| module_in(&manifest, &names.join("/"), has_library)))
}

/// Does the same as [`module_of`], for the path `inside` the package of `manifest`. `has_library` says whether the
/// package has a `src/lib.rs`.
pub(super) fn module_in(manifest: &str, inside: &str, has_library: bool) -> Option<Vec<String>> {
    let tables = tables(manifest);
    let table = |title| tables.iter().find(|table| table.title == title);
    let target = |path| {
        tables
            .iter()
            .find(|table| table.is_target() && table.path == Some(path))
    };
    let package = table("package")?.name?;
    if let Some(target) = target(inside) {
        return Some(vec![crate_name(target.name.unwrap_or(package))]);
    }

    let library = table("lib");
    let library_root = library
        .and_then(|library| library.path)
        .unwrap_or("src/lib.rs");
    let library_dir = library_root.trim_end_matches(|char| char != '/');
    let in_library = (library.is_some() || has_library) && inside.starts_with(library_dir);

    let parts: Vec<&str> = inside.split('/').collect();
    let (krate, modules) = match parts.as_slice() {
        ["src", "bin", krate, modules @ ..] => (*krate, modules),
        ["examples" | "tests" | "benches", krate, modules @ ..] => (*krate, modules),
        ["src", "main.rs"] => (package, [].as_slice()),
        modules if in_library => {
            let name = library.and_then(|library| library.name).unwrap_or(package);
            (name, &modules[library_dir.matches('/').count()..])
        }
        ["src", modules @ ..] => {
            let name = target("src/main.rs")
                .and_then(|main| main.name)
                .unwrap_or(package);
            (name, modules)
        }
        [.., dir, "main.rs"] => (*dir, [].as_slice()),
        [.., file] => (*file, [].as_slice()),
        [] => return None,
    };
    // `mod.rs`, and the root file of a crate, add no module of their own.
    let modules = match modules {
        [above @ .., "mod.rs"] => above,
        ["lib.rs" | "main.rs"] => &[],
        all => all,
    };
    let mut path = vec![crate_name(stem(krate))];
    path.extend(modules.iter().map(|module| stem(module).to_owned()));
    Some(path)
}

fn stem(file: &str) -> &str {
    file.strip_suffix(".rs").unwrap_or(file)
}

fn crate_name(target: &str) -> String {
    target.replace('-', "_")
}

/// A table of a manifest, with the values that are needed.
struct ManifestTable<'a> {
    title: &'a str,
    name: Option<&'a str>,
    path: Option<&'a str>,
}

impl ManifestTable<'_> {
    fn is_target(&self) -> bool {
        matches!(self.title, "lib" | "bin" | "example" | "test" | "bench")
    }
}

fn tables(manifest: &str) -> Vec<ManifestTable<'_>> {
    let mut tables = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            let title = line
                .trim_start_matches('[')
                .split(']')
                .next()
                .unwrap_or_default();
            tables.push(ManifestTable {
                title: title.trim(),
                name: None,
                path: None,
            });
        } else if let Some((key, value)) = line.split_once('=')
            && let Some(table) = tables.last_mut()
        {
            match key.trim() {
                "name" => table.name = quoted(value),
                "path" => table.path = quoted(value).map(|path| path.trim_start_matches("./")),
                _ => {}
            }
        }
    }
    tables
}

fn quoted(value: &str) -> Option<&str> {
    let value = value.trim_start();
    let quote = value
        .chars()
        .next()
        .filter(|char| matches!(char, '"' | '\''))?;
    value[1..].split_once(quote).map(|(inside, _)| inside)
}
