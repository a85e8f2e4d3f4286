//! Derives the names of futures from their types.
//!
//! The type of a spawned future also says how the future was built: boxed, pinned, with a timeout, in a span. The name
//! is the innermost function of the program, which readers need.
//!
//! ```text
//! app::serve::{{closure}}                                                   app::serve
//! core::pin::Pin<alloc::boxed::Box<app::serve<u8>::{{closure}}>>            app::serve
//! tokio::time::timeout::Timeout<tokio::time::sleep::Sleep>                  tokio::time::timeout::Timeout
//! core::pin::Pin<alloc::boxed::Box<dyn core::future::future::Future<…>>>    (no name)
//! ```

use std::any::type_name;

use super::brackets::split_outside_brackets;
use super::name::split_name;

/// The length of the longest name that is not cut.
const MAX_LENGTH: usize = 100;

/// The depth of arguments up to which a type is searched.
const MAX_DEPTH: usize = 32;

/// Crates whose generic types wrap futures of the program.
const WRAPPER_CRATES: &[&str] = &[
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

/// Types, and modules of types, that are named after the future that they wrap, even if that future is not the
/// program's.
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

/// Types of this crate that are named after the future that they wrap.
const OWN_WRAPPERS: [fn() -> &'static str; 3] = [
    type_name::<crate::TracedTask<()>>,
    type_name::<crate::TracedFuture<()>>,
    type_name::<crate::__private::Framed<(), ()>>,
];

/// The kinds of types, from the least to the most informative.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum NameRank {
    /// An erased type, which is known only at run time.
    Unknown,
    /// A type of a library that wraps futures.
    Library,
    /// A type of the program or of another library.
    Type,
    /// A function.
    Function,
}

/// Returns the name of a future by the name of its type, or `None` if the type is erased.
pub(super) fn name(ty: &str) -> Option<String> {
    let (rank, found) = best_part(ty, 0);
    (rank > NameRank::Unknown).then(|| shorten(split_name(found).function))
}

/// Cuts a name that is too long: `krate::…::Type::method`.
pub(super) fn shorten(name: String) -> String {
    if name.len() <= MAX_LENGTH {
        return name;
    }
    let first = name.split("::").next().unwrap_or_default();
    let mut last = name.len();
    for (at, _) in name.rmatch_indices("::") {
        if first.len() + "::…".len() + (name.len() - at) > MAX_LENGTH {
            break;
        }
        last = at;
    }
    if last < name.len() && first.len() < last {
        return format!("{first}::…{}", &name[last..]);
    }
    let mut cut: String = name.chars().take(MAX_LENGTH / 2).collect();
    cut.push('…');
    cut
}

/// Returns the most informative part of a type, and its rank.
fn best_part(ty: &str, depth: usize) -> (NameRank, &str) {
    let ty = ty.trim_start_matches(['&', '*', ' ']);
    let ty = ty
        .strip_prefix("mut ")
        .or(ty.strip_prefix("const "))
        .unwrap_or(ty);
    if ty.starts_with(['(', '[']) || ty.starts_with("dyn ") || ty.starts_with("fn(") {
        return (NameRank::Unknown, ty);
    }
    let is_closure = ty.ends_with('}');
    // A function, or a function of an implementation: `<Type as Trait>::function`.
    if is_closure || ty.starts_with('<') {
        return (NameRank::Function, ty);
    }
    let path = path_of(ty);
    let krate = path.split("::").next().unwrap_or_default();
    if !path.contains("::") {
        return (NameRank::Unknown, ty);
    }
    if !WRAPPER_CRATES.contains(&krate) && krate != env!("CARGO_CRATE_NAME") {
        return (NameRank::Type, ty);
    }
    let is_transparent = OWN_WRAPPERS.iter().any(|own| path_of(own()) == path)
        || TRANSPARENT.iter().any(|outer| {
            path.strip_prefix(outer)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        });
    // The argument of a channel or a handle is not a future, but the type of its values.
    let has_future = path.contains("::future") || path.contains("timeout") || is_transparent;
    let mut found = (NameRank::Unknown, ty);
    if depth < MAX_DEPTH {
        for (position, argument) in arguments(&ty[path.len()..]).enumerate() {
            let (rank, inner) = best_part(argument, depth + 1);
            let counts = match rank {
                NameRank::Function => true,
                NameRank::Type => position == 0 && has_future,
                NameRank::Library | NameRank::Unknown => position == 0 && is_transparent,
            };
            if counts && rank > found.0 {
                found = (rank, inner);
            }
        }
    }
    match found.0 {
        NameRank::Unknown if !is_transparent => (NameRank::Library, ty),
        _ => found,
    }
}

/// Returns the path of a type, without its arguments.
fn path_of(ty: &str) -> &str {
    ty.split('<').next().unwrap_or(ty)
}

/// Returns the arguments in `<One, Two<Three>>`.
fn arguments(text: &str) -> impl Iterator<Item = &str> {
    let inside = text.strip_prefix('<').unwrap_or_default();
    let inside = inside.strip_suffix('>').unwrap_or(inside);
    let mut rest = Some(inside).filter(|inside| !inside.is_empty());
    std::iter::from_fn(move || {
        let text = rest?;
        let (argument, after) = match split_outside_brackets(text, ",") {
            Some((argument, after)) => (argument, Some(after.trim_start())),
            None => (text, None),
        };
        rest = after;
        Some(argument)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(ty: &str, expected: &str) {
        assert_eq!(name(ty).as_deref(), Some(expected), "{ty}");
    }

    #[test]
    fn a_wrapper_is_named_after_the_function_in_it() {
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
    fn own_wrappers_are_named_after_the_wrapped_future_and_own_handles_are_not() {
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
    fn futures_of_libraries_are_named_after_their_types() {
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
        for ty in [
            "core::pin::Pin<alloc::boxed::Box<dyn core::future::future::Future<Output = ()> + core::marker::Send>>",
            "tracing::instrument::Instrumented<core::pin::Pin<alloc::boxed::Box<dyn app::Job>>>",
            "&mut dyn app::Job",
            "F",
            "",
        ] {
            assert_eq!(name(ty), None, "{ty}");
        }
    }

    #[test]
    fn long_names_are_cut() {
        let module = "module::".repeat(40);
        let name = shorten(format!("app::{module}serve"));
        assert!(
            name.starts_with("app::…::module") && name.ends_with("::module::serve"),
            "{name}"
        );
        assert!(name.chars().count() <= MAX_LENGTH);
        assert!(shorten("é".repeat(500)).chars().count() <= MAX_LENGTH);
        assert!(shorten(format!("{}::f", "é".repeat(500))).chars().count() <= MAX_LENGTH);
        let deep = format!(
            "{}app::f::{{{{closure}}}}{}",
            "core::pin::Pin<".repeat(2000),
            ">".repeat(2000)
        );
        super::name(&deep);
    }

    #[test]
    fn malformed_types_do_not_panic() {
        for ty in [
            "<",
            ">",
            "core::pin::Pin<",
            "core::pin::Pin<,>",
            "é::<é, ü>",
            "&",
            "a::b<->",
        ] {
            name(ty);
        }
    }
}
