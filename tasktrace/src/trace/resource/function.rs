//! Matches a function of a runtime with the rules.

use super::name;
use super::rules::{self, NamingRule, Role};
use crate::symbol::{self, Symbol};

/// A function of a runtime, with its rule.
pub(super) struct RuntimeFunction<'a> {
    pub(super) symbol: &'a Symbol,
    /// The path `krate::module::Type::method`, without the type if only the file is known.
    path: String,
    known_by: KnownBy,
    rule: Option<&'static NamingRule>,
}

/// The source of the path of a function.
#[derive(Clone, Copy, PartialEq, Eq)]
enum KnownBy {
    /// The name of the function.
    Name,
    /// The file of the function, if the debug information has only lines. It does not show the type.
    File,
}

impl<'a> RuntimeFunction<'a> {
    /// Matches a function with the rules.
    ///
    /// Returns `None` if it is not a function of a runtime: if it belongs to the standard library, or to the program's
    /// part of a macro of a runtime.
    pub(super) fn of(symbol: &'a Symbol) -> Option<Self> {
        let (path, known_by) = if symbol.function.contains("::") {
            let is_runtime = symbol::is_runtime(symbol);
            is_runtime.then(|| (symbol.function.to_string(), KnownBy::Name))?
        } else {
            let module = symbol::module(symbol.file.as_deref()?)?;
            match &*symbol.function {
                "" => (module, KnownBy::File),
                function => (format!("{module}::{function}"), KnownBy::File),
            }
        };
        // In older versions of tokio, a timeout polls its own timer in this closure.
        let is_deadline = symbol.closures > 0 && path == "tokio::time::timeout::Timeout::poll";
        let path = match is_deadline {
            true => "tokio::time::timeout::poll_delay".to_owned(),
            false => path,
        };
        Some(Self {
            rule: rules::find(&path),
            symbol,
            path,
            known_by,
        })
    }

    pub(super) fn is_in(&self, path: &str) -> bool {
        rules::is_in(&self.path, path)
    }

    pub(super) fn has_rule_of(&self, other: &Self) -> bool {
        match (self.rule, other.rule) {
            (Some(one), Some(other)) => std::ptr::eq(one, other),
            _ => false,
        }
    }

    pub(super) fn role(&self) -> Role {
        self.rule.map_or(Role::Resource, |rule| rule.role)
    }

    /// Returns `true` if the function is plumbing whose purpose has a name.
    pub(super) fn is_named_plumbing(&self) -> bool {
        self.rule
            .is_some_and(|rule| rule.role == Role::Plumbing && rule.is_name)
    }

    /// Returns `true` if the source of this function is in the crate of `other`.
    pub(super) fn is_in_crate_of(&self, other: &Self) -> bool {
        let module = self.symbol.file.as_deref().and_then(symbol::module);
        let krate = other.path.split("::").next();
        module.is_some_and(|module| module.split("::").next() == krate)
    }

    /// Returns `true` if tokio makes a task yield in this function because it has used up its coop budget.
    pub(super) fn is_out_of_budget(&self) -> bool {
        [
            "tokio::task::coop::poll_proceed",
            "tokio::task::coop::register_waker",
            "tokio::runtime::coop::poll_proceed",
        ]
        .contains(&&*self.path)
    }

    /// Returns the public name of the function. `inner` are the functions that it has called.
    pub(super) fn public_name(&self, inner: &[Self]) -> String {
        let Some(rule) = self.rule else {
            return name::public(&self.path);
        };
        let rest = &self.path[rule.path.len()..];
        match self.known_by {
            _ if rule.is_name => rule.public.to_owned(),
            KnownBy::Name => name::public(&format!("{}{rest}", rule.public)),
            KnownBy::File => {
                let mut names = rule.by_file.iter();
                let called = |path: &str| {
                    let mut inner = inner.iter();
                    path.is_empty() || inner.any(|inner| rules::is_in(&inner.path, path))
                };
                match names.find(|(path, _)| called(path)) {
                    // The name is that of a type, so the function is one of its methods.
                    Some((_, name)) if name::ends_with_type(name) => {
                        name::public(&format!("{name}{rest}"))
                    }
                    Some((_, name)) => (*name).to_owned(),
                    None => name::public(&format!("{}{rest}", rule.public)),
                }
            }
        }
    }
}
