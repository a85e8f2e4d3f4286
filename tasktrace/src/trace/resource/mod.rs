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
//! The outermost that is neither a wrapper nor plumbing is what is waited for. [`rules`] says what
//! is what, and under which path users know it; [`name`] makes do where there is no rule. [`blocking`]
//! does the same for a thread that was interrupted.

mod blocking;
mod function;
mod name;
mod rules;

use std::hash::{DefaultHasher, Hash, Hasher};

pub(super) use blocking::find as find_blocking;
use function::Function;
use rules::Role;

use super::frame::{Place, Wait};
use crate::symbol::{Paths, Symbol};

/// What a leaf waits for.
pub(super) struct Resource {
    pub(super) place: Place,
    /// How it is waited for.
    pub(super) wait: Wait,
    /// Identifies the way from the resource to where it registered its waker.
    pub(super) way: u64,
}

/// The resource, given the functions of runtimes that lead to the waker, the outermost first, and
/// what happened to the waker.
pub(super) fn find(functions: &[&Symbol], wait: Wait, paths: &Paths) -> Option<Resource> {
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
    let else_first = |role| inlined_too.then(|| first(role)).flatten();
    let at = first(Role::Resource)
        .or_else(|| else_first(Role::Wrapper))
        .or_else(|| else_first(Role::Plumbing))?;
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
    let file = symbol.file.as_deref();
    Some(Resource {
        place: Place {
            file: file.map(|file| paths.shorten(file).into()),
            line: symbol.line,
            column: symbol.column,
            name: name.into(),
            label: None,
        },
        wait,
        way: way.finish(),
    })
}

#[cfg(test)]
mod tests;
