//! Whose code a function is.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};

use super::Symbol;
use super::path;
use crate::origin::Name;
use crate::sync::{StaticMutex as Mutex, StaticMutexGuard as MutexGuard};

/// Whose code a function is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// The program's own, or a library's that does the program's work.
    User,
    /// Executors, synchronisation and combinators: what async programs wait on and wait with.
    Runtime,
    /// `core`, `alloc`, `std`.
    Std,
    /// The `poll` of [`std::future::PollFn`]: what it calls is a closure of the function that
    /// awaits it.
    PollFn,
    /// Of this crate.
    Ours,
}

/// Crates whose functions are plumbing or resources, rather than anybody's program.
const RUNTIMES: &[&str] = &[
    "async_broadcast",
    "async_channel",
    "async_executor",
    "async_global_executor",
    "async_io",
    "async_lock",
    "async_net",
    "async_process",
    "async_signal",
    "async_std",
    "async_stream",
    "async_task",
    "atomic_waker",
    "blocking",
    "concurrent_queue",
    "crossbeam_channel",
    "diatomic_waker",
    "event_listener",
    "event_listener_strategy",
    "flume",
    "futures",
    "futures_buffered",
    "futures_channel",
    "futures_concurrency",
    "futures_core",
    "futures_executor",
    "futures_intrusive",
    "futures_io",
    "futures_lite",
    "futures_micro",
    "futures_sink",
    "futures_task",
    "futures_timer",
    "futures_util",
    "kanal",
    "lock_api",
    "maitake_sync",
    "mio",
    "parking",
    "parking_lot",
    "parking_lot_core",
    "piper",
    "pin_project",
    "pin_project_lite",
    "polling",
    "pollster",
    "rustix",
    "smol",
    "tachyonix",
    "thingbuf",
    "tokio",
    "tokio_stream",
    "tokio_util",
    "tracing",
    "tracing_futures",
];

const STD: &[&str] = &[
    "alloc",
    "core",
    "std",
    "test",
    "compiler_builtins",
    "rustc_std_workspace_core",
];

/// The directory of this crate's sources, as the compiler writes it: that of this file, but for as many
/// of the last segments as the path of this module has after the name of the crate.
const OUR_SOURCES: &str = {
    let (file, module) = (file!().as_bytes(), module_path!().as_bytes());
    let mut end = file.len();
    let mut at = 0;
    while at + 1 < module.len() {
        if module[at] == b':' && module[at + 1] == b':' {
            at += 1;
            end -= 1;
            while !matches!(file[end - 1], b'/' | b'\\') {
                end -= 1;
            }
        }
        at += 1;
    }
    match std::str::from_utf8(file.split_at(end).0) {
        Ok(start) => start,
        Err(_) => panic!("the paths of source files are text"),
    }
};

/// Libraries that are known as such where there is no file to tell.
const LIBRARIES: &[&str] = &[
    "actix_http",
    "actix_rt",
    "actix_server",
    "actix_web",
    "async_graphql",
    "async_tungstenite",
    "axum",
    "axum_core",
    "bb8",
    "deadpool",
    "deadpool_runtime",
    "h2",
    "hickory_proto",
    "hickory_resolver",
    "hyper",
    "hyper_rustls",
    "hyper_tls",
    "hyper_util",
    "mobc",
    "moka",
    "quinn",
    "redis",
    "reqwest",
    "rumqttc",
    "sqlx",
    "sqlx_core",
    "sqlx_mysql",
    "sqlx_postgres",
    "sqlx_sqlite",
    "tarpc",
    "tokio_native_tls",
    "tokio_postgres",
    "tokio_rustls",
    "tokio_tungstenite",
    "tonic",
    "tower",
    "tower_http",
    "warp",
];

/// `split` is `name` taken apart, `file` as it stands in the debug information.
///
/// The file decides, as far as there is one: a test, an example or a binary may have the name of a
/// runtime, and its functions are the program's all the same.
pub(super) fn of(name: &str, split: &Name, file: Option<&str>) -> Class {
    let function = &*split.function;
    let krate = krate(function);
    let package = file.and_then(path::krate);
    let in_our_sources = file.is_some_and(|file| file.contains(OUR_SOURCES));
    let is_elsewhere = |file: &str| krate.is_some_and(|krate| is_versioned(file, krate));
    let in_program = file.is_some_and(|file| is_rust(file) && !is_elsewhere(file))
        && package.is_none()
        && !in_our_sources;
    if krate == Some(env!("CARGO_CRATE_NAME")) && !is_test(function) && !in_program
        || in_our_sources
    {
        return Class::Ours;
    }
    // What walks the stack is on the stack.
    if krate == Some("backtrace") && !in_program || package == Some("backtrace") {
        return Class::Ours;
    }
    if is_poll_fn(name, function, file) {
        return Class::PollFn;
    }
    if in_program {
        if let Some(krate) = krate
            && !name.starts_with('<')
        {
            claim(krate);
        }
        return Class::User;
    }
    // A macro's code is in a function of the user's, but in a file of the macro's crate.
    if let Some(package) = package {
        if package == path::STD {
            return Class::Std;
        }
        if RUNTIMES.contains(&&*package.replace('-', "_")) {
            return Class::Runtime;
        }
    }
    match krate {
        Some(krate) if STD.contains(&krate) => Class::Std,
        // `__rust_try`, for one: what the compiler puts between a function and its callee.
        None if function.starts_with("__rust") => Class::Std,
        Some(krate) if RUNTIMES.contains(&krate) && !is_of_program(function, krate) => {
            Class::Runtime
        }
        _ => Class::User,
    }
}

