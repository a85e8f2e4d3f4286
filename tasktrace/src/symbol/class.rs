//! Classifies functions by the owner of their code: the program, a library, a runtime, the standard library or
//! tasktrace.

use std::collections::BTreeSet;

use super::Symbol;
use super::path;
use crate::origin::FunctionName;
use crate::sync::SharedValue;

/// The owner of a function's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// The program, or a library that does the program's work.
    User,
    /// An executor, or a library of synchronisation or combinators: async programs wait with these and for these.
    Runtime,
    /// `core`, `alloc` or `std`.
    Std,
    /// The `poll` of [`std::future::PollFn`]. It calls a closure of the function that awaits it.
    PollFn,
    /// tasktrace.
    Ours,
}

/// Crates whose functions are plumbing or resources, and no program's own work.
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

/// The path of this file, with slashes.
const THIS_FILE: [u8; file!().len()] = {
    let mut path = [0; file!().len()];
    let mut at = 0;
    while at < path.len() {
        path[at] = match file!().as_bytes()[at] {
            b'\\' if cfg!(windows) => b'/',
            byte => byte,
        };
        at += 1;
    }
    path
};

/// The directory of this crate's sources, with slashes: the path of this file, without one segment for each segment
/// that the path of this module has after the name of the crate.
const OUR_SOURCES: &str = {
    let file: &[u8] = &THIS_FILE;
    let module = module_path!().as_bytes();
    let mut end = file.len();
    let mut at = 0;
    while at + 1 < module.len() {
        if module[at] == b':' && module[at + 1] == b':' {
            at += 1;
            end -= 1;
            while file[end - 1] != b'/' {
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

/// Crates that are libraries even if the file of a function is unknown. Their functions are often between those of the
/// program and the resource that it waits for.
const LIBRARIES: &[&str] = &[
    "actix_http",
    "actix_rt",
    "actix_server",
    "actix_web",
    "actix_web_actors",
    "async_compression",
    "async_graphql",
    "async_nats",
    "async_tungstenite",
    "axum",
    "axum_core",
    "axum_extra",
    "backoff",
    "backon",
    "bb8",
    "bb8_postgres",
    "bb8_redis",
    "deadpool",
    "deadpool_runtime",
    "diesel_async",
    "fred",
    "governor",
    "h2",
    "hickory_proto",
    "hickory_resolver",
    "http_body",
    "http_body_util",
    "hyper",
    "hyper_rustls",
    "hyper_timeout",
    "hyper_tls",
    "hyper_util",
    "kube_client",
    "kube_runtime",
    "lapin",
    "mobc",
    "moka",
    "mongodb",
    "quinn",
    "redis",
    "reqwest",
    "reqwest_middleware",
    "rumqttc",
    "sea_orm",
    "sqlx",
    "sqlx_core",
    "sqlx_mysql",
    "sqlx_postgres",
    "sqlx_sqlite",
    "tarpc",
    "tokio_native_tls",
    "tokio_postgres",
    "tokio_retry",
    "tokio_rustls",
    "tokio_tungstenite",
    "tonic",
    "tower",
    "tower_http",
    "tower_layer",
    "tower_service",
    "tungstenite",
    "warp",
];

/// Classifies a function. `split` has the parts of `name`, and `file` is the path in the debug information.
///
/// If the file is known, it decides: a test, an example or a binary may have the name of a runtime, and its functions
/// still belong to the program.
pub(super) fn classify(name: &str, split: &FunctionName, file: Option<&str>) -> Class {
    let function = &*split.function;
    let krate = crate_of(function);
    let package = file.and_then(path::package_of);
    let in_our_sources = file.is_some_and(|file| file.contains(OUR_SOURCES));
    let is_elsewhere = |file: &str| krate.is_some_and(|krate| is_versioned(file, krate));
    let in_program = file.is_some_and(|file| is_rust(file) && !is_elsewhere(file))
        && package.is_none()
        && !in_our_sources;
    if krate == Some(env!("CARGO_CRATE_NAME")) && !is_test(function) && !in_program
        || krate == Some("tasktrace_http")
        || in_our_sources
    {
        return Class::Ours;
    }
    // The functions that walk a stack are on that stack.
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
    // The code of a macro is in a function of the user, but in a file of the macro's crate.
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
        // The compiler inserts functions such as `__rust_try` between a function and its callee.
        None if function.starts_with("__rust") => Class::Std,
        Some(krate) if RUNTIMES.contains(&krate) && !is_of_program(function, krate) => {
            Class::Runtime
        }
        _ => Class::User,
    }
}

/// Returns `true` if the function belongs to a library and not to the program: its file is in the registry, in a
/// checkout of cargo, in a `vendor` folder, or in the standard library.
pub(super) fn is_library(split: &FunctionName, class: Class, file: Option<&str>) -> bool {
    let krate = crate_of(&split.function);
    match (class, file) {
        (Class::User, Some(file)) => match path::package_of(file) {
            // The code of a library's macro may be in a function of the program.
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

/// Returns `true` if a file lies in a folder with the name and a version of the crate, and the crate is well known:
/// `tokio-1.40.0/src/lib.rs`. Such folders remain if paths were remapped, or if another tool than cargo built the
/// program.
fn is_versioned(file: &str, krate: &str) -> bool {
    let is_of_crate = |folder: &str| {
        path::without_version(folder).is_some_and(|name| name.replace('-', "_").ends_with(krate))
    };
    (RUNTIMES.contains(&krate) || LIBRARIES.contains(&krate)) && file.split('/').any(is_of_crate)
}

fn is_rust(file: &str) -> bool {
    file.ends_with(".rs")
}

/// The crates that are known to belong to the program, by an attribute on a function or by a file of the program.
static CLAIMED: SharedValue<BTreeSet<String>> = SharedValue::new();

fn is_claimed(krate: &str) -> bool {
    CLAIMED.get().is_some_and(|claimed| claimed.contains(krate))
}

fn claim(krate: &str) {
    CLAIMED.update(|known| {
        if known.is_some_and(|claimed| claimed.contains(krate)) {
            return None;
        }
        let mut claimed = known.cloned().unwrap_or_default();
        claimed.insert(krate.to_owned());
        Some(claimed.into())
    });
}

/// Notes that a crate belongs to the program, because `function` in `file` has an attribute.
pub(crate) fn learn_crate(function: &str, file: &str) {
    if path::package_of(file).is_none()
        && let Some(krate) = crate_of(function)
    {
        claim(krate);
    }
}

/// Returns `true` if a function without a known file belongs to the program, although its crate has the name of a
/// runtime. The program and the runtime may both have a crate of this name: a module of tokio identifies tokio's.
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

/// Returns `true` if the function belongs to a runtime. Code that a macro of the runtime has generated in a function of
/// the program does not.
pub(crate) fn is_runtime(symbol: &Symbol) -> bool {
    let function = &*symbol.function;
    let Some(krate) = crate_of(function) else {
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
            let package = path::package_of(file).map(|package| package.replace('-', "_"));
            let is_macro = file.contains("/src/macros") && !function.contains("::macros::");
            package.as_deref() == Some(krate) && !is_macro
        }
        None => !is_of_program(function, krate),
    }
}

/// Returns `true` if the function is a unit test of this crate. It is classified as the program's.
fn is_test(function: &str) -> bool {
    cfg!(test) && function.contains("::tests::")
}

fn is_poll_fn(name: &str, function: &str, file: Option<&str>) -> bool {
    // The functions `poll_fn` of futures and tokio have a `PollFn` of their own.
    function.contains("::PollFn::poll")
        || (name.starts_with("poll<") && file.is_some_and(|file| file.ends_with("poll_fn.rs")))
}

/// Returns the crate of a path: its first segment.
fn crate_of(function: &str) -> Option<&str> {
    let (krate, rest) = function.split_once("::")?;
    (!rest.is_empty()).then_some(krate)
}

#[cfg(test)]
mod tests {
    use super::super::{RawSymbol, ReturnAddress};
    use super::*;

    const TOKIO: &str = "/home/me/.cargo/registry/src/index-1/tokio-1.40.0/src/sync/mutex.rs";
    const SELECT: &str = "/home/me/.cargo/registry/src/index-1/tokio-1.40.0/src/macros/select.rs";
    const TOWER: &str = "/home/me/.cargo/registry/src/index-1/tower-0.5.0/src/lib.rs";
    const CORE: &str = "/rustc/123abc/library/core/src/task/ready.rs";

    fn symbol(name: &str, file: Option<&str>) -> Symbol {
        let raw = RawSymbol {
            address: ReturnAddress(1),
            name: name.to_owned(),
            file: file.map(str::to_owned),
            line: Some(1),
            column: Some(1),
        };
        Symbol::new(&raw, &mut None)
    }

    // All tests of this process share `CLAIMED`. So each test claims crates that no other test uses.

    #[test]
    fn the_service_belongs_to_tasktrace() {
        let name = "<tasktrace_http::single_flight::Ticket<P> as core::future::Future>::poll";
        for file in [
            "tasktrace-http/src/single_flight.rs",
            "/x/tasktrace-http-0.2.0/src/a.rs",
        ] {
            assert_eq!(symbol(name, Some(file)).class, Class::Ours, "{file}");
        }
    }

    #[test]
    fn the_file_decides_the_class() {
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
        // The first path was remapped, and the second comes from another tool than cargo.
        for remapped in [
            "tokio-1.40.0/src/sync/mutex.rs",
            "tokio-1.40.0-alpha/src/sync/mutex.rs",
            "external/crates__tokio-1.40.0/src/sync/mutex.rs",
        ] {
            assert_eq!(class(lock, Some(remapped)), Class::Runtime, "{remapped}");
        }
        assert_eq!(class(lock, None), Class::Runtime);
    }

    #[test]
    fn a_macro_of_a_runtime_does_not_make_a_function_runtime() {
        // Two crates have the same name. The program's crate is known by its file.
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
    fn without_files_an_attribute_claims_a_crate_for_the_program() {
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
    fn libraries_and_the_program_are_distinguished() {
        let is_library = |name, file| symbol(name, file).is_library;
        assert!(is_library("tower::Service::call", Some(TOWER)));
        assert!(is_library("tower::Service::call", None));
        assert!(!is_library(
            "app::serve::{{closure}}",
            Some("/home/me/app/src/main.rs")
        ));
        // Code of a macro of the library.
        assert!(!is_library("app::serve::{{closure}}", Some(TOWER)));
        assert!(!is_library("app::serve::{{closure}}", None));
        // A trait of the program that is implemented for a type of a library does not claim the library.
        symbol(
            "<bb8::Pool as app::Ext>::get_ext",
            Some("/home/me/app/src/main.rs"),
        );
        assert!(is_library("bb8::Pool::get", None));
    }

    #[test]
    fn a_name_without_a_path_claims_no_crate() {
        let split = super::super::split_name("serve");
        assert_eq!(classify("serve", &split, None), Class::User);
        learn_crate("serve", "src/main.rs");
        assert!(!is_claimed("serve"));
    }

    #[test]
    fn libraries_between_the_program_and_a_resource_are_known_without_files() {
        for (function, expected) in [
            ("tower_service::Service::poll_ready", true),
            (
                "http_body_util::combinators::map_err::MapErr<B,F>::poll_frame",
                true,
            ),
            ("<hyper_timeout::stream::TimeoutStream<S>>::poll_read", true),
            ("app::tower_service::ready", false),
            ("tower_services::ready", false),
        ] {
            assert_eq!(symbol(function, None).is_library, expected, "{function}");
        }
    }
}
