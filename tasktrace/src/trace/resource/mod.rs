//! What to call the thing that a leaf waits for.
//!
//! Between the last function of the program and the waker stand functions of runtimes, such as
//!
//! ```text
//! tokio::io::util::read::Read::poll                       the future that is awaited: a wrapper
//! tokio::net::tcp::stream::TcpStream::poll_read           the resource
//! tokio::runtime::io::registration::Registration::…       plumbing
//! ```
//!
//! The outermost that is neither a wrapper nor plumbing is what is waited for, or else the innermost
//! wrapper: what it was given is not known, but to be in it. [`library`] does the same for the
//! functions of libraries above these. [`rules`] says what
//! is what, and under which path users know it; [`name`] makes do where there is no rule. [`blocking`]
//! does the same for a thread that was interrupted.

mod blocking;
mod function;
mod library;
mod name;
mod rules;

pub(super) use library::{Called, Found, called, find as find_library};

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

pub(crate) use blocking::PANIC_HOOK;
pub(super) use blocking::find as find_blocking;
use function::Function;
pub(crate) use name::public as public_name;
use rules::Role;

use super::frame::{LineIs, Place, Wait};
use crate::capture::LeafKind;
use crate::symbol::{Paths, Symbol};

/// What a leaf waits for.
pub(super) struct Resource {
    pub(super) place: Place,
    /// How it is waited for.
    pub(super) wait: Wait,
    /// Identifies the way from the resource to where it registered its waker.
    pub(super) way: u64,
}

/// Returns the identity of a way that leads through functions of a library, and from there on as `rest` says.
pub(super) fn way(rest: u64, of_library: &[Place]) -> u64 {
    let mut way = DefaultHasher::new();
    for place in of_library {
        (&place.name, &place.file, place.line, place.column).hash(&mut way);
    }
    rest.hash(&mut way);
    way.finish()
}

/// Whose function is above those of runtimes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    Program,
    Library,
}

/// The resource, given the functions of runtimes that lead to the waker, the outermost first, and
/// what happened to the waker.
///
/// A function that is only plumbing is named only if it was the program that has called it: if `caller`
/// is a library, its function says more.
pub(super) fn find(
    functions: &[&Symbol],
    caller: Caller,
    wait: Wait,
    paths: &Paths,
) -> Option<Resource> {
    let functions: Vec<Function<'_>> = functions
        .iter()
        .filter_map(|symbol| Function::of(symbol))
        .collect();
    let first = |role| {
        functions
            .iter()
            .position(|function| function.role() == role)
    };
    // Without debug information, what was inlined has no name: then a wrapper that is left over says
    // nothing of what is in it.
    let inlined_too = functions
        .iter()
        .any(|function| function.symbol.line.is_some());
    let wrapper = || {
        let of_a_trait = |function: &Function<'_>| {
            // Such as `TryStream::try_poll_next`, of whatever stream.
            function.is_in("futures_core") || function.is_in("futures_sink")
        };
        let is_wrapper =
            |function: &Function<'_>| matches!(function.role(), Role::Wrapper | Role::Owner);
        let says_more = |function: &Function<'_>| is_wrapper(function) && !of_a_trait(function);
        let innermost = functions.iter().rposition(says_more);
        innermost.or_else(|| functions.iter().rposition(is_wrapper))
    };
    let plumbing = || first(Role::Plumbing).filter(|_| caller == Caller::Program);
    let resource = functions
        .iter()
        .position(|function| matches!(function.role(), Role::Resource | Role::Collection));
    let at = match resource {
        Some(at) => owner(&functions[..=at]).unwrap_or(at),
        None if inlined_too => wrapper().or_else(plumbing)?,
        None => return None,
    };
    // Where a macro of another crate wrote the function, it is the next that is at home.
    let mut from_there = functions[at..].iter();
    let at_home = from_there.find(|function| function.is_in_crate_of(&functions[at]));
    let symbol = at_home.unwrap_or(&functions[at]).symbol;
    let name = functions[at].public_name(&functions[at + 1..]);

    // Instead of waking it at once, tokio keeps the waker of a task that yields until the other
    // tasks had their turn.
    let wait = if functions.iter().any(Function::is_out_of_budget) {
        Wait::OutOfBudget
    } else if name == "tokio::task::yield_now" {
        Wait::Yielded
    } else {
        wait
    };

    let mut way = DefaultHasher::new();
    for Function { symbol, .. } in &functions[at..] {
        (&symbol.name, &symbol.file, symbol.line).hash(&mut way);
    }
    Some(Resource {
        place: place(name.into(), Some(symbol), paths),
        wait,
        way: way.finish(),
    })
}

/// What users call the function of this crate that waits, if one does.
pub(super) fn of_ours(kind: LeafKind) -> Option<&'static str> {
    match kind {
        LeafKind::AwaitsTrace => Some("tasktrace::TraceHandle::backtrace"),
        LeafKind::AwaitsDump => Some("tasktrace::dump"),
        _ => None,
    }
}

/// What is waited for in this crate, by the function that has registered the waker, if that is known.
pub(super) fn ours(name: &str, registrar: Option<&Symbol>, wait: Wait, paths: &Paths) -> Resource {
    let place = place(name.into(), registrar, paths);
    Resource {
        place,
        wait,
        way: 0,
    }
}

/// The place of a resource, in a function of a library that is called `name`.
fn place(name: Arc<str>, symbol: Option<&Symbol>, paths: &Paths) -> Place {
    let file = symbol.and_then(|symbol| symbol.file.as_deref());
    Place {
        file: file.map(|file| paths.shorten(file).into()),
        line: symbol.and_then(|symbol| symbol.line),
        column: symbol.and_then(|symbol| symbol.column),
        name,
        label: None,
        is_library: true,
        line_is: LineIs::Current,
    }
}

/// The position of the owner of a collection, if that is the last of these: a `Buffered` has a
/// `FuturesOrdered`.
fn owner(functions: &[Function<'_>]) -> Option<usize> {
    let (collection, around) = functions.split_last()?;
    if collection.role() != Role::Collection {
        return None;
    }
    let is_owner = |function: &Function<'_>| function.role() == Role::Owner;
    let innermost = around.iter().rposition(is_owner)?;
    // The outermost of several functions of one owner names the resource.
    let before = around[..innermost].iter().rev();
    let same = before.take_while(|function| function.has_rule_of(&around[innermost]));
    Some(innermost - same.count())
}

#[cfg(test)]
mod tests;
