//! Names the function that blocks a thread which was interrupted in the middle of a poll.

use super::function::RuntimeFunction;
use super::name;
use super::rules::{self, Role};
use super::{CallerOwner, Resource, Wait};
use crate::symbol::{Class, PathShortener, Symbol};

/// The paths of the standard library that block, each with the start of the public name that replaces it. For plumbing,
/// the replacement is the whole name.
const STD: &[(&str, &str)] = &[
    ("std::fs", "std::fs"),
    ("std::io", "std::io"),
    ("std::io::stdio::_eprint", "eprintln!"),
    ("std::io::stdio::_print", "println!"),
    ("std::net", "std::net"),
    ("std::net::tcp", "std::net"),
    ("std::net::udp", "std::net"),
    ("std::os", "std::os"),
    ("std::os::unix::net::listener", "std::os::unix::net"),
    ("std::os::unix::net::stream", "std::os::unix::net"),
    ("std::process", "std::process"),
    ("std::sync", "std::sync"),
    ("std::sync::nonpoison", "std::sync"),
    ("std::sync::poison", "std::sync"),
    ("std::sys::fs", "std::fs"),
    ("std::sys::process", "std::process::Child::wait"),
    ("std::sys::sync::condvar", "std::sync::Condvar::wait"),
    ("std::sys::sync::mutex", "std::sync::Mutex::lock"),
    ("std::sys::sync::once", "std::sync::Once::call_once"),
    ("std::sys::sync::rwlock", "std::sync::RwLock"),
    ("std::sys::sync::thread_parking", "std::thread::park"),
    ("std::thread", "std::thread"),
    ("std::thread::JoinInner", "std::thread::JoinHandle"),
    ("std::thread::functions", "std::thread"),
    (
        "std::thread::lifecycle::JoinInner",
        "std::thread::JoinHandle",
    ),
    ("std::thread::scoped", "std::thread"),
];

/// The name of the panic hook, for a thread that is in it.
pub(crate) const PANIC_HOOK: &str = "the panic hook";

/// Exceptions from [`STD`]: paths below it that do not block.
const NOT_BLOCKING: &[&str] = &[
    "std::thread::current",
    "std::thread::local",
    "std::thread::thread",
];

/// Functions of the standard library with identical code. The compiler merges them into one function, whose name is
/// then misleading: a `TcpStream` is read by `UdpSocket::recv`. So they are named after the function of the C library
/// that they call.
const MERGED: &[&str] = &[
    "std::net::tcp::TcpStream::read",
    "std::net::tcp::TcpStream::write",
    "std::net::udp::UdpSocket::recv",
    "std::net::udp::UdpSocket::send",
    "std::os::unix::net::datagram::UnixDatagram::recv",
    "std::os::unix::net::datagram::UnixDatagram::send",
    "std::os::unix::net::stream::UnixStream::read",
    "std::os::unix::net::stream::UnixStream::write",
    "std::sys::fs::unix::File::read",
    "std::sys::fs::unix::File::write",
];

/// Returns the function that blocks the thread, or else the resource that is being polled. `functions` are the
/// functions that the last function of the program or of a library has called, the outermost first.
///
/// Plumbing is named only if the program has called it, as for resources that are awaited.
pub(in crate::trace) fn find(
    functions: &[&Symbol],
    caller: CallerOwner,
    paths: &PathShortener,
) -> Option<Resource> {
    let found = functions
        .iter()
        .enumerate()
        .find_map(|(at, symbol)| Some((symbol, name(symbol, &functions[at + 1..])?)));
    let Some((symbol, name)) = found else {
        let runtime: Vec<&Symbol> = functions
            .iter()
            .copied()
            .filter(|symbol| symbol.class == Class::Runtime)
            .collect();
        return super::find(&runtime, caller, Wait::Running, paths);
    };
    let is_plumbing = symbol.class == Class::Runtime
        && RuntimeFunction::of(symbol).is_some_and(|function| function.role() == Role::Plumbing);
    if is_plumbing && caller == CallerOwner::Library {
        return None;
    }
    Some(Resource {
        place: super::place(name.into(), Some(symbol), paths),
        wait: Wait::Running,
        call_path: 0,
    })
}

