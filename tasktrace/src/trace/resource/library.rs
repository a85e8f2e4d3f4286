//! Functions of libraries that are what is waited for.
//!
//! A library waits for something of a runtime most often, which is the resource. Some have
//! machinery of their own in between, such as the streams of WebSockets: then the library's function
//! is the resource, and the machinery is of no interest.

use super::name;
use super::rules::{self, Role, Rule};
use crate::symbol;

/// A function of a library in the way to a waker.
pub(in crate::trace) struct Called<'a> {
    pub(in crate::trace) function: &'a str,
    pub(in crate::trace) file: Option<&'a str>,
}

/// The meaning of the last functions before the waker.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::trace) enum Found {
    /// The function at this position is what is waited for, and this is its name.
    Resource(usize, String),
    /// The functions from this position on are plumbing, unless they wait for what is known.
    Plumbing(usize),
}

/// Looks for a resource among the functions of libraries, the outermost first, that were called by
/// the last function of the program.
pub(in crate::trace) fn find(functions: &[Called<'_>]) -> Found {
    for (at, function) in functions.iter().enumerate() {
        let path = function.path();
        if let Some(rule) = rules::find(&path)
            && rule.role == Role::Resource
        {
            return Found::Resource(at, public_name(rule, &path));
        }
    }
    let is_plumbing = |function: &Called<'_>| {
        rules::find(&function.path()).is_some_and(|rule| rule.role == Role::Plumbing)
    };
    let last = functions
        .iter()
        .rposition(|function| !is_plumbing(function));
    Found::Plumbing(last.map_or(0, |last| last + 1))
}

/// The name for users of a function of a library, if that is another than its path.
pub(in crate::trace) fn called(function: &Called<'_>) -> Option<String> {
    let path = function.path();
    let rule = rules::find(&path)?;
    (rule.role == Role::Call).then(|| public_name(rule, &path))
}

fn public_name(rule: &Rule, path: &str) -> String {
    match rule.is_name {
        true => rule.public.to_owned(),
        false => name::public(&format!("{}{}", rule.public, &path[rule.path.len()..])),
    }
}

impl Called<'_> {
    /// `krate::module::Type::method`, or without the type if there is nothing but a file.
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
