//! Names of futures, made of their types.
//!
//! The type of a future that is spawned says how it was made as well: boxed, pinned, with a timeout,
//! in a span. What a reader wants to know is the function of the program in it.
//!
//! ```text
//! app::serve::{{closure}}                                                   app::serve
//! core::pin::Pin<alloc::boxed::Box<app::serve<u8>::{{closure}}>>            app::serve
//! tokio::time::timeout::Timeout<tokio::time::sleep::Sleep>                  tokio::time::timeout::Timeout
//! core::pin::Pin<alloc::boxed::Box<dyn core::future::future::Future<…>>>    not known
//! ```

use std::any::type_name;

use super::name::split;

/// Longer names are cut.
const LONGEST: usize = 100;

/// No type is looked into any deeper.
const DEEPEST: usize = 32;

/// Crates whose types are made of the program's.
const CRATES: &[&str] = &[
    "alloc",
    "async_compat",
    "core",
    "futures",
    "futures_concurrency",
    "futures_core",
    "futures_lite",
    "futures_util",
    "hyper",
    "hyper_util",
    "opentelemetry",
    "std",
    "tokio",
    "tokio_stream",
    "tokio_util",
    "tower",
    "tower_http",
    "tracing",
    "tracing_futures",
];

/// Types, and modules of types, that are the future that they have: if that is not the program's, it
/// is still more than they are.
const TRANSPARENT: &[&str] = &[
    "alloc::boxed::Box",
    "async_compat::Compat",
    "core::future::into_future::IntoFuture",
    "core::panic::unwind_safe::AssertUnwindSafe",
    "core::pin::Pin",
    "futures_util::abortable::Abortable",
    "futures_util::future::either::Either",
    "futures_util::future::future::catch_unwind::CatchUnwind",
    "futures_util::future::future::fuse::Fuse",
    "futures_util::future::future::map::Map",
    "futures_util::future::future::remote_handle::Remote",
    "futures_util::future::future::shared::Shared",
    "futures_util::future::option::OptionFuture",
    "opentelemetry::trace::context::WithContext",
    "tokio::task::coop::unconstrained::Unconstrained",
    "tokio::task::task_local::TaskLocalFuture",
    "tokio::task::unconstrained::Unconstrained",
    "tracing::instrument",
    "tracing_futures",
];

/// The types of this crate that are the future that they have, wherever they are.
const OURS: [fn() -> &'static str; 3] = [
    type_name::<crate::TracedTask<()>>,
    type_name::<crate::TracedFuture<()>>,
    type_name::<crate::__private::Framed<(), ()>>,
];

/// How much the type of a future tells about it, in ascending order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// Nothing: its type is only known when it runs.
    Unknown,
    /// A type of a library that makes futures of others.
    Library,
    /// A type of the program's, or of any other library.
    Type,
    /// A function.
    Function,
}

/// The name of a future for readers. `None` if its type tells nothing.
pub(super) fn name(of: &str) -> Option<String> {
    let (rank, found) = best(of, 0);
    (rank > Rank::Unknown).then(|| shorten(split(found).function))
}

/// Cuts what is too long: `krate::…::Type::method`.
pub(super) fn shorten(name: String) -> String {
    if name.len() <= LONGEST {
        return name;
    }
    let first = name.split("::").next().unwrap_or_default();
    let mut last = name.len();
    for (at, _) in name.rmatch_indices("::") {
        if first.len() + "::…".len() + (name.len() - at) > LONGEST {
            break;
        }
        last = at;
    }
    if last < name.len() && first.len() < last {
        return format!("{first}::…{}", &name[last..]);
    }
    let mut cut: String = name.chars().take(LONGEST / 2).collect();
    cut.push('…');
    cut
}

/// The part of a type that tells most, and how much that is.
fn best(of: &str, depth: usize) -> (Rank, &str) {
    let of = of.trim_start_matches(['&', '*', ' ']);
    let of = of
        .strip_prefix("mut ")
        .or(of.strip_prefix("const "))
        .unwrap_or(of);
    if of.starts_with(['(', '[']) || of.starts_with("dyn ") || of.starts_with("fn(") {
        return (Rank::Unknown, of);
    }
    let is_closure = of.ends_with("}}") || of.ends_with('}');
    // A function, or an implementation: `<Type as Trait>::function`.
    if is_closure || of.starts_with('<') {
        return (Rank::Function, of);
    }
    let path = path_of(of);
    let krate = path.split("::").next().unwrap_or_default();
    if !path.contains("::") {
        return (Rank::Unknown, of);
    }
    if !CRATES.contains(&krate) && krate != env!("CARGO_CRATE_NAME") {
        return (Rank::Type, of);
    }
    let is_transparent = OURS.iter().any(|ours| path_of(ours()) == path)
        || TRANSPARENT.iter().any(|outer| {
            path.strip_prefix(outer)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        });
    // Those of a channel or a handle are what comes out of it.
    let has_future = path.contains("::future") || path.contains("timeout") || is_transparent;
    let mut found = (Rank::Unknown, of);
    if depth < DEEPEST {
        for (position, argument) in arguments(&of[path.len()..]).enumerate() {
            let (rank, inner) = best(argument, depth + 1);
            let counts = match rank {
                Rank::Function => true,
                Rank::Type => position == 0 && has_future,
                Rank::Library | Rank::Unknown => position == 0 && is_transparent,
            };
            if counts && rank > found.0 {
                found = (rank, inner);
            }
        }
    }
    match found.0 {
        Rank::Unknown if !is_transparent => (Rank::Library, of),
        _ => found,
    }
}

/// A type without its arguments.
fn path_of(of: &str) -> &str {
    of.split('<').next().unwrap_or(of)
}