/// Returns the public name of a function, if it blocks. `inner` are the functions that it has called.
fn name(symbol: &Symbol, inner: &[&Symbol]) -> Option<String> {
    match symbol.class {
        Class::Std if symbol.begins_panic() => Some(PANIC_HOOK.to_owned()),
        Class::Std => of_std(&symbol.function),
        // Functions that poll do not block, or should not.
        Class::Runtime if symbol.closures == 0 && !symbol.is_poll_method() => {
            let inner: Vec<RuntimeFunction<'_>> = inner
                .iter()
                .filter_map(|inner| RuntimeFunction::of(inner))
                .collect();
            Some(RuntimeFunction::of(symbol)?.public_name(&inner))
        }
        _ if symbol.is_foreign() => {
            // The C library has other names for its functions as well, such as `__GI___libc_read` for `read`.
            let name = symbol.function.trim_start_matches("__GI_");
            let name = name.trim_start_matches('_');
            Some(match name.trim_start_matches("libc_") {
                // The function of the standard library has called this by a tail call, so it is not on the stack.
                "sched_yield" => "std::thread::yield_now".to_owned(),
                name => name.to_owned(),
            })
        }
        _ => None,
    }
}

/// Returns the public name of a function of `std::sys::thread`, or of `std::sys::pal::unix::thread` in older versions.
///
/// Returns `None` if the function is in neither, and `Some(None)` if it is but does not block.
fn of_sys_thread(function: &str) -> Option<Option<String>> {
    let mut segments = function.strip_prefix("std::sys::")?.split("::");
    segments.find(|segment| *segment == "thread")?;
    let public = match segments.last() {
        Some("join") => "std::thread::JoinHandle::join",
        Some("sleep" | "sleep_until") => "std::thread::sleep",
        Some("yield_now") => "std::thread::yield_now",
        _ => return Some(None),
    };
    Some(Some(public.to_owned()))
}

