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
    let mut path = CallPath::default();
    for (at, (stack, stack_parts)) in raw.stacks().iter().zip(&resolved.stacks).enumerate() {
        path.truncate(stack_parts.shared, &mut calls);
        for part in &resolved.parts[stack_parts.own.clone()] {
            path.push(part, &mut calls);
        }
        if let Some(registrar) = path.registrar() {
            let last_child = path.last_child(registrar, &calls);
            let events = &mut calls.events[registrar.number];
            match stack.kind {
                LeafKind::Registered | LeafKind::AwaitsTrace | LeafKind::AwaitsDump => {
                    events.registrations += 1;
                    // A registration is the combinator's if a child was polled between it and the next registration.
                    if let Some(before) = events.last_registration.replace(at) {
                        own[before] = last_child >= Some(before);
                    }
                }
                // A combinator that has polled some of its children may wake itself to let other tasks run.
                LeafKind::Woken => {
                    own[at] = last_child >= Some(events.last_registration.unwrap_or(0))
                }
                _ => {}
            }
        }
        path.note_child(at);
    }
    path.truncate(0, &mut calls);
    for events in &calls.events {
        if let Some(at) = events.last_registration {
            // If it is the only registration, any child will do.
            let first_child = if events.registrations == 1 { 0 } else { at };
            own[at] = events.last_child >= Some(first_child);
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

/// The events of a call. Each event has the number of its stack, and the stacks are in the order of time.
#[derive(Default)]
struct CallEvents {
    /// The number of registrations.
    registrations: usize,
    /// The stack of the last registration.
    last_registration: Option<usize>,
    /// The last stack in which a child was polled, among the stacks whose path has left this call.
    last_child: Option<usize>,
}

/// The call path to a leaf.
#[derive(Default)]
struct CallPath {
    steps: Vec<PathStep>,
}

/// A part of a call path.
struct PathStep {
    /// The hash of the call path so far.
    path: DefaultHasher,
    /// The numbers of the calls in this part.
    calls: Vec<usize>,
    /// The innermost of the calls so far that polls something. In the last part of a stack it is without meaning,
    /// because that part records the stack.
    registrar: Option<Call>,
    /// The position of the last part so far that has a child of a combinator.
    child: Option<usize>,
    /// The last stack in which a child was polled in this part, or in parts below it that the path has left.
    last_child: Option<usize>,
}

/// A call on a call path.
#[derive(Clone, Copy)]
struct Call {
    number: usize,
    /// The position of its part on the path.
    at: usize,
}

impl CallPath {
    fn push<'a>(&mut self, part: &'a StackPart<'_>, calls: &mut CallTable<'a>) {
        let next = PathStep::new(self.steps.last(), self.steps.len(), part, calls);
        self.steps.push(next);
    }

    /// Leaves all parts but the first `length`. Each part passes the last poll of a child on to its calls and to the
    /// part before it, so the work does not grow with the depth of the child.
    fn truncate(&mut self, length: usize, calls: &mut CallTable<'_>) {
        while self.steps.len() > length {
            let Some(PathStep {
                calls: left,
                last_child,
                ..
            }) = self.steps.pop()
            else {
                return;
            };
            for call in left {
                let known = &mut calls.events[call].last_child;
                *known = (*known).max(last_child);
            }
            if let Some(before) = self.steps.last_mut() {
                before.last_child = before.last_child.max(last_child);
            }
        }
    }

    /// Returns the call that has cloned the waker. The last part is the function of this crate that records the stack,
    /// and polls nothing.
    fn registrar(&self) -> Option<Call> {
        let caller = self.steps.len().checked_sub(2)?;
        self.steps[caller].registrar
    }

    /// Returns the last stack in which a call of this path has polled a child.
    fn last_child(&self, call: Call, calls: &CallTable<'_>) -> Option<usize> {
        // The functions below the registrar poll nothing, so there are few.
        let below = self.steps[call.at..].iter().map(|step| step.last_child);
        below
            .chain([calls.events[call.number].last_child])
            .max()
            .flatten()
    }

    /// Records that the stack `at`, which has this path, is in a child, if it is.
    fn note_child(&mut self, at: usize) {
        if let Some(child) = self.steps.last().and_then(|last| last.child) {
            self.steps[child].last_child = Some(at);
        }
    }
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
            last_child: None,
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
                next.registrar = Some(Call { number, at });
            }
            (function, line, column).hash(&mut within);
        }
        next
    }
}

/// The identity of a call: the hash of the call path to it, and the name of the function.
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
