//! Whose code a function is.

use super::name::Name;
use super::path;

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
    /// Where a scope lives: the `poll` of what an attribute wraps around a body, and that of a
    /// task in a task.
    OurFrame,
    /// Waiting for a trace.
    OurLeaf,
    /// Other functions of this crate.
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
    "parking_lot",
    "parking_lot_core",
    "piper",
    "pin_project",
    "pin_project_lite",
    "polling",
    "pollster",
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

/// The directory of this crate's sources, as the compiler writes it.
const OUR_SOURCES: &str = {
    // `file!()` is the path of this file: take off its name and that of its directory.
    let path = file!().as_bytes();
    let (start, _) = path.split_at(path.len() - "symbol/class.rs".len());
    match std::str::from_utf8(start) {
        Ok(start) => start,
        Err(_) => panic!("the paths of source files are text"),
    }
};

/// `split` is `name` taken apart, `file` as it stands in the debug information.
pub(super) fn of(name: &str, split: &Name, file: Option<&str>) -> Class {
    let function = &*split.function;
    let krate = krate(function);
    let in_our_sources = file.is_some_and(|file| file.contains(OUR_SOURCES));
    if krate == Some(env!("CARGO_CRATE_NAME")) && !is_test(function) || in_our_sources {
        return ours(name, split, file);
    }
    // What walks the stack is on the stack.
    if krate == Some("backtrace") || file.and_then(path::krate) == Some("backtrace") {
        return Class::Ours;
    }
    if is_poll_fn(name, function, file) {
        return Class::PollFn;
    }
    // A macro's code is in a function of the user's, but in a file of the macro's crate.
    if let Some(krate) = file.and_then(path::krate) {
        if krate == path::STD {
            return Class::Std;
        }
        if RUNTIMES.contains(&&*krate.replace('-', "_")) {
            return Class::Runtime;
        }
    }
    match krate {
        Some(krate) if STD.contains(&krate) => Class::Std,
        // `__rust_try`, for one: what the compiler puts between a function and its callee.
        None if function.starts_with("__rust") => Class::Std,
        Some(krate) if RUNTIMES.contains(&krate) => Class::Runtime,
        _ => Class::User,
    }
}

/// Whether a path is one of a crate that programs wait on and wait with.
pub(crate) fn is_runtime(function: &str) -> bool {
    krate(function).is_some_and(|krate| RUNTIMES.contains(&krate))
}

/// Functions of this crate's own tests are users.
fn is_test(function: &str) -> bool {
    cfg!(test) && function.contains("::tests::")
}

fn ours(name: &str, split: &Name, file: Option<&str>) -> Class {
    let Name { function, closures } = split;
    let in_file = |of: &str| file.is_some_and(|file| file.ends_with(of));
    let is_poll = function.ends_with("::poll") || name.starts_with("poll<");
    let is_enter = function.contains("drive::enter_")
        || name.starts_with("enter_") && in_file("task/drive.rs");
    if *closures == 0 && is_enter {
        Class::OurFrame
    } else if function.contains("TraceHandle::backtrace")
        || function.contains("handle::Backtrace")
        || function.contains("dump::take::dump")
        || is_poll && in_file("task/handle.rs")
    {
        Class::OurLeaf
    } else {
        Class::Ours
    }
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
