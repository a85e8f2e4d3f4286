//! Names as a reader of the program knows them.

use std::borrow::Cow;

/// Crates whose futures are plumbing or resources, rather than the program.
const RUNTIMES: &[&str] = &[
    "alloc",
    "async_channel",
    "async_executor",
    "async_io",
    "async_lock",
    "async_stream",
    "async_task",
    "core",
    "event_listener",
    "event_listener_strategy",
    "flume",
    "futures",
    "futures_buffered",
    "futures_channel",
    "futures_concurrency",
    "futures_core",
    "futures_executor",
    "futures_lite",
    "futures_task",
    "futures_timer",
    "futures_util",
    "pin_project",
    "pin_project_lite",
    "pollster",
    "smol",
    "tasktrace",
    "std",
    "tokio",
    "tokio_stream",
    "tokio_util",
    "tracing",
    "tracing_futures",
];

/// Returns `true` for the paths of what async programs wait on and wait with.
pub(crate) fn is_runtime_crate(path: &str) -> bool {
    let name = path.split("::").next().unwrap_or(path);
    RUNTIMES.contains(&name)
}

/// Returns a path without the generic arguments in it.
pub(crate) fn without_generics(path: &str) -> Cow<'_, str> {
    if !path.contains('<') {
        return path.into();
    }
    let mut plain = String::with_capacity(path.len());
    let mut depth = 0_usize;
    let mut last = ' ';
    for char in path.chars() {
        match char {
            '<' => depth += 1,
            // Not that of an arrow.
            '>' if last != '-' => depth = depth.saturating_sub(1),
            _ if depth == 0 => plain.push(char),
            _ => {}
        }
        last = char;
    }
    // `Stock::<u32>::restock` has lost what was between the colons.
    plain.replace("::::", "::").into()
}

/// Returns the path of the method that a mangled name of a coroutine in it is of: `shop::Stock::restock`.
pub(super) fn method(mangled: &str) -> Option<String> {
    let name = mangled.split(".llvm.").next().unwrap_or(mangled);
    let name = format!("{:#}", rustc_demangle::try_demangle(name).ok()?);
    let end = name.find("::{").unwrap_or(name.len());
    let name = &name[..end];
    let Some(inner) = name.strip_prefix('<') else {
        return Some(without_generics(name).into_owned());
    };
    let close = closing(inner)?;
    let (of, rest) = (&inner[..close], &inner[close + 1..]);
    let of = top_level_as(of).map_or(of, |at| &of[..at]);
    let of = of.trim_start_matches(['&', '*']);
    let of = of.strip_prefix("mut ").unwrap_or(of);
    let of = of.strip_prefix("dyn ").unwrap_or(of);
    Some(format!(
        "{}{}",
        without_generics(of),
        without_generics(rest)
    ))
}

/// Returns the place of the bracket that closes what an open one before the text has opened.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 1_usize;
    let mut last = ' ';
    for (at, char) in text.char_indices() {
        match char {
            '<' => depth += 1,
            '>' if last != '-' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
        last = char;
    }
    None
}

/// Returns the place of ` as ` outside of brackets.
fn top_level_as(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, char) in text.char_indices() {
        match char {
            '<' => depth += 1,
            '>' => depth = depth.saturating_sub(1),
            ' ' if depth == 0 && text[at..].starts_with(" as ") => return Some(at),
            _ => {}
        }
    }
    None
}

