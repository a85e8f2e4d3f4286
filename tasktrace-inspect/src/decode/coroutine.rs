//! Async functions and blocks: structures with a variant for each `.await`.

use std::rc::Rc;

use super::hold::Owner;
use super::label::Role;
use super::node::{FINISHED, Label, NodeKind, Nodes, Resource};
use super::plan::{Goal, Plan};
use super::state::{Stage, State};
use super::walk::Walk;
use crate::debug::{Member, public_path};
use crate::text::Text;
use crate::value::Value;

/// An async function or block in memory.
pub(super) struct Coroutine<'d> {
    pub(super) state: Rc<State<'d>>,
    /// The variables that are kept in this state.
    fields: Value,
}

impl<'d> Coroutine<'d> {
    /// Returns the variables that are kept.
    pub(super) fn locals(&self) -> impl Iterator<Item = (&Member<'d>, Value)> {
        let locals = self.state.locals.iter();
        locals.map(|member| (member, self.fields.member(member)))
    }

    /// Returns the variables that may have guards inside.
    pub(super) fn owners(&self) -> impl Iterator<Item = (&Member<'d>, Value)> {
        let owners = self.state.owners.iter();
        owners.map(|member| (member, self.fields.member(member)))
    }

    /// Returns the future that is awaited.
    pub(super) fn awaitee(&self) -> Option<Value> {
        let awaitee = self.state.awaitee.as_ref();
        awaitee.map(|member| self.fields.member(member))
    }
}

impl<'d> Walk<'_, '_, '_, 'd> {
    /// Reads the state of a coroutine.
    pub(super) fn read_coroutine(&self, value: Value) -> Option<Coroutine<'d>> {
        let (states, plans) = (&self.decoder.states, &self.decoder.plans);
        let (state, fields) = states.read(self.reader(), plans, value)?;
        Some(Coroutine { state, fields })
    }

    /// Shows a coroutine, and below it what it awaits.
    pub(super) fn coroutine(&mut self, value: Value, depth: usize, out: &mut Nodes) {
        if !self.may_show() {
            self.mark_more(out);
            return;
        }
        // References may lead to it twice.
        if !self.coroutines.insert(value) {
            return;
        }
        let Some(coroutine) = self.read_coroutine(value) else {
            let name = self.reader().types.function(value.id);
            out.mark(format!(
                "the state of {name} at {} cannot be read",
                value.address
            ));
            return;
        };
        let state = &*coroutine.state;
        if state.stage == Stage::Returned {
            self.mark_searched(value, state.size);
            return;
        }
        let at = out.open(Rc::clone(&state.label));
        let is_plumbing = state.label.kind == NodeKind::Plumbing;
        // Guards of plumbing are those of the function of the program that has called it.
        let caller = match &self.caller {
            Some(caller) if is_plumbing => Rc::clone(caller),
            _ => Rc::clone(&state.label),
        };
        let around = self.caller.replace(Rc::clone(&caller));
        self.nesting += 1;
        let was_wrapped = std::mem::take(&mut self.is_wrapped);
        let was_in_macro = std::mem::replace(&mut self.is_in_macro, state.label.note.is_some());
        if state.stage == Stage::Suspended {
            match coroutine.awaitee() {
                Some(awaitee) => {
                    self.futures(awaitee, depth + 1, out);
                    if !out.has_children(at) {
                        self.unknown(awaitee, out);
                    }
                }
                None => {
                    self.may_wait_elsewhere = true;
                    for (_, local) in coroutine.locals() {
                        self.futures(local, depth + 1, out);
                    }
                }
            }
        }
        self.nesting -= 1;
        self.caller = around;
        self.is_wrapped = was_wrapped;
        self.is_in_macro = was_in_macro;
        if is_plumbing && let Some(child) = out.only_child(at) {
            self.name_socket(&coroutine, at, child, out);
            self.name_channel(&coroutine, child, out);
        }
        out.close(at);
        let owner = Owner {
            function: caller,
            is_polled: state.stage == Stage::Suspended,
        };
        for (member, local) in coroutine.owners() {
            self.guards(local, depth + 1, &owner, member.name);
        }
        // Wrappers around the awaited future may have guards of their own. An awaited coroutine was read above.
        let awaitee = coroutine.awaitee();
        if let Some(awaitee) = awaitee.filter(|it| !self.coroutines.contains(it)) {
            self.guards(awaitee, depth + 1, &owner, "");
        }
        self.hidden_guards(value, &coroutine, depth, &owner);
        self.mark_searched(value, state.size);
    }

    /// Adds the file descriptor to what is awaited, if that is a socket which the function has a reference to.
    fn name_socket(&self, coroutine: &Coroutine<'_>, at: usize, child: usize, out: &mut Nodes) {
        if out.resource_mut(child) != Some(&mut Resource::Socket { file: None }) {
            return;
        }
        let reader = self.reader();
        let mut locals = coroutine.locals();
        let file = locals.find_map(|(_, local)| self.descriptor(reader.follow(local)?));
        // If it is not known here, a function around this one may know it.
        out.set_resource(at, Some(Resource::Socket { file }));
        out.set_resource(child, None);
    }

    /// Adds the channel to permits that are awaited, if they are those of a channel and the function has its sender.
    fn name_channel(&self, coroutine: &Coroutine<'_>, child: usize, out: &mut Nodes) {
        if let Some(Resource::Permits {
            semaphore,
            channel: channel @ None,
            ..
        }) = out.resource_mut(child)
        {
            // Channels are shared, like all resources.
            let is_recorded = self.reader().memory.pause();
            let mut locals = coroutine.locals();
            *channel = locals.find_map(|(_, local)| self.bounded_channel(local, *semaphore));
            if is_recorded {
                self.reader().memory.resume();
            }
        }
    }

    /// Shows a future of which nothing is known but its type.
    pub(super) fn unknown(&mut self, value: Value, out: &mut Nodes) {
        let types = self.reader().types;
        let plan = self.plan(value.id, Goal::Future);
        let label = self.decoder.labels.get(value.id, Role::Unknown, || {
            if let Plan::Coroutine = plan {
                let name = types.function(value.id);
                return Label::with(NodeKind::Leaf, name, None, Some(FINISHED.into()));
            }
            let path = types.path(value.id);
            let name: Text = match &*path {
                "core::future::poll_fn::PollFn" => "std::future::poll_fn".into(),
                path => public_path(path).into(),
            };
            Label::new(NodeKind::Leaf, name)
        });
        out.push(label, None);
    }
}
