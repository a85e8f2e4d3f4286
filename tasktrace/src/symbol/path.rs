//! Paths of source files, as a reader wants them.

use std::borrow::Cow;
use std::path::Path;
use std::sync::{Arc, PoisonError};

use super::source::package;
use crate::sync::{Map, StaticMutex as Mutex};

/// What [`krate`] calls the standard library.
pub(super) const STD: &str = "std";

/// A dependency's file, from the name of its package on: `tokio-1.40.0/src/time/sleep.rs`.
fn in_dependency(file: &str) -> Option<&str> {
    // ~/.cargo/registry/src/<registry>/<package>-<version>/…
    if let Some((_, rest)) = split_after(file, "/registry/src/") {
        return rest.split_once('/').map(|(_registry, file)| file);
    }
    // ~/.cargo/git/checkouts/<repository>-<hash>/<revision>/…
    if let Some((_, rest)) = split_after(file, "/git/checkouts/") {
        return Some(rest);
    }
    // <workspace>/vendor/<package>/src/…, as `cargo vendor` has it.
    if let Some((_, rest)) = split_after(file, "/vendor/")
        && rest
            .split_once('/')
            .is_some_and(|(_package, file)| file.starts_with("src/"))
    {
        return Some(rest);
    }
    // Prefixes of paths in builds of the standard library.
    split_after(file, "/rust/deps/").map(|(_, rest)| rest)
}

/// A file of the standard library, from the name of its crate on: `core/src/future/ready.rs`.
fn in_std(file: &str) -> Option<&str> {
    let from_rustc = file.strip_prefix("/rustc/");
    let (_, rest) = match from_rustc {
        Some(rest) => split_after(rest, "/library/")?,
        None => split_after(file, "/library/").filter(|(before, rest)| {
            let is_distributed = before.ends_with("/lib/rustlib/src/rust");
            // Where a distribution has built it: /usr/src/rustc-1.90.0/library/core/src/…
            let of_std = ["core/src/", "alloc/src/", "std/src/", "test/src/"];
            is_distributed || of_std.iter().any(|start| rest.starts_with(start))
        })?,
    };
    Some(rest)
}

fn split_after<'a>(text: &'a str, part: &str) -> Option<(&'a str, &'a str)> {
    text.split_once(part)
}

/// The package that a dependency's file is of, [`STD`] for the standard library, `None` for
/// everything else.
pub(super) fn krate(file: &str) -> Option<&str> {
    if in_std(file).is_some() {
        return Some(STD);
    }
    let package = in_dependency(file)?.split('/').next()?;
    // `tokio-1.40.0`: the version starts at the first dash that a digit follows.
    let version = package
        .match_indices('-')
        .find(|(at, _)| package[at + 1..].starts_with(|c: char| c.is_ascii_digit()));
    Some(version.map_or(package, |(at, _)| &package[..at]))
}

/// Returns `true` if the file is a dependency's or the standard library's, and not the program's.
pub(crate) fn is_in_library(file: &str) -> bool {
    krate(file).is_some()
}

/// The module that a dependency's file is, as far as it is usual: `tokio::sync::mutex` for
/// `tokio-1.40.0/src/sync/mutex.rs`.
pub(crate) fn module(file: &str) -> Option<String> {
    let krate = krate(file).filter(|krate| *krate != STD)?;
    let (_, path) = in_dependency(file)?.rsplit_once("/src/")?;
    let path = path.strip_suffix(".rs")?;
    let path = match path.rsplit_once('/') {
        Some((directory, "mod")) => directory,
        None if path == "lib" => "",
        _ => path,
    };
    let mut module = krate.replace('-', "_");
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        module.push_str("::");
        module.push_str(segment);
    }
    Some(module)
}

/// Directories that are known to be roots of workspaces. Replaced as a whole, so that nothing is allocated while it is
/// locked.
static WORKSPACES: Mutex<Option<Roots>> = Mutex::new(None);

type Roots = Arc<[Arc<str>]>;

fn workspaces() -> Option<Roots> {
    WORKSPACES
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone()
}

/// Adds the root of a workspace, if it is not known.
fn add_workspace(root: &str) {
    loop {
        let known = workspaces();
        let all = known.iter().flat_map(|roots| roots.iter());
        if all.clone().any(|known| **known == *root) {
            return;
        }
        let more: Roots = all.cloned().chain([root.into()]).collect();
        let mut current = WORKSPACES.lock().unwrap_or_else(PoisonError::into_inner);
        let is_as_before = match (&*current, &known) {
            (None, None) => true,
            (Some(current), Some(known)) => Arc::ptr_eq(current, known),
            _ => false,
        };
        let unneeded = match is_as_before {
            true => current.replace(more),
            false => Some(more),
        };
        drop(current);
        drop(unneeded);
        if is_as_before {
            return;
        }
    }
}

