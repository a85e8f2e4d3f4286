//! Finds resources among the functions of libraries.
//!
//! Most libraries wait for a resource of a runtime. Some have machinery of their own in between, such as the streams of
//! WebSockets: then the function of the library is the resource, and its machinery is not shown.

use super::name;
use super::rules::{self, NamingRule, Role};
use crate::symbol;

/// A library function on the call path to a waker.
pub(in crate::trace) struct LibraryFunction<'a> {
    pub(in crate::trace) function: &'a str,
    pub(in crate::trace) file: Option<&'a str>,
}

/// The result of looking for a resource among library functions.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::trace) enum LibraryMatch {
    /// The function at this position is the resource, and has this public name.
    Resource(usize, String),
    /// No function is a resource. The functions from this position on are plumbing.
    Plumbing(usize),
}

/// Looks for a resource among the library functions that the last function of the program has called, the outermost
/// first.
pub(in crate::trace) fn find(functions: &[LibraryFunction<'_>]) -> LibraryMatch {
    for (at, function) in functions.iter().enumerate() {
        let path = function.path();
        if let Some(rule) = rules::find(&path)
            && rule.role == Role::Resource
        {
            return LibraryMatch::Resource(at, public_name(rule, &path));
        }
    }
    let is_plumbing = |function: &LibraryFunction<'_>| {
        rules::find(&function.path()).is_some_and(|rule| rule.role == Role::Plumbing)
    };
    let last = functions
        .iter()
        .rposition(|function| !is_plumbing(function));
    LibraryMatch::Plumbing(last.map_or(0, |last| last + 1))
}

/// Returns the public name of a library function that is shown as a call, if it has a rule for that.
pub(in crate::trace) fn public_call_name(function: &LibraryFunction<'_>) -> Option<String> {
    let path = function.path();
    let rule = rules::find(&path)?;
    (rule.role == Role::Call).then(|| public_name(rule, &path))
}

/// Returns the public name of the function with this path, for which the rule is.
fn public_name(rule: &NamingRule, path: &str) -> String {
    match rule.is_name {
        true => rule.public.to_owned(),
        false => name::public(&format!("{}{}", rule.public, &path[rule.path.len()..])),
    }
}

impl LibraryFunction<'_> {
    /// Returns the path `krate::module::Type::method` of the function, without the type if only its file is known.
    fn path(&self) -> String {
        let module = || self.file.and_then(symbol::module);
        match self.function.contains("::") {
            true => self.function.to_owned(),
            false => match module() {
                Some(module) if self.function.is_empty() => module,
                Some(module) => format!("{module}::{}", self.function),
                None => self.function.to_owned(),
            },
        }
    }
}