/// Returns the public name of a function of the standard library, if it blocks.
fn of_std(function: &str) -> Option<String> {
    let is_in = |outer: &&str| rules::is_in(function, outer);
    if NOT_BLOCKING.iter().any(&is_in) || MERGED.contains(&function) {
        return None;
    }
    if let Some(of_thread) = of_sys_thread(function) {
        return of_thread;
    }
    let rules = STD.iter().filter(|(path, _)| is_in(path));
    let (path, public) = rules.max_by_key(|(path, _)| path.len())?;
    let is_whole =
        path.starts_with("std::sys") && public.matches("::").count() > 1 || public.ends_with('!');
    Some(match is_whole {
        true => (*public).to_owned(),
        false => name::public(&format!("{public}{}", &function[path.len()..])),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Functions in a build with debug information, in which they have names.
    #[test]
    fn blocking_functions_of_runtimes() {
        for (function, public) in [
            (
                "futures_executor::local_pool::block_on",
                "futures::executor::block_on",
            ),
            (
                "futures_lite::future::block_on",
                "futures_lite::future::block_on",
            ),
            ("async_io::driver::block_on", "async_io::block_on"),
            ("pollster::block_on", "pollster::block_on"),
            (
                "tokio::runtime::runtime::Runtime::block_on",
                "tokio::runtime::Runtime::block_on",
            ),
            (
                "tokio::runtime::handle::Handle::block_on",
                "tokio::runtime::Handle::block_on",
            ),
            (
                "tokio::sync::mpsc::bounded::Receiver::blocking_recv",
                "tokio::sync::mpsc::Receiver::blocking_recv",
            ),
            (
                "tokio::sync::mutex::Mutex::blocking_lock",
                "tokio::sync::Mutex::blocking_lock",
            ),
            ("lock_api::mutex::Mutex::lock", "parking_lot::Mutex::lock"),
            (
                "parking_lot::condvar::Condvar::wait",
                "parking_lot::Condvar::wait",
            ),
            (
                "crossbeam_channel::channel::Receiver::recv",
                "crossbeam_channel::Receiver::recv",
            ),
        ] {
            let symbol = symbol(function, Class::Runtime);
            assert_eq!(name(&symbol, &[]).as_deref(), Some(public), "{function}");
        }
        let polled = symbol("tokio::time::sleep::Sleep::poll", Class::Runtime);
        assert_eq!(name(&polled, &[]), None);
    }

    #[test]
    fn functions_of_other_languages() {
        let call = symbol("__GI___clock_nanosleep", Class::User);
        assert_eq!(name(&call, &[]).as_deref(), Some("clock_nanosleep"));
        let call = symbol("sched_yield", Class::User);
        assert_eq!(name(&call, &[]).as_deref(), Some("std::thread::yield_now"));
    }

    /// The lock that a library waits for says more than the parking of its thread.
    #[test]
    fn plumbing_below_a_library_is_not_named() {
        let park = symbol("parking_lot_core::parking_lot::park", Class::Runtime);
        let lock = symbol("lock_api::mutex::Mutex::lock", Class::Runtime);
        let name = |functions: &[&Symbol], caller| {
            let found = find(functions, caller, &PathShortener::new());
            found.map(|found| found.place.name.to_string())
        };
        assert_eq!(name(&[&park], CallerOwner::Library), None);
        assert!(name(&[&park], CallerOwner::Program).is_some());
        let known = name(&[&lock, &park], CallerOwner::Library);
        assert_eq!(known.as_deref(), Some("parking_lot::Mutex::lock"));
    }

    fn symbol(function: &str, class: Class) -> Symbol {
        Symbol {
            name: function.into(),
            function: function.into(),
            closures: 0,
            class,
            is_library: false,
            file: None,
            line: None,
            column: None,
            address_without_line: None,
        }
    }

    #[test]
    fn blocking_functions_of_std() {
        for (function, public) in [
            ("std::thread::sleep", "std::thread::sleep"),
            ("std::thread::functions::sleep", "std::thread::sleep"),
            ("std::thread::functions::park", "std::thread::park"),
            (
                "std::thread::join_handle::JoinHandle::join",
                "std::thread::JoinHandle::join",
            ),
            (
                "std::thread::scoped::ScopedJoinHandle::join",
                "std::thread::ScopedJoinHandle::join",
            ),
            ("std::thread::scoped::scope", "std::thread::scope"),
            // The public function was inlined, and there is no debug information.
            (
                "std::thread::lifecycle::JoinInner::join",
                "std::thread::JoinHandle::join",
            ),
            (
                "std::sync::poison::mutex::Mutex::lock",
                "std::sync::Mutex::lock",
            ),
            ("std::sync::mutex::Mutex::lock", "std::sync::Mutex::lock"),
            (
                "std::sync::mpsc::Receiver::recv",
                "std::sync::mpsc::Receiver::recv",
            ),
            (
                "std::sync::poison::condvar::Condvar::wait",
                "std::sync::Condvar::wait",
            ),
            (
                "std::sys::sync::mutex::futex::Mutex::lock_contended",
                "std::sync::Mutex::lock",
            ),
            ("std::sys::thread::unix::sleep", "std::thread::sleep"),
            (
                "std::sys::thread::unix::Thread::join",
                "std::thread::JoinHandle::join",
            ),
            (
                "std::sys::pal::unix::thread::Thread::join",
                "std::thread::JoinHandle::join",
            ),
            (
                "std::net::tcp::TcpListener::accept",
                "std::net::TcpListener::accept",
            ),
            ("std::io::stdio::_print", "println!"),
            ("std::process::Child::wait", "std::process::Child::wait"),
        ] {
            assert_eq!(of_std(function).as_deref(), Some(public), "{function}");
        }
        for function in [
            "core::iter::traits::iterator::Iterator::fold",
            "std::thread::local::LocalKey::with",
            "std::collections::hash::map::HashMap::insert",
            "std::threads::sleep",
            "std::net::udp::UdpSocket::recv",
        ] {
            assert_eq!(of_std(function), None, "{function}");
        }
    }
}
