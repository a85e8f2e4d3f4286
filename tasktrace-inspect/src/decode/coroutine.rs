//! Async functions and blocks: structures with a variant for each `.await`.

use std::rc::Rc;

use super::hold::Owner;
use super::node::{FINISHED, NOT_STARTED, Node, NodeKind, PANICKED, Place, Resource};
use super::plan::{Goal, Plan};
use super::walk::Walk;
use crate::debug::{Member, Type, TypeId, is_runtime_crate, public_path};
use crate::value::Value;

/// The future that an async function awaits, as the compiler names it.
const AWAITEE: &str = "__awaitee";

/// The state of an async function or block.
pub(super) struct Coroutine<'d> {
    pub(super) name: Rc<str>,
    pub(super) stage: Stage,
    pub(super) place: Option<Place>,
    /// The macro that the `.await` is in.
    pub(super) note: Option<Rc<str>>,
    /// The variables that are kept in this state.
    pub(super) locals: Vec<(Member<'d>, Value)>,
    pub(super) awaitee: Option<Value>,
    /// The type of the current state.
    pub(super) body: TypeId,
}

/// The state of an async function or block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    NotStarted,
    Suspended,
    Returned,
    Panicked,
}

impl<'d> Walk<'_, '_, '_, 'd> {
    /// Reads the state of a coroutine.
    pub(super) fn read_coroutine(&self, value: Value) -> Option<Coroutine<'d>> {
        let reader = self.reader();
        let ty = reader.ty(value)?;
        let (variant, fields) = reader.variant(value, &ty)?;
        let body = reader.ty(fields)?;
        let stage = match body.name {
            "Unresumed" => Stage::NotStarted,
            "Returned" => Stage::Returned,
            "Panicked" => Stage::Panicked,
            _ => Stage::Suspended,
        };
        let name = reader.types.function(value.id);
        let (place, note) = self.place(value.id, &ty, &variant.member, &name);
        let mut locals = Vec::new();
        let mut awaitee = None;
        for member in &body.structure()?.members {
            let at = reader.member(fields, member);
            match member.name {
                AWAITEE => awaitee = Some(at),
                _ => locals.push((*member, at)),
            }
        }
        Some(Coroutine {
            name,
            stage,
            place,
            note,
            locals,
            awaitee,
            body: fields.id,
        })
    }

    /// Returns where a coroutine is. The line of an `.await` in a macro of a runtime is that of the macro: then it is the
    /// function's own, with the name of the macro.
    fn place(
        &self,
        id: TypeId,
        ty: &Type<'_>,
        member: &Member<'_>,
        name: &str,
    ) -> (Option<Place>, Option<Rc<str>>) {
        let types = self.reader().types;
        let place = |member: &Member<'_>| {
            let (file, line) = member.place?;
            let file = types.file(id, file)?;
            Some(Place { file, line })
        };
        let here = place(member);
        let in_macro = here
            .as_ref()
            .filter(|here| !is_runtime_crate(name) && is_of_runtime(&here.file));
        let Some(macro_place) = in_macro else {
            return (here, None);
        };
        let note = macro_of(&macro_place.file);
        let variants = ty.structure().and_then(|it| it.variants.as_ref());
        let first = variants.and_then(|variants| variants.variants.first());
        let own = first.and_then(|first| place(&first.member));
        (own, Some(note.into()))
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
        let kind = match is_runtime_crate(&coroutine.name) {
            true => NodeKind::Plumbing,
            false => NodeKind::Function,
        };
        let mut node = Node::new(kind, public_path(&coroutine.name));
        node.place = coroutine.place.clone();
        node.note = coroutine.note.clone();
        self.nesting += 1;
        let was_wrapped = std::mem::take(&mut self.is_wrapped);
        let was_in_macro = std::mem::replace(&mut self.is_in_macro, coroutine.note.is_some());
        match coroutine.stage {
            Stage::Returned => {}
            Stage::Panicked => node.note = Some(PANICKED.into()),
            Stage::NotStarted => node.note = Some(NOT_STARTED.into()),
            Stage::Suspended => match coroutine.awaitee {
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
                    for (_, local) in &coroutine.locals {
                        self.futures(*local, depth + 1, &mut node.children);
                    }
                }
            },
        }
        self.nesting -= 1;
        self.is_wrapped = was_wrapped;
        self.is_in_macro = was_in_macro;
        if kind == NodeKind::Plumbing {
            self.name_socket(&coroutine, &mut node);
        }
        if coroutine.stage == Stage::Returned {
            self.mark_searched(value);
            return;
        }
        let owner = Owner {
            name: Rc::clone(&node.name),
            place: coroutine.place.clone(),
            is_polled: coroutine.stage == Stage::Suspended,
        };
        for (member, local) in &coroutine.locals {
            self.guards(*local, depth + 1, &owner, member.name);
        }
        // Wrappers around what is awaited may have guards of their own.
        if let Some(awaitee) = coroutine.awaitee {
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
        if child.resource != Some(Resource::Socket { file: None }) {
            return;
        }
        let reader = self.reader();
        let mut locals = coroutine.locals.iter();
        let file = locals.find_map(|(_, local)| self.descriptor(reader.follow(*local)?));
        // If it is not known here, a function around this one may know it.
        node.resource = Some(Resource::Socket { file });
        child.resource = None;
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
        let name = match &*path {
            "core::future::poll_fn::PollFn" => "std::future::poll_fn".into(),
            path => public_path(path),
        };
        Node::new(NodeKind::Leaf, name)
    }
}

/// Returns the name of the macro that a file of a runtime is for: `join!` for `macros/join.rs` and for `join_mod.rs`.
fn macro_of(file: &str) -> String {
    let stem = file.rsplit('/').next().unwrap_or(file);
    let stem = stem.strip_suffix(".rs").unwrap_or(stem);
    let stem = stem.strip_suffix("_mod").unwrap_or(stem);
    format!("{stem}!")
}

/// Returns `true` for files of the crates that are plumbing.
fn is_of_runtime(file: &str) -> bool {
    let package = file.split('/').next().unwrap_or(file);
    let version = package
        .match_indices('-')
        .find(|(at, _)| package[at + 1..].starts_with(|c: char| c.is_ascii_digit()));
    let Some((end, _)) = version else {
        return false;
    };
    is_runtime_crate(&package[..end].replace('-', "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn macros_are_named_by_their_files() {
        assert_eq!(macro_of("tokio-1.40.0/src/macros/select.rs"), "select!");
        let of_futures = "futures-util-0.3.31/src/async_await/join_mod.rs";
        assert_eq!(macro_of(of_futures), "join!");
    }

    #[test]
    fn files_of_runtimes_are_known_by_their_packages() {
        assert!(is_of_runtime("tokio-1.40.0/src/macros/select.rs"));
        assert!(is_of_runtime("futures-util-0.3.31/src/async_await/mod.rs"));
        assert!(!is_of_runtime("hyper-1.0.0/src/lib.rs"));
        assert!(!is_of_runtime("src/macros/select.rs"));
    }
}
