//! Names the resource that a leaf waits for.
//!
//! On the stack, between the last function of the program and the waker, are functions of runtimes, such as
//!
//! ```text
//! tokio::io::util::read::Read::poll                       the future that is awaited: a wrapper
//! tokio::net::tcp::stream::TcpStream::poll_read           the resource
//! tokio::runtime::io::registration::Registration::…       plumbing
//! ```
//!
//! The resource is the outermost function that is neither a wrapper nor plumbing. If there is none, it is the innermost
//! wrapper, which waits for an unknown future that it was given. Without debug information, inlined functions are
//! missing. Then the resource has at least the name of the plumbing, such as "I/O of tokio", if the plumbing has one.
//!
//! * [`function`]: one function of a runtime; [`library`]: finds resources among the functions of libraries.
//! * [`rules`]: the roles of functions, and the paths under which users know them; [`name`]: names functions without a
//!   rule.
//! * [`blocking`]: names the function that blocks a thread that was interrupted.

mod blocking;
mod function;
mod library;
mod name;
mod rules;

pub(super) use library::{LibraryFunction, LibraryMatch, find as find_library, public_call_name};

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

pub(crate) use blocking::PANIC_HOOK;
pub(super) use blocking::find as find_blocking;
use function::RuntimeFunction;
pub(crate) use name::public as public_name;
use rules::Role;

use super::frame::{FramePlace, LineIs, Wait};
use crate::capture::LeafKind;
use crate::symbol::{PathShortener, ReturnAddress, Symbol};

/// The resource that a leaf waits for.
pub(super) struct Resource {
    pub(super) place: FramePlace,
    /// How the leaf waits for the resource.
    pub(super) wait: Wait,
    /// The identity of the call path from the resource to the place where it registered its waker.
    pub(super) call_path: u64,
}

/// Returns the identity of a call path through functions of a library, followed by the call path `rest`.
///
/// Each function comes with its address if its line is not known: if a function calls another at two lines, an
/// optimised build may have no line for either call, and only the addresses distinguish them.
pub(super) fn library_call_path<'a>(
    rest: u64,
    of_library: impl Iterator<Item = (&'a FramePlace, Option<ReturnAddress>)>,
) -> u64 {
    let mut call_path = DefaultHasher::new();
    for (place, address) in of_library {
        (&place.name, &place.file, place.line, place.column).hash(&mut call_path);
        address.hash(&mut call_path);
    }
    rest.hash(&mut call_path);
    call_path.finish()
}

/// The owner of the function that has called the functions of runtimes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum CallerOwner {
    Program,
    Library,
}

/// Returns the resource, given the functions of runtimes that lead to the waker, the outermost first, and how the leaf
/// waits.
///
/// A function that is plumbing is named only if the program has called it. If a library has called it, the library's
/// function says more.
pub(super) fn find(
    functions: &[&Symbol],
    caller: CallerOwner,
    wait: Wait,
    paths: &PathShortener,
) -> Option<Resource> {
    let functions: Vec<RuntimeFunction<'_>> = functions
        .iter()
        .filter_map(|symbol| RuntimeFunction::of(symbol))
        .collect();
    let first = |role| {
        functions
            .iter()
            .position(|function| function.role() == role)
    };
    // Without debug information, inlined functions have no names. A wrapper may then be all that is left, although it
    // contains a resource.
    let inlined_too = functions
        .iter()
        .any(|function| function.symbol.line.is_some());
    let wrapper = || {
        let of_a_trait = |function: &RuntimeFunction<'_>| {
            // For example `TryStream::try_poll_next`, whose stream is not known.
            function.is_in("futures_core") || function.is_in("futures_sink")
        };
        let is_wrapper =
            |function: &RuntimeFunction<'_>| matches!(function.role(), Role::Wrapper | Role::Owner);
        let says_more =
            |function: &RuntimeFunction<'_>| is_wrapper(function) && !of_a_trait(function);
        let innermost = functions.iter().rposition(says_more);
        innermost.or_else(|| functions.iter().rposition(is_wrapper))
    };
    let plumbing = || first(Role::Plumbing).filter(|_| caller == CallerOwner::Program);
    let named_plumbing = || {
        functions
            .iter()
            .position(RuntimeFunction::is_named_plumbing)
    };
    let resource = functions
        .iter()
        .position(|function| matches!(function.role(), Role::Resource | Role::Collection));
    let at = match resource {
        Some(at) => owner(&functions[..=at]).unwrap_or(at),
        None if inlined_too => wrapper().or_else(plumbing)?,
        None => named_plumbing()?,
    };
    // If a macro of another crate has written the function, the place is that of the next function in its own crate.
    let mut from_there = functions[at..].iter();
    let at_home = from_there.find(|function| function.is_in_crate_of(&functions[at]));
    let symbol = at_home.unwrap_or(&functions[at]).symbol;
    let name = functions[at].public_name(&functions[at + 1..]);

    // Tokio does not wake a task that yields at once: it keeps the waker until the other tasks have been polled.
    let wait = if functions.iter().any(RuntimeFunction::is_out_of_budget) {
        Wait::OutOfBudget
    } else if name == "tokio::task::yield_now" {
        Wait::Yielded
    } else {
        wait
    };

    let mut call_path = DefaultHasher::new();
    for RuntimeFunction { symbol, .. } in &functions[at..] {
        (&symbol.name, &symbol.file, symbol.line).hash(&mut call_path);
    }
    Some(Resource {
        place: place(name.into(), Some(symbol), paths),
        wait,
        call_path: call_path.finish(),
    })
}

/// Returns the public name of the function of this crate that waits, if one does.
pub(super) fn own_resource_name(kind: LeafKind) -> Option<&'static str> {
    match kind {
        LeafKind::AwaitsTrace => Some("tasktrace::TraceHandle::backtrace"),
        LeafKind::AwaitsDump => Some("tasktrace::dump"),
        _ => None,
    }
}

/// Returns the resource for a function of this crate that waits. `registrar` is the function that has registered the
/// waker, if it is known.
pub(super) fn own_resource(
    name: &str,
    registrar: Option<&Symbol>,
    wait: Wait,
    paths: &PathShortener,
) -> Resource {
    let place = place(name.into(), registrar, paths);
    Resource {
        place,
        wait,
        call_path: 0,
    }
}

/// Returns the place of a resource with this name, in a library function.
fn place(name: Arc<str>, symbol: Option<&Symbol>, paths: &PathShortener) -> FramePlace {
    let file = symbol.and_then(|symbol| symbol.file.as_deref());
    FramePlace {
        file: file.map(|file| paths.shorten(file).into()),
        line: symbol.and_then(|symbol| symbol.line),
        column: symbol.and_then(|symbol| symbol.column),
        name,
        label: None,
        is_library: true,
        line_is: LineIs::Current,
    }
}

/// Returns the position of the owner of a collection, if the last of the functions is a collection with an owner. For
/// example, a `Buffered` owns a `FuturesOrdered`.
fn owner(functions: &[RuntimeFunction<'_>]) -> Option<usize> {
    let (collection, around) = functions.split_last()?;
    if collection.role() != Role::Collection {
        return None;
    }
    let is_owner = |function: &RuntimeFunction<'_>| function.role() == Role::Owner;
    let innermost = around.iter().rposition(is_owner)?;
    // If several functions of one owner follow each other, the outermost names the resource.
    let before = around[..innermost].iter().rev();
    let same = before.take_while(|function| function.has_rule_of(&around[innermost]));
    Some(innermost - same.count())
}

#[cfg(test)]
mod tests;
