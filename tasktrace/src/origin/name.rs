//! Names of functions, without what only the compiler wants to know.

/// A name taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Name {
    /// The path of the function, without generics, closures and numbered `impl`s.
    pub(crate) function: String,
    /// How many closures deep in the function it is. The body of an async fn is one.
    pub(crate) closures: usize,
}

impl Name {
    /// Completes a name that has no path by the path of the function that its line is in.
    ///
    /// Such a name says of a closure only that it is one, not how deep in the function. Bodies of
    /// async fns are told apart from what is in them, which is all that matters to a reader.
    pub(crate) fn complete(&mut self, path: Option<String>) {
        match path {
            Some(path) if self.function.is_empty() => self.function = path,
            Some(path) if path.rsplit("::").next() == Some(&*self.function) => self.function = path,
            _ if self.function.is_empty() => self.function.push_str("{async fn}"),
            _ => {}
        }
    }
}

/// Takes a demangled name apart.
///
/// ```text
/// krate::serve::{{closure}}                         krate::serve, 1 closure
/// <krate::Conn<S> as krate::Read>::read::{closure#0} krate::Conn::read, 1 closure
/// tokio::net::{impl#3}::accept::{async_fn#0}        tokio::net::accept, 1 closure
/// ```
pub(crate) fn split(name: &str) -> Name {
    let path = elide(name);
    let mut function = String::with_capacity(path.len());
    let mut closures = 0;
    for segment in path.split("::").filter(|segment| !segment.is_empty()) {
        if is_closure(segment) {
            closures += 1;
            // Alone it stands for one that is in the body of an async fn.
            if function.is_empty() && !segment.starts_with("{async_fn") {
                closures += 1;
            }
        } else if !segment.starts_with("{impl#") {
            // A function declared inside of a closure starts anew.
            closures = 0;
            if !function.is_empty() {
                function.push_str("::");
            }
            function.push_str(segment);
        }
    }
    Name { function, closures }
}

/// Whether the compiler gave the name, for want of one in the source.
fn is_closure(segment: &str) -> bool {
    [
        "{{closure}}",
        // What an async closure returns if it is called by value.
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
fn elide(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(at) = rest.find('<') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let (inside, after) = balanced(from);
        if let Some(of) = inside.strip_prefix("impl ") {
            // An `impl` in another module than its type; what comes before is that module.
            out = implementer(of);
        } else if before.is_empty() && out.is_empty() {
            // A qualified path stands at the start of a path, arguments behind a name.
            out.push_str(&self_type(inside));
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// The type that `Type as Trait` is about, or the trait if the type has no name of its own.
fn self_type(qualified: &str) -> String {
    match split_top_level(qualified, " as ") {
        Some((of, as_trait)) => type_or_trait(of, Some(as_trait)),
        None => type_or_trait(qualified, None),
    }
}

/// The same for `Trait for Type`.
fn implementer(header: &str) -> String {
    match split_top_level(header, " for ") {
        Some((as_trait, of)) => type_or_trait(of, Some(as_trait)),
        None => type_or_trait(header, None),
    }
}

fn type_or_trait(of: &str, as_trait: Option<&str>) -> String {
    let of = of.trim_start_matches(['&', '*', ' ']);
    let of = of.strip_prefix("mut ").unwrap_or(of);
    let of = of.strip_prefix("dyn ").unwrap_or(of);
    let elided = elide(of);
    let named = elided.contains("::") && !elided.starts_with(['(', '[']);
    match as_trait {
        Some(as_trait) if !named => elide(as_trait),
        _ => elided,
    }
}

/// Splits at the separator, which starts with a space, that is in no bracket.
fn split_top_level<'a>(text: &'a str, separator: &str) -> Option<(&'a str, &'a str)> {
    let mut depth = 0_usize;
    let bytes = text.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'<' | b'(' | b'[' => depth += 1,
            b'>' if at > 0 && bytes[at - 1] == b'-' => {}
            b'>' | b')' | b']' => depth = depth.saturating_sub(1),
            b' ' if depth == 0 => {
                if let Some(rest) = text[at..].strip_prefix(separator) {
                    return Some((&text[..at], rest));
                }
            }
            _ => {}
        }
    }
    None
}

/// Splits `<inside>after`. What is not closed goes to the end.
fn balanced(text: &str) -> (&str, &str) {
    let mut depth = 0_usize;
    let bytes = text.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'<' => depth += 1,
            // The arrow of a function type.
            b'>' if at > 0 && bytes[at - 1] == b'-' => {}
            b'>' => {
                depth -= 1;
                if depth == 0 {
                    return (&text[1..at], &text[at + 1..]);
                }
            }
            _ => {}
        }
    }
    (&text[1..], "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, function: &str, closures: usize) {
        let function = function.to_owned();
        assert_eq!(split(name), Name { function, closures }, "{name}");
    }

    #[test]
    fn bodies_of_async_fns() {
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
    fn whatever_comes_is_survived() {
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
            split(name);
        }
    }
}