/// Returns `true` if the function is a library's, and not the program's own: its file is in the
/// registry, in a checkout of cargo's, in a `vendor` folder, or in the standard library.
pub(super) fn is_library(split: &Name, class: Class, file: Option<&str>) -> bool {
    let krate = krate(&split.function);
    match (class, file) {
        (Class::User, Some(file)) => match path::krate(file) {
            // The code of a library's macro in a function of the program.
            Some(package) => {
                !krate.is_some_and(|krate| package.replace('-', "_") != krate && is_claimed(krate))
            }
            None => !is_rust(file) || krate.is_some_and(|krate| is_versioned(file, krate)),
        },
        (Class::User, None) => {
            krate.is_some_and(|krate| LIBRARIES.contains(&krate) && !is_claimed(krate))
        }
        _ => true,
    }
}

/// Returns `true` if a file lies in a folder that is called as the registry calls that of a package,
/// and the package is a well-known one of the name of the crate: `tokio-1.40.0/src/lib.rs`. So it is
/// where paths were remapped, or where another tool than cargo has built the program.
fn is_versioned(file: &str, krate: &str) -> bool {
    let is_of_crate = |folder: &str| {
        let Some((name, version)) = folder.rsplit_once('-') else {
            return false;
        };
        version.starts_with(|c: char| c.is_ascii_digit()) && name.replace('-', "_").ends_with(krate)
    };
    (RUNTIMES.contains(&krate) || LIBRARIES.contains(&krate)) && file.split('/').any(is_of_crate)
}

fn is_rust(file: &str) -> bool {
    file.ends_with(".rs")
}

/// Crates that are known to be the program's own: that of an attribute, or of a file of the
/// program's.
static CLAIMED: Mutex<Option<Arc<BTreeSet<String>>>> = Mutex::new(None);

fn lock_claimed() -> MutexGuard<'static, Option<Arc<BTreeSet<String>>>> {
    CLAIMED.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_claimed(krate: &str) -> bool {
    let claimed = lock_claimed().clone();
    claimed.is_some_and(|claimed| claimed.contains(krate))
}

fn claim(krate: &str) {
    while !is_claimed(krate) {
        // Nothing is allocated or freed under the lock.
        let known = lock_claimed().clone();
        let mut claimed = known.as_deref().cloned().unwrap_or_default();
        claimed.insert(krate.to_owned());
        let mut claimed = Some(Arc::new(claimed));
        let mut current = lock_claimed();
        if current.as_ref().map(Arc::as_ptr) == known.as_ref().map(Arc::as_ptr) {
            std::mem::swap(&mut *current, &mut claimed);
        }
        drop(current);
    }
}

/// Learns that the crate of a function, which has an attribute at a line of `file`, is the
/// program's.
pub(crate) fn learn_crate(function: &str, file: &str) {
    if path::krate(file).is_none()
        && let Some(krate) = krate(function)
    {
        claim(krate);
    }
}

/// Returns `true` if the function, of which no file is known, is the program's although its crate
/// has the name of a runtime. Both may be in the program: tokio's modules tell which it is.
fn is_of_program(function: &str, krate: &str) -> bool {
    /// The modules of tokio.
    const MODULES: [&str; 14] = [
        "blocking", "fs", "future", "io", "loom", "macros", "net", "process", "runtime", "signal",
        "sync", "task", "time", "util",
    ];

    let mut segments = function.split("::").skip(1);
    let is_in_tokio = krate == "tokio"
        && segments
            .next()
            .is_some_and(|module| MODULES.contains(&module));
    !is_in_tokio && is_claimed(krate)
}

/// Returns `true` if the function is one of a crate that programs wait on and wait with, not the
/// program's part of such a crate's macro.
pub(crate) fn is_runtime(symbol: &Symbol) -> bool {
    let function = &*symbol.function;
    let Some(krate) = krate(function) else {
        return false;
    };
    if !RUNTIMES.contains(&krate) || symbol.class == Class::User {
        return false;
    }
    if !is_claimed(krate) {
        return true;
    }
    match symbol.file.as_deref() {
        Some(file) => {
            let package = path::krate(file).map(|package| package.replace('-', "_"));
            let is_macro = file.contains("/src/macros") && !function.contains("::macros::");
            package.as_deref() == Some(krate) && !is_macro
        }
        None => !is_of_program(function, krate),
    }
}

/// Functions of this crate's own tests are users.
fn is_test(function: &str) -> bool {
    cfg!(test) && function.contains("::tests::")
}

