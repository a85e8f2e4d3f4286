//! Recognises paths of dependencies and of the standard library, and shortens paths of source files.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use super::source::package;
use crate::origin::with_slashes;
use crate::sync::{LockedMap, SharedValue};

/// The package of the standard library: see [`package_of`].
pub(super) const STD: &str = "std";

/// Returns the path of a dependency's file, from the name of its package on: `tokio-1.40.0/src/time/sleep.rs`. Returns
/// `None` for other files.
fn in_dependency(file: &str) -> Option<&str> {
    // A program may be in folders of the same names, so the name of the folder after them has to fit as well.
    // ~/.cargo/registry/src/<registry>/<package>-<version>/…
    if let Some((_, rest)) = file.split_once("/registry/src/")
        && let Some((_registry, rest)) = rest.split_once('/')
        && starts_with_folder(rest, |folder| without_version(folder).is_some())
    {
        return Some(rest);
    }
    // ~/.cargo/git/checkouts/<repository>-<hash>/<revision>/…
    if let Some((_, rest)) = file.split_once("/git/checkouts/")
        && starts_with_folder(rest, |folder| repository(folder).is_some())
    {
        return Some(rest);
    }
    // <workspace>/vendor/<package>/src/…, which is the layout of `cargo vendor`.
    let mut vendored = file
        .match_indices("/vendor/")
        .map(|(at, folder)| &file[at + folder.len()..]);
    let is_package = |rest: &&str| {
        rest.split_once('/')
            .is_some_and(|(_package, file)| file.starts_with("src/"))
    };
    // The standard library is built with the prefix `/rust/deps/` for its dependencies.
    let of_std = || file.split_once("/rust/deps/").map(|(_, rest)| rest);
    vendored.find(is_package).or_else(of_std)
}

fn starts_with_folder(path: &str, is_wanted: impl FnOnce(&str) -> bool) -> bool {
    path.split_once('/')
        .is_some_and(|(folder, _)| is_wanted(folder))
}

/// Returns `tokio` for `tokio-1.40.0`, and `None` for a name without a version. The version starts at the first dash
/// that a digit follows.
pub(super) fn without_version(folder: &str) -> Option<&str> {
    let (at, _) = folder
        .match_indices('-')
        .find(|(at, _)| folder[at + 1..].starts_with(|c: char| c.is_ascii_digit()))?;
    Some(&folder[..at])
}

/// Returns the name of the repository of a checkout, whose folder cargo calls `<repository>-<hash>`.
fn repository(folder: &str) -> Option<&str> {
    /// The number of hexadecimal digits of the hash.
    const DIGITS: usize = 16;

    let (repository, hash) = folder.rsplit_once('-')?;
    let is_hash = hash.len() == DIGITS && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hash.then_some(repository)
}

/// Returns the path of a file of the standard library, from the name of its crate on: `core/src/future/ready.rs`.
/// Returns `None` for other files.
fn in_std(file: &str) -> Option<&str> {
    let from_rustc = file.strip_prefix("/rustc/");
    let (_, rest) = match from_rustc {
        Some(rest) => rest.split_once("/library/")?,
        None => file.split_once("/library/").filter(|(before, rest)| {
            let is_distributed = before.ends_with("/lib/rustlib/src/rust");
            // It may have been built elsewhere: /usr/src/rustc-1.90.0/library/core/src/…
            let in_rust = before
                .rsplit('/')
                .next()
                .is_some_and(|folder| folder.starts_with("rust"));
            let of_std = ["core/src/", "alloc/src/", "std/src/", "test/src/"];
            is_distributed || in_rust && of_std.iter().any(|start| rest.starts_with(start))
        })?,
    };
    Some(rest)
}

/// Returns the package of a dependency's file, [`STD`] for a file of the standard library, and `None` for other files.
pub(super) fn package_of(file: &str) -> Option<&str> {
    if in_std(file).is_some() {
        return Some(STD);
    }
    let folder = in_dependency(file)?.split('/').next()?;
    let package = repository(folder).or_else(|| without_version(folder));
    Some(package.unwrap_or(folder))
}

/// Returns `true` if the file belongs to a dependency or to the standard library.
pub(crate) fn is_in_library(file: &str) -> bool {
    package_of(file).is_some()
}

/// Returns the module of a dependency's file in the usual layout: `tokio::sync::mutex` for
/// `tokio-1.40.0/src/sync/mutex.rs`.
pub(crate) fn module(file: &str) -> Option<String> {
    let package = package_of(file).filter(|package| *package != STD)?;
    let (_, path) = in_dependency(file)?.rsplit_once("/src/")?;
    let path = path.strip_suffix(".rs")?;
    let path = match path.rsplit_once('/') {
        Some((directory, "mod")) => directory,
        None if path == "lib" => "",
        _ => path,
    };
    let mut module = package.replace('-', "_");
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        module.push_str("::");
        module.push_str(segment);
    }
    Some(module)
}

