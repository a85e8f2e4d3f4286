//! Guards and permits that live across an `.await`.

use std::ops::Range;
use std::rc::Rc;

use super::async_lock::Lock;
use super::coroutine::Coroutine;
use super::kind::{Known, Leaf};
use super::label::Role;
use super::node::{Label, NodeKind, Resource};
use super::plan::{Goal, Plan};
use super::state::Stage;
use super::walk::Walk;
use crate::address::Address;
use crate::debug::Kind;
use crate::report::HeldKind;
use crate::text::Text;
use crate::value::Value;

/// A guard or a permit in a suspended future.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hold {
    pub(crate) semaphore: Address,
    pub(crate) kind: HeldKind,
    /// The address of the guard.
    pub(crate) guard: Address,
    /// The beginning of the lock.
    pub(crate) lock: Address,
    /// The addresses that pointers in guards of this lock may have.
    pub(crate) pointers: Vec<Address>,
    /// The number of values around the guard.
    pub(crate) depth: usize,
    /// The variable that it is, or is in.
    pub(crate) variable: Text,
    /// The function whose variable it is.
    pub(crate) owner: Owner,
}

/// A function that holds a guard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) function: Rc<Label>,
    /// It is in the tree of what its task waits for. Otherwise it is a future that was polled and put aside.
    pub(crate) is_polled: bool,
}

/// The semaphore that all locks of tokio are made of.
const SEMAPHORE: &str = "tokio::sync::batch_semaphore::Semaphore";

impl Walk<'_, '_, '_, '_> {
    /// Collects the guards that a root owns, if it is no async function itself.
    pub(super) fn guards_of_root(&mut self, value: Value) {
        let owner = Owner {
            function: self.decoder.labels.get(value.id, Role::Root, || {
                Label::new(NodeKind::Wrapper, self.reader().types.path(value.id))
            }),
            is_polled: true,
        };
        self.guards(value, 0, &owner, "");
        self.mark_searched(value, self.size(value));
    }

    fn size(&self, value: Value) -> u64 {
        self.reader().ty(value).map_or(0, |ty| ty.size)
    }

    /// Notes that all guards in a value were looked for.
    pub(super) fn mark_searched(&mut self, value: Value, size: u64) {
        let start = value.address.get();
        let range = start..start.saturating_add(size);
        // The ranges inside this one were added just before it, so they are at the end.
        let is_inside =
            |inner: &mut Range<u64>| inner.start >= range.start && inner.end <= range.end;
        while self.searched.pop_if(is_inside).is_some() {}
        self.searched.push(range);
    }

    /// Collects the guards that a value owns.
    pub(super) fn guards(&mut self, value: Value, depth: usize, owner: &Owner, variable: &str) {
        if !self.step(depth) {
            return;
        }
        let plan = self.plan(value.id, Goal::Guard);
        match plan {
            Plan::Nothing => {}
            Plan::Known(Known::Guard(kind)) => {
                if let Some(lock) = self.lock_of(value, kind)
                    && may_be_held(lock, kind)
                {
                    self.add_hold(value, lock, kind, depth, owner, variable);
                }
                // It may be on the heap, in a `Vec` or a `Box`.
                self.mark_searched(value, self.size(value));
            }
            Plan::Known(Known::Leaf(Leaf::Acquire)) => {
                if let Some(Resource::Permits {
                    semaphore,
                    is_granted: true,
                    ..
                }) = self.resource(value, Leaf::Acquire)
                {
                    let lock = Lock {
                        address: semaphore,
                        start: semaphore,
                        free: 0,
                        is_waited_for: true,
                    };
                    self.add_hold(value, lock, HeldKind::Granted, depth, owner, variable);
                }
            }
            Plan::Known(Known::Leaf(Leaf::Lock(wait, _))) => {
                if let Some(lock) = self.lock_of_waiting_writer(value, wait)
                    && may_be_held(lock, HeldKind::Write)
                {
                    // A guard that was moved into it is less deep.
                    self.add_hold(value, lock, HeldKind::Write, depth + 1, owner, variable);
                }
            }
            Plan::Coroutine => self.guards_of_coroutine(value, depth, owner),
            plan => {
                for value in self.inner(value, &plan, Goal::Guard).values() {
                    self.guards(value, depth + 1, owner, variable);
                }
            }
        }
    }

