//! Caches the labels of types.

use std::cell::RefCell;
use std::rc::Rc;

use super::node::Label;
use crate::debug::TypeId;
use crate::hash::FastMap;

/// The role of a value in a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Role {
    /// A resource that is waited for.
    Leaf,
    /// A wrapper around a future.
    Wrapper,
    /// A future of which nothing is known but its type.
    Unknown,
    /// The value that a walk begins with, as the owner of guards.
    Root,
}

/// The labels of all types that were met.
#[derive(Default)]
pub(super) struct Labels {
    labels: RefCell<FastMap<(TypeId, Role), Rc<Label>>>,
}

impl Labels {
    /// Returns the label of a type in a role, which `make` makes the first time.
    pub(super) fn get(&self, id: TypeId, role: Role, make: impl FnOnce() -> Label) -> Rc<Label> {
        if let Some(label) = self.labels.borrow().get(&(id, role)) {
            return Rc::clone(label);
        }
        let label = Rc::new(make());
        let mut labels = self.labels.borrow_mut();
        labels.insert((id, role), Rc::clone(&label));
        label
    }
}