fn is_poll_fn(name: &str, function: &str, file: Option<&str>) -> bool {
    // The functions `poll_fn` of futures and tokio make futures of the same kind.
    function.contains("::PollFn::poll")
        || (name.starts_with("poll<") && file.is_some_and(|file| file.ends_with("poll_fn.rs")))
}

/// The first segment of a path.
fn krate(function: &str) -> Option<&str> {
    let (krate, rest) = function.split_once("::")?;
    (!rest.is_empty()).then_some(krate)
}

#[cfg(test)]
mod tests {
    use super::super::Raw;
    use super::*;

    const TOKIO: &str = "/home/me/.cargo/registry/src/index-1/tokio-1.40.0/src/sync/mutex.rs";
    const SELECT: &str = "/home/me/.cargo/registry/src/index-1/tokio-1.40.0/src/macros/select.rs";
    const TOWER: &str = "/home/me/.cargo/registry/src/index-1/tower-0.5.0/src/lib.rs";
    const CORE: &str = "/rustc/123abc/library/core/src/task/ready.rs";

    fn symbol(name: &str, file: Option<&str>) -> Symbol {
        let raw = Raw {
            name: name.to_owned(),
            file: file.map(str::to_owned),
            line: Some(1),
            column: Some(1),
        };
        Symbol::new(&raw, &mut None)
    }

    // Which crates are the program's is known to all tests in this process: these are of crates that
    // others do not name.

    #[test]
    fn the_file_decides_whose_a_function_is() {
        let class = |name: &str, file: Option<&str>| symbol(name, file).class;
        for krate in ["thingbuf", "maitake_sync", "test", "tasktrace"] {
            let file = format!("/home/me/app/tests/{krate}.rs");
            let function = format!("{krate}::store::{{{{closure}}}}");
            assert_eq!(class(&function, Some(&file)), Class::User, "{krate}");
        }
        let lock = "tokio::sync::mutex::Mutex<T>::lock::{{closure}}";
        assert_eq!(class(lock, Some(TOKIO)), Class::Runtime);
        let vendored = "/home/me/app/vendor/tokio/src/sync/mutex.rs";
        assert_eq!(class(lock, Some(vendored)), Class::Runtime);
        // Paths that were remapped, and those of another tool than cargo.
        for remapped in [
            "tokio-1.40.0/src/sync/mutex.rs",
            "external/crates__tokio-1.40.0/src/sync/mutex.rs",
        ] {
            assert_eq!(class(lock, Some(remapped)), Class::Runtime, "{remapped}");
        }
        assert_eq!(class(lock, None), Class::Runtime);
    }

    #[test]
    fn macros_of_a_runtime_do_not_make_a_function_its() {
        // Two crates of one name, of which the program's is known by its file.
        symbol(
            "tachyonix::store::{{closure}}",
            Some("/home/me/app/tests/tachyonix.rs"),
        );
        let file = SELECT.replace("tokio-1.40.0", "tachyonix-0.3.0");
        let in_macro = symbol("tachyonix::store::{{closure}}", Some(&file));
        assert!(!is_runtime(&in_macro));
        assert!(!is_runtime(&symbol(
            "tachyonix::store::{{closure}}",
            Some(CORE)
        )));
        let file = TOKIO.replace("tokio-1.40.0", "tachyonix-0.3.0");
        assert!(is_runtime(&symbol(
            "tachyonix::Receiver::recv",
            Some(&file)
        )));
    }

    #[test]
    fn without_files_attributes_tell_which_crate_is_the_programs() {
        let class = |name| symbol(name, None).class;
        assert_eq!(class("piper::store"), Class::Runtime);
        learn_crate("piper::hangs", "tests/piper.rs");
        assert_eq!(class("piper::store"), Class::User);
        learn_crate("kanal::registry", TOKIO);
        assert_eq!(class("kanal::ReceiveFuture::poll"), Class::Runtime);
        assert!(is_of_program("piper::sync::store", "piper"));
        assert!(!is_of_program("tokio::sync::Mutex::lock", "tokio"));
    }

    #[test]
    fn libraries_are_told_from_the_program() {
        let is_library = |name, file| symbol(name, file).is_library;
        assert!(is_library("tower::Service::call", Some(TOWER)));
        assert!(is_library("tower::Service::call", None));
        assert!(!is_library(
            "app::serve::{{closure}}",
            Some("/home/me/app/src/main.rs")
        ));
        // A macro of the library's.
        assert!(!is_library("app::serve::{{closure}}", Some(TOWER)));
        assert!(!is_library("app::serve::{{closure}}", None));
        // The program's trait for a library's type says nothing of the library.
        symbol(
            "<bb8::Pool as app::Ext>::get_ext",
            Some("/home/me/app/src/main.rs"),
        );
        assert!(is_library("bb8::Pool::get", None));
    }

    #[test]
    fn names_that_are_claimed_are_those_of_crates() {
        let split = super::super::split_name("serve");
        assert_eq!(of("serve", &split, None), Class::User);
        learn_crate("serve", "src/main.rs");
        assert!(!is_claimed("serve"));
    }
}