    /// Collects the guards of a coroutine that is kept in a variable, and is not in the tree.
    fn guards_of_coroutine(&mut self, value: Value, depth: usize, around: &Owner) {
        if !self.coroutines.insert(value) {
            return;
        }
        let Some(coroutine) = self.read_coroutine(value) else {
            return;
        };
        if matches!(coroutine.state.stage, Stage::Returned | Stage::Panicked) {
            self.mark_searched(value, coroutine.state.size);
            return;
        }
        let mut owner = Owner {
            is_polled: false,
            ..around.clone()
        };
        // Functions of runtimes are named by the function of the program that has called them.
        if coroutine.state.label.kind == NodeKind::Function {
            owner.function = Rc::clone(&coroutine.state.label);
        }
        let awaitee = coroutine.awaitee().into_iter().map(|it| ("", it));
        let owners = coroutine.owners().map(|(member, it)| (member.name, it));
        for (variable, value) in owners.chain(awaitee) {
            self.guards(value, depth + 1, &owner, variable);
        }
        self.hidden_guards(value, &coroutine, depth, &owner);
        self.mark_searched(value, coroutine.state.size);
    }

    /// Collects the guards in variables that the debug info of the coroutine leaves out.
    pub(super) fn hidden_guards(
        &mut self,
        value: Value,
        coroutine: &Coroutine<'_>,
        depth: usize,
        owner: &Owner,
    ) {
        for hidden in &coroutine.state.hidden {
            for offset in &hidden.places {
                let guard = Value {
                    address: value.address.offset(*offset),
                    id: hidden.id,
                };
                let Some(lock) = self.lock_of(guard, hidden.kind) else {
                    continue;
                };
                // References to the lock that is waited for are in unnamed variables.
                let is_awaited = || self.awaited.contains(&lock.address);
                let is_taken = lock.free == 0 && lock.is_waited_for;
                if is_taken && (hidden.is_exact || !is_awaited()) {
                    self.add_hold(guard, lock, hidden.kind, depth + 1, owner, hidden.name);
                }
            }
        }
    }

    fn add_hold(
        &mut self,
        guard: Value,
        lock: Lock,
        kind: HeldKind,
        depth: usize,
        owner: &Owner,
        variable: &str,
    ) {
        let semaphore = lock.address;
        let mut pointers = vec![semaphore, lock.start];
        pointers.extend(self.target_of(guard));
        let hold = Hold {
            semaphore,
            kind,
            guard: guard.address,
            lock: lock.start,
            pointers,
            depth,
            variable: variable.into(),
            owner: owner.clone(),
        };
        // A lock is held once. A guard that was moved into another future is still in the variable that it was moved
        // from: guards are moved inwards, and a permit that was granted is never moved.
        let known = self.holds.iter_mut().find(|it| {
            it.guard == guard.address
                || it.semaphore == semaphore && it.kind.is_exclusive() && kind.is_exclusive()
        });
        match known {
            Some(known) if known.guard != guard.address => {
                let rank = |hold: &Hold| (hold.kind == HeldKind::Granted, hold.depth);
                if rank(&hold) > rank(known) {
                    *known = hold;
                }
            }
            Some(_) => {}
            None => self.holds.push(hold),
        }
    }

    /// Returns the address that the first pointer in a guard has.
    fn target_of(&self, guard: Value) -> Option<Address> {
        let reader = self.reader();
        reader.pointer(reader.find_pointer(guard)?)
    }

    /// Returns the lock that a guard is of.
    fn lock_of(&self, guard: Value, kind: HeldKind) -> Option<Lock> {
        let reader = self.reader();
        let path = reader.types.path(guard.id);
        if path.starts_with("async_lock::") {
            return self.lock_of_async_guard(guard, &path, kind);
        }
        let ty = reader.ty(guard)?;
        let mut members = ty.structure()?.members.iter();
        members.find_map(|member| {
            // The locked value, which `data` points to, may have a lock inside.
            if member.name == "data" {
                return None;
            }
            let pointer = reader.find_pointer(guard.member(member))?;
            let Kind::Pointer(Some(id)) = reader.ty(pointer)?.kind else {
                return None;
            };
            let address = reader.pointer(pointer)?;
            let semaphore = reader.find_type(Value { address, id }, SEMAPHORE)?;
            let number = |name| reader.number(reader.find(semaphore, name)?);
            Some(Lock {
                address: semaphore.address,
                start: semaphore.address,
                // The lowest bit says that the semaphore is closed.
                free: number("permits")? >> 1,
                is_waited_for: number("tail")? != 0,
            })
        })
    }
}

/// Returns `false` if an exclusive lock is free. Then the guard is a variable that was moved out of: the compiler keeps
/// such variables if there was a reference to them.
fn may_be_held(lock: Lock, kind: HeldKind) -> bool {
    !kind.is_exclusive() || lock.free == 0
}
