//! Finds the registrations that combinators make for themselves.
//!
//! A combinator that makes wakers of its own for its children also registers the waker of the task, to forward the
//! wakes. If its children are in the trace, this registration is part of how it waits for them, and no wait of its own.
//!
//! Such a registration is recognised by its call: the call that has cloned the waker, directly or through functions
//! that poll nothing, is the same call that has polled the child. If two calls look the same in the compiled code, it
//! is the call after which the child was polled.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::{ResolvedStacks, StackPart};
use crate::capture::{LeafKind, RawTrace};
use crate::symbol::{Class, Symbol};

/// Returns, for each stack, `true` if it is the registration of a combinator whose children are in the trace.
pub(super) fn own_registrations(raw: &RawTrace, resolved: &ResolvedStacks<'_>) -> Vec<bool> {
    let mut own = vec![false; resolved.stacks.len()];
    if !resolved.parts.iter().any(is_child) {
        return own;
    }
    let mut calls = CallTable::default();
    let mut path: Vec<PathStep> = Vec::new();
    for (at, (stack, stack_parts)) in raw.stacks().iter().zip(&resolved.stacks).enumerate() {
        path.truncate(stack_parts.shared);
        for part in &resolved.parts[stack_parts.own.clone()] {
            let next = PathStep::new(path.last(), path.len(), part, &mut calls);
            path.push(next);
        }
        let Some(last) = path.last() else {
            continue;
        };
        let around = last.child.map_or(0, |child| child + 1);
        for call in path[..around].iter().flat_map(|step| &step.calls) {
            calls.events[*call].children.push(at);
        }
        // The last part is the function of this crate that records the stack. It polls nothing.
        let caller = path.len().checked_sub(2).map(|caller| &path[caller]);
        let registrar = caller.and_then(|caller| caller.registrar);
        let events = registrar.map(|call| &mut calls.events[call]);
        match (stack.kind, events) {
            (LeafKind::Registered | LeafKind::AwaitsTrace | LeafKind::AwaitsDump, Some(events)) => {
                events.registrations.push(at)
            }
            (LeafKind::Woken, Some(events)) => events.wakes.push(at),
            _ => {}
        }
    }
    for events in &calls.events {
        for at in events.own_stacks() {
            own[at] = true;
        }
    }
    own
}

/// The calls of all stacks.
#[derive(Default)]
struct CallTable<'a> {
    numbers: HashMap<CallSite<'a>, usize>,
    /// The events of each call, by its number.
    events: Vec<CallEvents>,
}

/// A part of the call path to a leaf.
struct PathStep {
    /// The hash of the call path so far.
    path: DefaultHasher,
    /// The numbers of the calls in this part.
    calls: Vec<usize>,
    /// The innermost of the calls so far that polls something. In the last part of a stack it is without meaning,
    /// because that part records the stack.
    registrar: Option<usize>,
    /// The position of the last part so far that has a child of a combinator.
    child: Option<usize>,
}

impl PathStep {
    fn new<'a>(
        before: Option<&Self>,
        at: usize,
        part: &'a StackPart<'_>,
        calls: &mut CallTable<'a>,
    ) -> Self {
        let mut next = Self {
            path: before.map(|before| before.path.clone()).unwrap_or_default(),
            calls: Vec::new(),
            registrar: before.and_then(|before| before.registrar),
            child: before.and_then(|before| before.child),
        };
        if is_child(part) {
            next.child = Some(at);
        }
        let StackPart::Functions(symbols, _) = part else {
            return next;
        };
        // Functions that are inlined into each other are distinguished by lines, and other functions by addresses.
        let mut within = next.path.clone();
        symbols.as_ptr().hash(&mut next.path);
        for symbol in symbols.iter() {
            let Symbol {
                function,
                line,
                column,
                ..
            } = symbol;
            let CallTable { numbers, events } = calls;
            let number = *numbers
                .entry((within.finish(), function))
                .or_insert_with(|| {
                    events.push(CallEvents::default());
                    events.len() - 1
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

/// The events of a call, as the numbers of their stacks. The stacks are in the order of time.
#[derive(Default)]
struct CallEvents {
    registrations: Vec<usize>,
    wakes: Vec<usize>,
    children: Vec<usize>,
}

impl CallEvents {
    /// Returns the stacks that are registrations or wakes of a combinator for itself.
    fn own_stacks(&self) -> impl Iterator<Item = usize> {
        let next_registrations = self.registrations.iter().skip(1).chain([&usize::MAX]);
        let registrations = self.registrations.iter().zip(next_registrations);
        // A registration is the combinator's if a child was polled between it and the next registration. If it is the
        // only registration, any child will do.
        let registrations = registrations.filter(|(at, next)| match *self.registrations {
            [_] => !self.children.is_empty(),
            _ => self.any_child(**at, **next),
        });
        // A combinator that has polled some of its children may wake itself to let other tasks run.
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

    /// Returns `true` if a child was polled from the stack `from` on and before the stack `to`.
    fn any_child(&self, from: usize, to: usize) -> bool {
        let first = self.children.partition_point(|child| *child < from);
        self.children.get(first).is_some_and(|child| *child < to)
    }
}

/// A call of a function: the hash of the call path to it, and its name.
type CallSite<'a> = (u64, &'a str);

/// Returns `true` if the part has a frame with a waker of its own.
fn is_child(part: &StackPart<'_>) -> bool {
    match part {
        StackPart::Functions(_, markers) => markers.iter().any(|marker| marker.own_waker),
        _ => false,
    }
}

/// Returns `true` if the function polls futures. The functions that record a stack must be left out before.
fn polls(symbol: &Symbol) -> bool {
    match symbol.class {
        // The functions of this crate on the path to a recorder poll tasks and frames, whatever their names are.
        Class::Ours => true,
        // Some closures of the program are async blocks, which poll. The polling functions of runtimes have known
        // names.
        Class::User if symbol.closures > 0 => true,
        _ => symbol.is_poll_method(),
    }
}