/// The arguments in `<One, Two<Three>>`.
fn arguments(text: &str) -> impl Iterator<Item = &str> {
    let inside = text.strip_prefix('<').unwrap_or_default();
    let inside = inside.strip_suffix('>').unwrap_or(inside);
    let mut rest = Some(inside).filter(|inside| !inside.is_empty());
    std::iter::from_fn(move || {
        let text = rest?;
        let mut depth = 0_usize;
        let bytes = text.as_bytes();
        for (at, byte) in bytes.iter().enumerate() {
            match byte {
                b'<' | b'(' | b'[' => depth += 1,
                // The arrow of a function type.
                b'>' if at > 0 && bytes[at - 1] == b'-' => {}
                b'>' | b')' | b']' => depth = depth.saturating_sub(1),
                b',' if depth == 0 => {
                    rest = Some(text[at + 1..].trim_start());
                    return Some(&text[..at]);
                }
                _ => {}
            }
        }
        rest = None;
        Some(text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(of: &str, expected: &str) {
        assert_eq!(name(of).as_deref(), Some(expected), "{of}");
    }

    #[test]
    fn the_function_in_a_wrapper_is_the_name() {
        check("app::serve::{{closure}}", "app::serve");
        check("app::main::{{closure}}::{{closure}}", "app::main");
        check(
            "app::main::{{closure}}::inner::{{closure}}",
            "app::main::inner",
        );
        check(
            "core::pin::Pin<alloc::boxed::Box<app::serve<u8>::{{closure}}>>",
            "app::serve",
        );
        check(
            "tracing::instrument::Instrumented<app::main::{{closure}}::{{closure}}>",
            "app::main",
        );
        check(
            "tokio::time::timeout::Timeout<app::serve::{{closure}}>",
            "app::serve",
        );
        check(
            "futures_util::future::future::map::Map<app::serve::{{closure}}, app::main::{{closure}}>",
            "app::serve",
        );
        check(
            "futures_util::stream::stream::for_each::ForEach<futures_util::stream::iter::Iter<core::ops::range::Range<i32>>, app::serve::{{closure}}, app::main::{{closure}}>",
            "app::serve",
        );
        check(
            "<app::P<_> as app::Plugin>::start::{{closure}}",
            "app::P::start",
        );
        check(
            "app::generic<core::pin::Pin<alloc::boxed::Box<app::serve::{{closure}}>>>::{{closure}}",
            "app::generic",
        );
        check("core::pin::Pin<&mut app::serve::{{closure}}>", "app::serve");
        check(
            "core::future::poll_fn::PollFn<app::serve::{{closure}}::{{closure}}>",
            "app::serve",
        );
    }

    #[test]
    fn our_wrappers_are_what_they_wrap_and_our_handles_are_not() {
        use crate::__private::Framed;
        use crate::{TracedFuture, TracedTask};
        use std::fmt::Error;

        for wrapped in [
            type_name::<TracedTask<Error>>(),
            type_name::<TracedFuture<Error>>(),
            type_name::<Framed<Error, ()>>(),
            type_name::<TracedTask<Framed<std::pin::Pin<Box<TracedFuture<Error>>>, ()>>>(),
        ] {
            check(wrapped, "core::fmt::Error");
        }
        #[cfg(feature = "tokio")]
        check(
            type_name::<crate::JoinHandle<Error>>(),
            path_of(type_name::<crate::JoinHandle<()>>()),
        );
    }

    #[test]
    fn futures_of_libraries_keep_their_names() {
        check("tokio::time::sleep::Sleep", "tokio::time::sleep::Sleep");
        check(
            "core::pin::Pin<alloc::boxed::Box<tokio::time::sleep::Sleep>>",
            "tokio::time::sleep::Sleep",
        );
        check(
            "tokio::time::timeout::Timeout<tokio::time::sleep::Sleep>",
            "tokio::time::timeout::Timeout",
        );
        check(
            "tokio::time::timeout::Timeout<app::Serve<u8>>",
            "app::Serve",
        );
        check(
            "tokio::runtime::task::join::JoinHandle<app::Answer>",
            "tokio::runtime::task::join::JoinHandle",
        );
        check("reqwest::Pending<u8>", "reqwest::Pending");
    }

    #[test]
    fn erased_types_have_no_name() {
        for of in [
            "core::pin::Pin<alloc::boxed::Box<dyn core::future::future::Future<Output = ()> + core::marker::Send>>",
            "tracing::instrument::Instrumented<core::pin::Pin<alloc::boxed::Box<dyn app::Job>>>",
            "&mut dyn app::Job",
            "F",
            "",
        ] {
            assert_eq!(name(of), None, "{of}");
        }
    }

    #[test]
    fn names_are_cut_at_a_limit() {
        let module = "module::".repeat(40);
        let name = shorten(format!("app::{module}serve"));
        assert!(
            name.starts_with("app::…::module") && name.ends_with("::module::serve"),
            "{name}"
        );
        assert!(name.chars().count() <= LONGEST);
        assert!(shorten("é".repeat(500)).chars().count() <= LONGEST);
        assert!(shorten(format!("{}::f", "é".repeat(500))).chars().count() <= LONGEST);
        let deep = format!(
            "{}app::f::{{{{closure}}}}{}",
            "core::pin::Pin<".repeat(2000),
            ">".repeat(2000)
        );
        super::name(&deep);
    }

    #[test]
    fn whatever_comes_is_survived() {
        for of in [
            "<",
            ">",
            "core::pin::Pin<",
            "core::pin::Pin<,>",
            "é::<é, ü>",
            "&",
            "a::b<->",
        ] {
            name(of);
        }
    }
}