/// Private modules of public items, and the paths that programs use.
const PUBLIC: &[(&str, &str)] = &[
    ("core::future::pending::", "std::future::"),
    ("tasktrace::dump::take::", "tasktrace::"),
    ("tokio::io::util::", "tokio::io::"),
    ("tokio::net::tcp::listener::", "tokio::net::"),
    ("tokio::net::tcp::stream::", "tokio::net::"),
    ("tokio::net::udp::", "tokio::net::"),
    ("tokio::net::unix::listener::", "tokio::net::"),
    ("tokio::net::unix::stream::", "tokio::net::"),
    ("tokio::runtime::task::join::", "tokio::task::"),
    ("tokio::sync::barrier::", "tokio::sync::"),
    ("tokio::sync::batch_semaphore::", "tokio::sync::"),
    ("tokio::sync::mpsc::bounded::", "tokio::sync::mpsc::"),
    ("tokio::sync::mpsc::unbounded::", "tokio::sync::mpsc::"),
    ("tokio::sync::mutex::", "tokio::sync::"),
    ("tokio::sync::notify::", "tokio::sync::"),
    ("tokio::sync::once_cell::", "tokio::sync::"),
    ("tokio::sync::rwlock::", "tokio::sync::"),
    ("tokio::sync::semaphore::", "tokio::sync::"),
    ("tokio::task::coop::", "tokio::task::"),
    ("tokio::task::join_set::", "tokio::task::"),
    ("tokio::task::local::", "tokio::task::"),
    ("tokio::time::interval::", "tokio::time::"),
    ("tokio::time::sleep::", "tokio::time::"),
    ("tokio::time::timeout::", "tokio::time::"),
];

/// Returns the path of an item as programs write it: `tokio::sync::Mutex::lock` for `tokio::sync::mutex::Mutex::lock`.
pub(crate) fn public_path(path: &str) -> Cow<'_, str> {
    for (private, public) in PUBLIC {
        if let Some(rest) = path.strip_prefix(private) {
            return format!("{public}{rest}").into();
        }
    }
    path.into()
}

/// Returns the path of a file without where packages are kept: `tokio-1.40.0/src/time/sleep.rs`.
pub(crate) fn shorten_file(file: &str) -> &str {
    if let Some((_, rest)) = file.split_once("/registry/src/")
        && let Some((_, rest)) = rest.split_once('/')
    {
        return rest;
    }
    if let Some((_, rest)) = file.split_once("/git/checkouts/") {
        return rest;
    }
    if file.starts_with("/rustc/") || file.contains("/lib/rustlib/src/rust/library/") {
        return file.split_once("/library/").map_or(file, |(_, rest)| rest);
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_named_by_their_types() {
        for (mangled, name) in [
            (
                "_ZN4shop5Stock7restock28_$u7b$$u7b$closure$u7d$$u7d$17h0123456789abcdefE.llvm.42",
                "shop::Stock::restock",
            ),
            (
                "_ZN45_$LT$shop..Stock$u20$as$u20$shop..Restock$GT$7restock28_$u7b$$u7b$closure$u7d$$u7d$17h0123456789abcdefE",
                "shop::Stock::restock",
            ),
            (
                "_RNCNvMCs1234_4shopNtB4_5Stock7restock0B4_",
                "shop::Stock::restock",
            ),
        ] {
            assert_eq!(method(mangled).as_deref(), Some(name), "{mangled}");
        }
        assert_eq!(method("restock"), None);
    }

    #[test]
    fn generic_arguments_are_left_out() {
        for (path, plain) in [
            ("a::B", "a::B"),
            ("a::B<c::D<e>, F>::g", "a::B::g"),
            ("a::B<fn(u8) -> u8>::g", "a::B::g"),
            ("a::B::<u8>::g", "a::B::g"),
        ] {
            assert_eq!(without_generics(path), plain);
        }
    }

    #[test]
    fn public_paths_have_no_private_modules() {
        assert_eq!(
            public_path("tokio::sync::mutex::Mutex::lock"),
            "tokio::sync::Mutex::lock"
        );
        assert_eq!(public_path("shop::mutex::Mutex"), "shop::mutex::Mutex");
    }

    #[test]
    fn files_of_packages_begin_with_the_package() {
        for (file, short) in [
            (
                "/home/a/.cargo/registry/src/an-index/tokio-1.40.0/src/time/sleep.rs",
                "tokio-1.40.0/src/time/sleep.rs",
            ),
            (
                "/rustc/0123/library/core/src/future.rs",
                "core/src/future.rs",
            ),
            ("/home/a/shop/src/main.rs", "/home/a/shop/src/main.rs"),
        ] {
            assert_eq!(shorten_file(file), short);
        }
    }
}
