//! What combinators register for themselves.
//!
//! A combinator that makes wakers of its own for its children registers the task's waker too, to
//! pass the wakes on. When its children are in the trace, then this is no waiting point beside
//! them, but a part of how they are waited for.
//!
//! It is known by its place: the function that has cloned the waker (with what it calls to do so,
//! none of which polls anything) is the same call that has polled the child. Where the compiler has
//! made two calls look the same, it is the one after which the child was polled.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::Part;
use crate::capture::{LeafKind, RawTrace};
use crate::symbol::{Class, Symbol};

/// For each stack, whether it is that of a combinator whose children are shown.
pub(super) fn own_registrations(raw: &RawTrace, stacks: &[Vec<Part<'_>>]) -> Vec<bool> {
    let mut own = vec![false; stacks.len()];
    let child = |parts: &Vec<Part<'_>>| parts.iter().rposition(is_child);
    if stacks.iter().all(|parts| child(parts).is_none()) {
        return own;
    }
    // What was registered or woken by each call, and the children it has polled.
    let mut calls: HashMap<Call<'_>, Seen> = HashMap::new();
    for (at, (stack, parts)) in raw.stacks.iter().zip(stacks).enumerate() {
        if let Some(child) = child(parts) {
            for (call, _) in calls_in(&parts[..=child]) {
                calls.entry(call).or_default().children.push(at);
            }
        }
        let call = registrar(parts);
        let seen = call.map(|call| calls.entry(call).or_default());
        match (stack.kind, seen) {
            (LeafKind::Registered, Some(seen)) => seen.registrations.push(at),
            (LeafKind::Woken, Some(seen)) => seen.wakes.push(at),
            _ => {}
        }
    }
    for seen in calls.values() {
        for at in seen.own() {
            own[at] = true;
        }
    }
    own
}

/// What a call has done, as the numbers of stacks, which are in the order of time.
#[derive(Default)]
struct Seen {
    registrations: Vec<usize>,
    wakes: Vec<usize>,
    children: Vec<usize>,
}

impl Seen {
    fn own(&self) -> impl Iterator<Item = usize> {
        let nexts = self.registrations.iter().skip(1).chain([&usize::MAX]);
        let registrations = self.registrations.iter().zip(nexts);
        // A child between this and the next, or any if this is the only one.
        let registrations = registrations.filter(|(at, next)| match *self.registrations {
            [_] => !self.children.is_empty(),
            _ => self.any_child(**at, **next),
        });
        // When it has polled some of its children, it may let others have their turn.
        let wakes = self.wakes.iter().filter(|at| {
            let before = self.registrations.partition_point(|last| last < at);
            let last = before
                .checked_sub(1)
                .map_or(0, |last| self.registrations[last]);
            self.any_child(last, **at)
        });
        let registrations = registrations.map(|(at, _)| at);
        registrations.chain(wakes).copied()
    }

    fn any_child(&self, from: usize, to: usize) -> bool {
        let first = self.children.partition_point(|child| *child < from);
        self.children.get(first).is_some_and(|child| *child < to)
    }
}

/// A call of a function: the exact way to it, and its name.
type Call<'a> = (u64, &'a str);

/// Whether there is a frame in it that has a waker of its own.
fn is_child(part: &Part<'_>) -> bool {
    match part {
        Part::Functions(_, markers) => markers.iter().any(|marker| marker.own_waker),
        _ => false,
    }
}

/// The innermost call that polls something.
fn registrar<'a>(parts: &'a [Part<'_>]) -> Option<Call<'a>> {
    let polls = |symbol: &Symbol| {
        let name = symbol.function.rsplit("::").next().unwrap_or_default();
        let is_poll = name.starts_with("poll") || name.starts_with("try_poll");
        // Of the program's closures some poll, of others' we would know their names.
        is_poll || symbol.closures > 0 && symbol.class == Class::User
    };
    let calls = calls_in(parts).filter(|(_, symbol)| polls(symbol));
    calls.last().map(|(call, _)| call)
}

fn calls_in<'a>(parts: &'a [Part<'_>]) -> impl Iterator<Item = (Call<'a>, &'a Symbol)> {
    let functions = parts.iter().filter_map(|part| match part {
        Part::Functions(symbols, _) => Some(symbols),
        _ => None,
    });
    let mut way = DefaultHasher::new();
    functions.flat_map(move |symbols| {
        // Within one function, which has others inlined, by lines; from function to function by
        // address.
        let mut within = way.clone();
        symbols.as_ptr().hash(&mut way);
        symbols.iter().map(move |symbol| {
            let call = (within.finish(), &*symbol.function);
            let Symbol {
                function,
                line,
                column,
                ..
            } = symbol;
            (function, line, column).hash(&mut within);
            (call, symbol)
        })
    })
}
