//! What a thread is in that was interrupted in the middle of a poll: what blocks it, if anything does.

use super::function::Function;
use super::name;
use super::rules::{self, Role};
use super::{Caller, Resource, Wait};
use crate::symbol::{Class, Paths, Symbol};

/// Functions of the standard library that block, and what stands for the start of their paths in the
/// names for users. What of it is plumbing has a whole name.
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
    ("std::thread::functions", "std::thread"),
];

/// The name of the panic hook, for a thread that is in it.
pub(crate) const PANIC_HOOK: &str = "the panic hook";

/// What is in one of those, and does not block.
const NOT_BLOCKING: &[&str] = &[
    "std::thread::current",
    "std::thread::local",
    "std::thread::thread",
];

/// Functions of the standard library that have the code of others. The compiler has made one of them, and
/// what that is called says nothing: a `TcpStream` is read by `UdpSocket::recv`. So they are known by
/// the function of the C library that they call.
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

/// What the function of the program, or of a library, has called that blocks, or is being polled by it. `functions`
/// are those that it has called, the outermost first.
///
/// As with what is awaited, plumbing is named only if the program has called it.
pub(in crate::trace) fn find(
    functions: &[&Symbol],
    caller: Caller,
    paths: &Paths,
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
        && Function::of(symbol).is_some_and(|function| function.role() == Role::Plumbing);
    if is_plumbing && caller == Caller::Library {
        return None;
    }
    Some(Resource {
        place: super::place(name.into(), Some(symbol), paths),
        wait: Wait::Running,
        way: 0,
    })
}

/// What users call a function that blocks. `inner` are the functions that it has called.
fn name(symbol: &Symbol, inner: &[&Symbol]) -> Option<String> {
    match symbol.class {
        Class::Std if symbol.begins_panic() => Some(PANIC_HOOK.to_owned()),
        Class::Std => of_std(&symbol.function),
        // What is polled does not block, or should not.
        Class::Runtime if symbol.closures == 0 && !is_poll(&symbol.function) => {
            let inner: Vec<Function<'_>> = inner
                .iter()
                .filter_map(|inner| Function::of(inner))
                .collect();
            Some(Function::of(symbol)?.public_name(&inner))
        }
        _ if symbol.is_foreign() => {
            // The C library calls `read` `__GI___libc_read` as well.
            let name = symbol.function.trim_start_matches("__GI_");
            let name = name.trim_start_matches('_');
            Some(match name.trim_start_matches("libc_") {
                // The compiler has made that of the standard library the end of the function that calls it.
                "sched_yield" => "std::thread::yield_now".to_owned(),
                name => name.to_owned(),
            })
        }
        _ => None,
    }
}

fn is_poll(function: &str) -> bool {
    let method = function.rsplit("::").next().unwrap_or_default();
    method.starts_with("poll") || method.starts_with("try_poll")
}

/// A function of `std::sys::thread`, or as it was before of `std::sys::pal::unix::thread`: its module is
/// that of the platform. `None` if it is in neither.
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

    /// As they are known by their names, in a build with debug information.
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

    /// The lock of a library says more than how its thread is parked.
    #[test]
    fn plumbing_is_not_what_a_library_is_blocked_in() {
        let park = symbol("parking_lot_core::parking_lot::park", Class::Runtime);
        let lock = symbol("lock_api::mutex::Mutex::lock", Class::Runtime);
        let name = |functions: &[&Symbol], caller| {
            let found = find(functions, caller, &Paths::new());
            found.map(|found| found.place.name.to_string())
        };
        assert_eq!(name(&[&park], Caller::Library), None);
        assert!(name(&[&park], Caller::Program).is_some());
        let known = name(&[&lock, &park], Caller::Library);
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