/// The known roots of workspaces.
static WORKSPACES: SharedValue<[Arc<str>]> = SharedValue::new();

/// Adds the root of a workspace, if it is not known.
fn add_workspace(root: &str) {
    WORKSPACES.update(|known| {
        let all = known.unwrap_or_default().iter();
        let is_new = all.clone().all(|known| **known != *root);
        is_new.then(|| all.cloned().chain([root.into()]).collect())
    });
}

/// Learns the root of a workspace from two spellings of a path. The compiler writes the paths of its workspace into the
/// program relative to the root (`file!()`), and into the debug information as absolute paths.
pub(crate) fn learn_workspace(relative: &str, absolute: &str) {
    if Path::new(relative).has_root()
        || in_std(absolute).is_some()
        || in_dependency(absolute).is_some()
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

/// Learns the root of a workspace from a source file, if the file still is where the compiler found it. So paths are
/// short before any path is known in both spellings, and the output of a process is uniform from its first line on.
pub(super) fn learn_from_sources(file: &str) {
    if !Path::new(file).has_root() || in_std(file).is_some() || in_dependency(file).is_some() {
        return;
    }
    let Some((directory, _)) = file.rsplit_once('/') else {
        return;
    };
    if DIRECTORIES.get(directory).is_none() {
        if let Some(root) = package::workspace_of(Path::new(directory))
            && let Some(root) = root.to_str()
        {
            add_workspace(&format!("{root}/"));
        }
        // Only now, so that no other thread takes the directory for searched before its root is known. If another
        // thread looks for the root at the same time, it finds the same.
        let _ = DIRECTORIES.insert(directory.to_owned(), ());
    }
}

/// The directories of sources that were searched for a workspace.
static DIRECTORIES: LockedMap<String, ()> = LockedMap::new();

/// Removes `.` and `..` from a path, as far as they can be resolved.
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

/// Shortens paths of source files for readers.
#[derive(PartialEq, Eq)]
pub(crate) struct PathShortener {
    /// The roots of workspaces, longest first, followed by the current directory, which may be that of a package in a
    /// workspace.
    roots: Vec<Arc<str>>,
}

impl PathShortener {
    pub(crate) fn new() -> Self {
        let workspaces = WORKSPACES.get();
        let mut roots = workspaces.as_deref().unwrap_or_default().to_vec();
        roots.sort_by_key(|root| std::cmp::Reverse(root.len()));
        if let Ok(here) = std::env::current_dir() {
            roots.push(format!("{}/", with_slashes(&here.to_string_lossy())).into());
        }
        Self { roots }
    }

    /// Returns the current value. As long as paths are shortened in the same way, that is the same allocation.
    pub(crate) fn current() -> Arc<Self> {
        static CURRENT: SharedValue<PathShortener> = SharedValue::new();

        let now = Arc::new(Self::new());
        CURRENT.update(|known| (known != Some(&*now)).then(|| Arc::clone(&now)));
        CURRENT.get().unwrap_or(now)
    }

    /// Returns the path relative to its workspace, to the package of a dependency, or to the sources of the standard
    /// library. The result has slashes on every system.
    pub(crate) fn shorten<'a>(&self, file: &'a str) -> Cow<'a, str> {
        match with_slashes(file) {
            Cow::Borrowed(file) => self.shorten_slashed(file),
            Cow::Owned(file) => self.shorten_slashed(&file).into_owned().into(),
        }
    }

    fn shorten_slashed<'a>(&self, file: &'a str) -> Cow<'a, str> {
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
    fn packages_are_recognised_by_the_layout_of_cargo() {
        assert_eq!(package_of(TOKIO), Some("tokio"));
        assert_eq!(package_of(CORE), Some(STD));
        assert_eq!(package_of(RUST_SRC), Some(STD));
        assert_eq!(package_of("/home/me/project/src/main.rs"), None);
        let dashes = "/x/registry/src/r/futures-util-0.3.34/src/lib.rs";
        assert_eq!(package_of(dashes), Some("futures-util"));
        let vendored = "/home/me/project/vendor/tokio/src/lib.rs";
        assert_eq!(package_of(vendored), Some("tokio"));
        let versioned = "/home/me/project/vendor/tokio-1.40.0/src/lib.rs";
        assert_eq!(package_of(versioned), Some("tokio"));
        assert_eq!(package_of("/home/me/project/src/vendor/tokio.rs"), None);
        let distributed = "/usr/src/rustc-1.90.0/library/alloc/src/boxed.rs";
        assert_eq!(package_of(distributed), Some(STD));
        let built = "/build/rustc-1.90.0-src/library/core/src/future/mod.rs";
        assert_eq!(package_of(built), Some(STD));
        let hash = "/x/git/checkouts/tokio-a123456789abcdef/0123abc/tokio/src/lib.rs";
        assert_eq!(package_of(hash), Some("tokio"));
        assert_eq!(super::module(hash), Some("tokio".to_owned()));
        let nested = "/home/vendor/project/vendor/tokio/src/lib.rs";
        assert_eq!(package_of(nested), Some("tokio"));
    }

    #[test]
    fn programs_in_folders_with_the_names_of_caches_are_no_dependencies() {
        for file in [
            "/home/me/library/src/main.rs",
            "/home/me/library/core/src/lib.rs",
            "/home/me/registry/src/main.rs",
            "/home/me/registry/src/net/server.rs",
            "/home/me/registry/src/net/http/server.rs",
            "/home/me/git/checkouts/app/src/main.rs",
            "/home/me/git/checkouts/my-app/src/main.rs",
        ] {
            assert_eq!(package_of(file), None, "{file}");
        }
    }

    #[test]
    fn modules_follow_from_paths_of_dependencies() {
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
    fn paths_of_dependencies_begin_with_their_package() {
        let paths = PathShortener { roots: Vec::new() };
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
        let paths = PathShortener {
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

    #[cfg(windows)]
    #[test]
    fn paths_with_backslashes_are_shortened() {
        let paths = PathShortener {
            roots: vec!["C:/project/".into()],
        };
        let tokio = r"C:\Users\me\.cargo\registry\src\index-1949cf8c\tokio-1.40.0\src\lib.rs";
        assert_eq!(paths.shorten(tokio), "tokio-1.40.0/src/lib.rs");
        assert_eq!(paths.shorten(r"C:\project\app\..\src\x.rs"), "src/x.rs");
        assert_eq!(paths.shorten(r"src\main.rs"), "src/main.rs");
    }

    #[test]
    fn workspaces_are_learnt_from_existing_sources() {
        let package = env!("CARGO_MANIFEST_DIR");
        learn_from_sources(&format!("{package}/src/lib.rs"));
        learn_from_sources("/not/there/src/lib.rs");
        let paths = PathShortener::new();
        let file = format!("{package}/src/symbol/path.rs");
        assert_eq!(paths.shorten(&file), "tasktrace/src/symbol/path.rs");
        assert_eq!(
            paths.shorten("/not/there/src/lib.rs"),
            "/not/there/src/lib.rs"
        );
    }

    /// Each thread knows the root when it has learnt, although another thread may look for it at the same time.
    #[test]
    fn threads_that_learn_at_the_same_time_know_the_workspace() {
        let all = std::env::temp_dir().join(format!("tasktrace-learnt-{}", std::process::id()));
        for number in 0..50 {
            let package = all.join(number.to_string());
            std::fs::create_dir_all(package.join("src")).expect("files can be written");
            std::fs::write(package.join("Cargo.toml"), "[workspace]").expect("so can this");
            let file = package.join("src/lib.rs");
            let file = with_slashes(file.to_str().expect("it is text"));
            let start = std::sync::Barrier::new(4);
            let learn = || {
                start.wait();
                learn_from_sources(&file);
                PathShortener::new().shorten(&file).into_owned()
            };
            std::thread::scope(|scope| {
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(learn)).collect();
                for thread in threads {
                    assert_eq!(thread.join().expect("it does not panic"), "src/lib.rs");
                }
            });
        }
        std::fs::remove_dir_all(all).expect("they belong to this test");
    }

    #[test]
    fn workspaces_are_learnt_from_two_spellings() {
        learn_workspace("app/src/main.rs", "/test/of/paths/app/src/main.rs");
        learn_workspace("src/lib.rs", TOKIO);
        learn_workspace("/absolute/src/lib.rs", "/absolute/src/lib.rs");
        learn_workspace("rc/lib.rs", "/test/no/boundary/src/lib.rs");
        let paths = PathShortener::new();
        assert_eq!(paths.shorten("/test/of/paths/lib/src/x.rs"), "lib/src/x.rs");
        assert_eq!(paths.shorten(TOKIO), "tokio-1.40.0/src/lib.rs");
        let elsewhere = "/test/no/boundary/src/lib.rs";
        assert_eq!(paths.shorten(elsewhere), elsewhere);
    }
}
