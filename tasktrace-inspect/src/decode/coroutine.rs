//! Async functions and blocks: structures with a variant for each `.await`.

use std::rc::Rc;

use super::hold::Owner;
use super::node::{FINISHED, NOT_STARTED, Node, NodeKind, PANICKED, Resource};
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
        let reader = self.reader();
        let ty = reader.ty(value)?;
        let (variant, fields) = reader.variant(value, &ty)?;
        let (states, plans) = (&self.decoder.states, &self.decoder.plans);
        let state = states.get(reader.types, plans, value.id, &ty, &variant.member)?;
        Some(Coroutine { state, fields })
    }

    /// Shows a coroutine, and below it what it awaits.
    pub(super) fn coroutine(&mut self, value: Value, depth: usize, out: &mut Vec<Node>) {
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
            out.push(Node::mark(format!(
                "the state of {name} at {} cannot be read",
                value.address
            )));
            return;
        };
        let state = &*coroutine.state;
        let mut node = Node::new(state.kind, state.name.clone());
        node.place = state.place.clone();
        node.note = state.note.clone();
        // Guards of plumbing are those of the function of the program that has called it.
        let caller = match (state.kind, &self.caller) {
            (NodeKind::Plumbing, Some(caller)) => Rc::clone(caller),
            _ => Rc::clone(&coroutine.state),
        };
        let around = self.caller.replace(Rc::clone(&caller));
        self.nesting += 1;
        let was_wrapped = std::mem::take(&mut self.is_wrapped);
        let was_in_macro = std::mem::replace(&mut self.is_in_macro, state.note.is_some());
        match state.stage {
            Stage::Returned => {}
            Stage::Panicked => node.note = Some(PANICKED.into()),
            Stage::NotStarted => node.note = Some(NOT_STARTED.into()),
            Stage::Suspended => match coroutine.awaitee() {
                Some(awaitee) => {
                    // Most await one future. A vector that grows makes room for four.
                    node.children.reserve_exact(1);
                    self.futures(awaitee, depth + 1, &mut node.children);
                    if node.children.is_empty() {
                        node.children.push(self.unknown(awaitee));
                    }
                }
                None => {
                    self.may_wait_elsewhere = true;
                    for (_, local) in coroutine.locals() {
                        self.futures(local, depth + 1, &mut node.children);
                    }
                }
            },
        }
        self.nesting -= 1;
        self.caller = around;
        self.is_wrapped = was_wrapped;
        self.is_in_macro = was_in_macro;
        if state.kind == NodeKind::Plumbing {
            self.name_socket(&coroutine, &mut node);
            self.name_channel(&coroutine, &mut node);
        }
        if state.stage == Stage::Returned {
            self.mark_searched(value);
            return;
        }
        let owner = Owner {
            name: caller.name.clone(),
            place: caller.place.clone(),
            is_polled: state.stage == Stage::Suspended,
        };
        for (member, local) in coroutine.owners() {
            self.guards(local, depth + 1, &owner, member.name);
        }
        // Wrappers around what is awaited may have guards of their own.
        if let Some(awaitee) = coroutine.awaitee() {
            self.guards(awaitee, depth + 1, &owner, "");
        }
        self.hidden_guards(value, &coroutine, depth, &owner);
        self.mark_searched(value);
        out.push(node);
    }

    /// Adds the file descriptor to what is awaited, if that is a socket which the function has a reference to.
    fn name_socket(&self, coroutine: &Coroutine<'_>, node: &mut Node) {
        let [child] = node.children.as_mut_slice() else {
            return;
        };
        if child.resource.as_deref() != Some(&Resource::Socket { file: None }) {
            return;
        }
        let reader = self.reader();
        let mut locals = coroutine.locals();
        let file = locals.find_map(|(_, local)| self.descriptor(reader.follow(local)?));
        // If it is not known here, a function around this one may know it.
        node.resource = Some(Resource::Socket { file }.into());
        child.resource = None;
    }

    /// Adds the channel to permits that are awaited, if they are those of a channel and the function has its sender.
    fn name_channel(&self, coroutine: &Coroutine<'_>, node: &mut Node) {
        let [child] = node.children.as_mut_slice() else {
            return;
        };
        if let Some(Resource::Permits {
            semaphore,
            channel: channel @ None,
            ..
        }) = child.resource.as_deref_mut()
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
    pub(super) fn unknown(&mut self, value: Value) -> Node {
        let types = self.reader().types;
        if let Plan::Coroutine = self.plan(value.id, Goal::Future) {
            let mut node = Node::new(NodeKind::Leaf, types.function(value.id));
            node.note = Some(FINISHED.into());
            return node;
        }
        let path = types.path(value.id);
        let name: Text = match &*path {
            "core::future::poll_fn::PollFn" => "std::future::poll_fn".into(),
            path => public_path(path).into(),
        };
        Node::new(NodeKind::Leaf, name)
    }
}