/// Tells the root of a workspace from two spellings of a path: the compiler writes the paths of
/// the workspace it compiles relative to the root into the program (`file!()`), and absolute into
/// the debug information.
pub(crate) fn learn_workspace(relative: &str, absolute: &str) {
    if relative.starts_with('/') || in_std(absolute).is_some() || in_dependency(absolute).is_some()
    {
        return;
    }
    let Some(root) = absolute.strip_suffix(relative) else {
        return;
    };
    if root.ends_with('/') {
        add_workspace(root);
    }
}

/// Tells the root of a workspace from a source file, if that is where the compiler found it. So paths are short before
/// there is anything that has both spellings, and in each process from the first line on.
pub(super) fn learn_from_sources(file: &str) {
    if !file.starts_with('/') || in_std(file).is_some() || in_dependency(file).is_some() {
        return;
    }
    let Some((directory, _)) = file.rsplit_once('/') else {
        return;
    };
    if DIRECTORIES.get(directory).is_none() {
        // If another thread looks for it as well, it finds the same.
        let _ = DIRECTORIES.insert(directory.to_owned(), ());
        if let Some(root) = package::workspace_of(Path::new(directory))
            && let Some(root) = root.to_str()
        {
            add_workspace(&format!("{root}/"));
        }
    }
}

/// Directories of sources that were looked at.
static DIRECTORIES: Map<String, ()> = Map::new();

