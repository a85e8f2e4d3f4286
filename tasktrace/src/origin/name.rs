//! Splits demangled names of functions into the path of the function and the depth of closures.

use super::brackets::{split_brackets, split_outside_brackets};

/// The parts of a demangled name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FunctionName {
    /// The path of the function, without generics, closures and numbered `impl`s.
    pub(crate) function: String,
    /// The number of closures in the function that the code is nested in. The body of an async fn counts as a closure.
    pub(crate) closures: usize,
}

impl FunctionName {
    /// Completes a name that has no path by the path of the function around its line.
    ///
    /// Such a name says that the code is a closure, and does not say how deep in the function the closure is. It does
    /// distinguish the body of an async fn from the closures in it, and readers need no more.
    pub(crate) fn complete(&mut self, path: Option<String>) {
        match path {
            Some(path) if self.function.is_empty() => self.function = path,
            Some(path) if path.rsplit("::").next() == Some(&*self.function) => self.function = path,
            _ if self.function.is_empty() => self.function.push_str("{async fn}"),
            _ => {}
        }
    }
}

/// Splits a demangled name.
///
/// ```text
/// krate::serve::{{closure}}                         krate::serve, 1 closure
/// <krate::Conn<S> as krate::Read>::read::{closure#0} krate::Conn::read, 1 closure
/// tokio::net::{impl#3}::accept::{async_fn#0}        tokio::net::accept, 1 closure
/// ```
pub(crate) fn split_name(name: &str) -> FunctionName {
    let path = elide_generics(name);
    let mut function = String::with_capacity(path.len());
    let mut closures = 0;
    for segment in path.split("::").filter(|segment| !segment.is_empty()) {
        if is_closure(segment) {
            closures += 1;
            // Without a path, a closure is one in the body of an async fn.
            if function.is_empty() && !segment.starts_with("{async_fn") {
                closures += 1;
            }
        } else if !segment.starts_with("{impl#") {
            // A function that is declared in a closure has no closures around it.
            closures = 0;
            if !function.is_empty() {
                function.push_str("::");
            }
            function.push_str(segment);
        }
    }
    FunctionName { function, closures }
}

/// Returns `true` if the compiler named the segment because it has no name in the source.
fn is_closure(segment: &str) -> bool {
    [
        "{{closure}}",
        // The future of an async closure that is called by value.
        "{{synthetic}}",
        "{closure",
        "{synthetic",
        "{async_",
        "{async ",
        "{coroutine",
    ]
    .iter()
    .any(|start| segment.starts_with(start))
}

/// Removes generic arguments, and replaces `<Type as Trait>` by `Type`.
fn elide_generics(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(at) = rest.find('<') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let (inside, after) = split_brackets(from);
        if let Some(header) = inside.strip_prefix("impl ") {
            // The `impl` is in another module than its type, and the text before names that module.
            out = type_of_impl(header);
        } else if before.is_empty() && out.is_empty() {
            // Brackets at the start of a path are a qualified path. Brackets behind a name are arguments.
            out.push_str(&type_of_qualified(inside));
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Returns the type of `Type as Trait`, or the trait if the type has no path.
fn type_of_qualified(qualified: &str) -> String {
    match split_outside_brackets(qualified, " as ") {
        Some((ty, as_trait)) => type_or_trait(ty, Some(as_trait)),
        None => type_or_trait(qualified, None),
    }
}

/// Returns the type of `Trait for Type`, or the trait if the type has no path.
fn type_of_impl(header: &str) -> String {
    match split_outside_brackets(header, " for ") {
        Some((as_trait, ty)) => type_or_trait(ty, Some(as_trait)),
        None => type_or_trait(header, None),
    }
}

fn type_or_trait(ty: &str, as_trait: Option<&str>) -> String {
    let ty = ty.trim_start_matches(['&', '*', ' ']);
    let ty = ty.strip_prefix("mut ").unwrap_or(ty);
    let ty = ty.strip_prefix("dyn ").unwrap_or(ty);
    let elided = elide_generics(ty);
    let has_path = elided.contains("::") && !elided.starts_with(['(', '[']);
    match as_trait {
        Some(as_trait) if !has_path => elide_generics(as_trait),
        _ => elided,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, function: &str, closures: usize) {
        let function = function.to_owned();
        assert_eq!(
            split_name(name),
            FunctionName { function, closures },
            "{name}"
        );
    }

    #[test]
    fn bodies_of_async_fns_count_as_closures() {
        check("krate::serve", "krate::serve", 0);
        check("krate::serve::{{closure}}", "krate::serve", 1);
        check("krate::serve::{{closure}}::{{closure}}", "krate::serve", 2);
        check("krate::serve::{closure#0}", "krate::serve", 1);
        check("krate::serve::{async_fn#0}::{closure#1}", "krate::serve", 2);
        check(
            "krate::serve::{{closure}}::{{synthetic}}",
            "krate::serve",
            2,
        );
        check("krate::serve::{{closure}}::inner", "krate::serve::inner", 0);
    }

    #[test]
    fn generics_are_elided() {
        check("krate::Conn<S>::read::{{closure}}", "krate::Conn::read", 1);
        check("krate::Conn::<krate::S<u8>>::read", "krate::Conn::read", 0);
        check("krate::call::<fn(u8) -> krate::R<u8>>", "krate::call", 0);
        check("poll<krate::serve::{async_fn_env#0}>", "poll", 0);
        check(
            "tokio::park::{impl#4}::block_on",
            "tokio::park::block_on",
            0,
        );
    }

    #[test]
    fn implementations_are_named_by_their_type() {
        check(
            "<krate::Conn<S> as core::future::future::Future>::poll",
            "krate::Conn::poll",
            0,
        );
        check(
            "<krate::Conn<S>>::read::{closure#0}",
            "krate::Conn::read",
            1,
        );
        check(
            "<&mut F as core::future::future::Future>::poll",
            "core::future::future::Future::poll",
            0,
        );
        check(
            "<core::pin::Pin<P> as core::future::future::Future>::poll",
            "core::pin::Pin::poll",
            0,
        );
        check(
            "<<krate::A as krate::B>::C as krate::D>::e",
            "krate::A::C::e",
            0,
        );
        check("<fn() -> u8 as krate::Call>::call", "krate::Call::call", 0);
        check(
            "krate::sink::<impl krate::Sink<T> for krate::Sender<T>>::ready",
            "krate::Sender::ready",
            0,
        );
        check(
            "krate::other::<impl krate::Sender<T>>::send::{{closure}}",
            "krate::Sender::send",
            1,
        );
        check(
            "krate::num::<impl krate::Show for u8>::show",
            "krate::Show::show",
            0,
        );
    }

    #[test]
    fn malformed_names_do_not_panic() {
        for name in [
            "",
            "<",
            ">",
            "::",
            "<<",
            "a<b",
            "->",
            "<a as",
            "<é as ü>::ß",
        ] {
            split_name(name);
        }
    }
}
