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

use super::{Lines, Part};
use crate::capture::{LeafKind, RawTrace};
use crate::symbol::{Class, Symbol};

/// For each stack, whether it is that of a combinator whose children are shown.
pub(super) fn own_registrations(raw: &RawTrace, lines: &Lines<'_>) -> Vec<bool> {
    let mut own = vec![false; lines.lines.len()];
    if !lines.parts.iter().any(is_child) {
        return own;
    }
    let mut calls = Calls::default();
    let mut way: Vec<OnWay> = Vec::new();
    for (at, (stack, line)) in raw.stacks().iter().zip(&lines.lines).enumerate() {
        way.truncate(line.shared);
        for part in &lines.parts[line.own.clone()] {
            let next = OnWay::new(way.last(), way.len(), part, &mut calls);
            way.push(next);
        }
        let Some(last) = way.last() else {
            continue;
        };
        let around = last.child.map_or(0, |child| child + 1);
        for call in way[..around].iter().flat_map(|on| &on.calls) {
            calls.seen[*call].children.push(at);
        }
        let seen = last.registrar.map(|call| &mut calls.seen[call]);
        match (stack.kind, seen) {
            (LeafKind::Registered | LeafKind::AwaitsTrace | LeafKind::AwaitsDump, Some(seen)) => {
                seen.registrations.push(at)
            }
            (LeafKind::Woken, Some(seen)) => seen.wakes.push(at),
            _ => {}
        }
    }
    for seen in &calls.seen {
        for at in seen.own() {
            own[at] = true;
        }
    }
    own
}

/// The calls of all stacks.
#[derive(Default)]
struct Calls<'a> {
    numbers: HashMap<Call<'a>, usize>,
    /// What was registered or woken by each call, and the children it has polled.
    seen: Vec<Seen>,
}

/// A part of the way to a leaf.
struct OnWay {
    /// The way so far.
    way: DefaultHasher,
    /// The numbers of the calls in it.
    calls: Vec<usize>,
    /// Of the calls so far, the innermost that polls something.
    registrar: Option<usize>,
    /// Of the parts so far, the position of the last in which there is a child.
    child: Option<usize>,
}

impl OnWay {
    fn new<'a>(
        before: Option<&Self>,
        at: usize,
        part: &'a Part<'_>,
        calls: &mut Calls<'a>,
    ) -> Self {
        let mut next = Self {
            way: before.map(|before| before.way.clone()).unwrap_or_default(),
            calls: Vec::new(),
            registrar: before.and_then(|before| before.registrar),
            child: before.and_then(|before| before.child),
        };
        if is_child(part) {
            next.child = Some(at);
        }
        let Part::Functions(symbols, _) = part else {
            return next;
        };
        // Within one function, which has others inlined, by lines; from function to function by
        // address.
        let mut within = next.way.clone();
        symbols.as_ptr().hash(&mut next.way);
        for symbol in symbols.iter() {
            let Symbol {
                function,
                line,
                column,
                ..
            } = symbol;
            let Calls { numbers, seen } = calls;
            let number = *numbers
                .entry((within.finish(), function))
                .or_insert_with(|| {
                    seen.push(Seen::default());
                    seen.len() - 1
                });
            next.calls.push(number);
            if polls(symbol) {
                next.registrar = Some(number);
            }
            (function, line, column).hash(&mut within);
        }
        next
    }
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

fn polls(symbol: &Symbol) -> bool {
    let name = symbol.function.rsplit("::").next().unwrap_or_default();
    let is_poll = name.starts_with("poll") || name.starts_with("try_poll");
    // Of the program's closures some poll, of others' we would know their names.
    is_poll || symbol.closures > 0 && symbol.class == Class::User
}