/// Without `.` and `..`, as far as they can be resolved.
fn normalise(file: &str) -> Cow<'_, str> {
    let is_normal = |part: &str| part != "." && part != "..";
    if file.split('/').all(is_normal) {
        return file.into();
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in file.split('/') {
        match (part, parts.last()) {
            (".", _) => {}
            // The root has no parent.
            ("..", Some(&"")) if parts.len() == 1 => {}
            ("..", Some(&last)) if last != ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    parts.join("/").into()
}

/// Shortens paths.
#[derive(PartialEq, Eq)]
pub(crate) struct Paths {
    /// Those of workspaces before the current directory, which may be that of a package in one.
    roots: Vec<Arc<str>>,
}

impl Paths {
    pub(crate) fn new() -> Self {
        let workspaces = workspaces();
        let mut roots: Vec<Arc<str>> = workspaces
            .iter()
            .flat_map(|all| all.iter().cloned())
            .collect();
        roots.sort_by_key(|root| std::cmp::Reverse(root.len()));
        if let Ok(here) = std::env::current_dir() {
            roots.push(format!("{}/", here.display()).into());
        }
        Self { roots }
    }

    /// The same value as before, as long as paths are shortened in the same way.
    pub(crate) fn current() -> Arc<Self> {
        static CURRENT: Mutex<Option<Arc<Paths>>> = Mutex::new(None);

        let now = Arc::new(Self::new());
        let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(current) = &*current
            && **current == *now
        {
            return Arc::clone(current);
        }
        let before = current.replace(Arc::clone(&now));
        drop(current);
        drop(before);
        now
    }

    /// Relative to the workspace, to the package of a dependency, or to the sources of the
    /// standard library.
    pub(crate) fn shorten<'a>(&self, file: &'a str) -> Cow<'a, str> {
        if let Some(file) = in_std(file).or_else(|| in_dependency(file)) {
            return file.into();
        }
        let relative = |file: &str| {
            let mut roots = self.roots.iter();
            roots.find_map(|root| Some(file.strip_prefix(&**root)?.len()))
        };
        match normalise(file) {
            Cow::Borrowed(file) => {
                let length = relative(file).unwrap_or(file.len());
                file[file.len() - length..].into()
            }
            Cow::Owned(mut file) => {
                let length = relative(&file).unwrap_or(file.len());
                file.drain(..file.len() - length);
                file.into()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKIO: &str =
        "/home/me/.cargo/registry/src/registry-1949cf8c6b5b557f/tokio-1.40.0/src/lib.rs";
    const GIT: &str =
        "/home/me/.cargo/git/checkouts/tokio-0123456789abcdef/0123abc/tokio/src/lib.rs";
    const CORE: &str =
        "/rustc/59807616e1fa2540724bfbac14d7976d7e4a3860/library/core/src/task/poll.rs";
    const RUST_SRC: &str =
        "/home/me/.rustup/toolchains/x/lib/rustlib/src/rust/library/std/src/rt.rs";

    #[test]
    fn packages() {
        assert_eq!(krate(TOKIO), Some("tokio"));
        assert_eq!(krate(CORE), Some(STD));
        assert_eq!(krate(RUST_SRC), Some(STD));
        assert_eq!(krate("/home/me/project/src/main.rs"), None);
        let dashes = "/x/registry/src/r/futures-util-0.3.34/src/lib.rs";
        assert_eq!(krate(dashes), Some("futures-util"));
        let vendored = "/home/me/project/vendor/tokio/src/lib.rs";
        assert_eq!(krate(vendored), Some("tokio"));
        let versioned = "/home/me/project/vendor/tokio-1.40.0/src/lib.rs";
        assert_eq!(krate(versioned), Some("tokio"));
        assert_eq!(krate("/home/me/project/src/vendor/tokio.rs"), None);
        let distributed = "/usr/src/rustc-1.90.0/library/alloc/src/boxed.rs";
        assert_eq!(krate(distributed), Some(STD));
        assert_eq!(krate("/home/me/library/src/main.rs"), None);
    }

    #[test]
    fn modules() {
        let module = |file: &str| module(&format!("/x/registry/src/r/{file}"));
        let is = |module: &str| Some(module.to_owned());
        assert_eq!(module("tokio-1.40.0/src/lib.rs"), is("tokio"));
        assert_eq!(module("tokio-1.40.0/src/fs/mod.rs"), is("tokio::fs"));
        assert_eq!(module("a-b-1.0.0/src/x/y.rs"), is("a_b::x::y"));
        assert_eq!(module("a-b-1.0.0/build.rs"), None);
        assert_eq!(super::module(GIT), is("tokio"));
        assert_eq!(super::module(CORE), None);
        assert_eq!(super::module("/home/me/project/src/main.rs"), None);
    }

    #[test]
    fn what_is_not_ours_is_shown_from_its_package_on() {
        let paths = Paths { roots: Vec::new() };
        assert_eq!(paths.shorten(TOKIO), "tokio-1.40.0/src/lib.rs");
        assert_eq!(
            paths.shorten(GIT),
            "tokio-0123456789abcdef/0123abc/tokio/src/lib.rs"
        );
        assert_eq!(paths.shorten(CORE), "core/src/task/poll.rs");
        assert_eq!(paths.shorten(RUST_SRC), "std/src/rt.rs");
    }

    #[test]
    fn paths_are_normalised() {
        let paths = Paths {
            roots: vec!["/home/me/project/".into()],
        };
        let libc = "./socket/../sysdeps/unix/sysv/linux/recv.c";
        assert_eq!(paths.shorten(libc), "sysdeps/unix/sysv/linux/recv.c");
        assert_eq!(
            paths.shorten("/home/me/project/a/../src/./x.rs"),
            "src/x.rs"
        );
        assert_eq!(paths.shorten("/../x/y/../z.rs"), "/x/z.rs");
        assert_eq!(paths.shorten("../../x.rs"), "../../x.rs");
        assert_eq!(paths.shorten("src/..x/y.rs"), "src/..x/y.rs");
    }

    #[test]
    fn workspaces_are_learnt_from_their_sources() {
        let package = env!("CARGO_MANIFEST_DIR");
        learn_from_sources(&format!("{package}/src/lib.rs"));
        learn_from_sources("/not/there/src/lib.rs");
        let paths = Paths::new();
        let file = format!("{package}/src/symbol/path.rs");
        assert_eq!(paths.shorten(&file), "tasktrace/src/symbol/path.rs");
        assert_eq!(
            paths.shorten("/not/there/src/lib.rs"),
            "/not/there/src/lib.rs"
        );
    }

    #[test]
    fn workspaces_are_learnt() {
        learn_workspace("app/src/main.rs", "/test/of/paths/app/src/main.rs");
        learn_workspace("src/lib.rs", TOKIO);
        learn_workspace("/absolute/src/lib.rs", "/absolute/src/lib.rs");
        learn_workspace("rc/lib.rs", "/test/no/boundary/src/lib.rs");
        let paths = Paths::new();
        assert_eq!(paths.shorten("/test/of/paths/lib/src/x.rs"), "lib/src/x.rs");
        assert_eq!(paths.shorten(TOKIO), "tokio-1.40.0/src/lib.rs");
        let elsewhere = "/test/no/boundary/src/lib.rs";
        assert_eq!(paths.shorten(elsewhere), elsewhere);
    }
}
