//! The values inside a value: fields, variants, elements, and targets of pointers.

use super::kind::{Known, Leaf};
use super::plan::{Filled, Goal, Plan, slice_element};
use super::walk::Walk;
use crate::debug::{Kind, TypeId};
use crate::value::Value;

/// The values inside a value.
pub(super) enum Inner {
    /// One value.
    One(Value),
    /// The values, and a note if there are more.
    Values(Vec<Value>, Option<String>),
    /// They cannot be read.
    Problem(String),
}

impl Inner {
    /// Returns the values that can be read.
    pub(super) fn values(self) -> impl Iterator<Item = Value> {
        let (one, values) = match self {
            Self::One(value) => (Some(value), Vec::new()),
            Self::Values(values, _) => (None, values),
            Self::Problem(_) => (None, Vec::new()),
        };
        one.into_iter().chain(values)
    }
}

pub(super) const NOTHING: Inner = Inner::Values(Vec::new(), None);

/// Lengths beyond this are garbage.
const LONGEST: u64 = 1 << 40;

impl Walk<'_, '_, '_, '_> {
    /// Returns the values inside a value, as far as they lead to what is looked for.
    pub(super) fn inner(&mut self, value: Value, plan: &Plan, goal: Goal) -> Inner {
        match plan {
            Plan::Nothing | Plan::Coroutine => NOTHING,
            Plan::Fields(fields) => {
                let mut values = fields.iter().map(|(offset, id)| Value {
                    address: value.address.offset(*offset),
                    id: *id,
                });
                match (values.len(), values.next()) {
                    (1, Some(value)) => Inner::One(value),
                    (_, first) => Inner::Values(first.into_iter().chain(values).collect(), None),
                }
            }
            Plan::Filled(arrays) => self.filled(value, arrays),
            Plan::Variants => self.variant(value),
            Plan::Pointer(target) => self.pointer(value, *target, goal),
            Plan::Dynamic => self.dynamic(value, goal),
            Plan::Slice => self.slice(value, goal),
            Plan::Array(element, count) => self.elements(value, *element, *count),
            Plan::Known(known) => match known {
                Known::Vec => self.vec(value, goal),
                Known::SmallVec => self.small_vec(value, goal),
                Known::VecDeque => self.vec_deque(value, goal),
                Known::LinkedList => self.linked_list(value),
                Known::HashTable => self.hash_table(value),
                Known::BTreeMap => self.tree_map(value),
                Known::Arc => self.arc(value, goal),
                Known::FuturesUnordered => self.futures_unordered(value),
                Known::Shared => self.shared(value, goal),
                Known::Timeout => {
                    let inner = self.reader().find(value, "value");
                    Inner::Values(inner.into_iter().collect(), None)
                }
                Known::Leaf(Leaf::Channel | Leaf::FuturesChannel) => self.messages(value),
                Known::Leaf(Leaf::Oneshot) => self.message(value),
                Known::Leaf(_) | Known::Guard(_) | Known::Closure | Known::Opaque => NOTHING,
            },
        }
    }

    fn variant(&self, value: Value) -> Inner {
        let reader = self.reader();
        let Some(ty) = reader.ty(value) else {
            return NOTHING;
        };
        match reader.variant(value, &ty) {
            Some((_, fields)) => Inner::One(fields),
            None => Inner::Problem(format!("the enum at {} cannot be read", value.address)),
        }
    }

    /// Returns the target of a pointer, once.
    fn target(&mut self, target: Value, goal: Goal) -> Inner {
        match self.is_new(target, goal) {
            true => Inner::One(target),
            false => NOTHING,
        }
    }

    fn pointer(&mut self, value: Value, id: TypeId, goal: Goal) -> Inner {
        match self.reader().pointer(value) {
            Some(address) if address.is_null() => NOTHING,
            Some(address) => self.target(Value { address, id }, goal),
            None => Inner::Problem(format!("the pointer at {} cannot be read", value.address)),
        }
    }

    fn dynamic(&mut self, value: Value, goal: Goal) -> Inner {
        let reader = self.reader();
        let word = |name| {
            let field = reader.find(value, name)?;
            reader.pointer(field)
        };
        let (Some(address), Some(vtable)) = (word("pointer"), word("vtable")) else {
            return Inner::Problem(format!("the pointer at {} cannot be read", value.address));
        };
        let linked = vtable.get().wrapping_sub(reader.bias);
        match reader.types.index().vtables.get(&linked) {
            Some(id) => self.target(Value { address, id: *id }, goal),
            None => Inner::Problem(format!(
                "a dyn Future of a type that is not in the debug info, with its vtable at {vtable}"
            )),
        }
    }

    fn slice(&mut self, value: Value, goal: Goal) -> Inner {
        let reader = self.reader();
        let Some(ty) = reader.ty(value) else {
            return NOTHING;
        };
        let start = reader.find(value, "data_ptr");
        let length = reader.find(value, "length");
        let start = start.and_then(|it| reader.pointer(it));
        let length = length.and_then(|it| reader.number(it));
        match (start, length, slice_element(reader.types, &ty)) {
            (Some(address), Some(length), Some(id)) => {
                let first = Value { address, id };
                match self.is_new(first, goal) {
                    true => self.elements(first, id, length),
                    false => NOTHING,
                }
            }
            _ => Inner::Problem(format!("the slice at {} cannot be read", value.address)),
        }
    }

    fn vec(&mut self, value: Value, goal: Goal) -> Inner {
        let reader = self.reader();
        let ty = reader.ty(value);
        let element = ty
            .as_ref()
            .and_then(|ty| ty.structure()?.parameters.first());
        let length = reader.find(value, "len");
        let length = length.and_then(|it| reader.number(it));
        let start = reader.find_pointer(value);
        let start = start.and_then(|it| reader.pointer(it));
        match (start, length, element) {
            (Some(address), Some(length), Some(id)) => {
                let first = Value { address, id: *id };
                match length > 0 && self.is_new(first, goal) {
                    true => self.elements(first, *id, length),
                    false => NOTHING,
                }
            }
            _ => Inner::Problem(format!("the Vec at {} cannot be read", value.address)),
        }
    }

    /// Returns the elements of a `SmallVec`. They are in the value itself while its array has room for them: then the
    /// field `capacity` is their number.
    fn small_vec(&mut self, value: Value, goal: Goal) -> Inner {
        let Some((first, length, is_inline)) = self.place_of_small_vec(value) else {
            return Inner::Problem(format!("the SmallVec at {} cannot be read", value.address));
        };
        match is_inline || length > 0 && self.is_new(first, goal) {
            true => self.elements(first, first.id, length),
            false => NOTHING,
        }
    }

    /// Returns the first element of a `SmallVec`, the number of elements, and `true` if they are in the value.
    fn place_of_small_vec(&self, value: Value) -> Option<(Value, u64, bool)> {
        let reader = self.reader();
        let array = *reader.ty(value)?.structure()?.parameters.first()?;
        let Kind::Array(id, room) = reader.types.get(array)?.kind else {
            return None;
        };
        let capacity = reader.number(reader.find(value, "capacity")?)?;
        let data = reader.find(value, "data")?;
        // With the feature `union` of the crate it is a union, else an enum.
        let union = reader.find(data, if capacity > room { "heap" } else { "inline" });
        let part = match union {
            Some(part) => part,
            None => reader.variant(data, &*reader.ty(data)?)?.1,
        };
        if capacity <= room {
            let array = reader.find(part, "__0").unwrap_or(part);
            let address = array.address;
            return Some((Value { address, id }, capacity, true));
        }
        let address = reader.pointer(reader.find_pointer(part)?)?;
        let length = reader
            .find(part, "len")
            .or_else(|| reader.find(part, "__1"))?;
        Some((Value { address, id }, reader.number(length)?, false))
    }

    /// Returns the elements of a ring: those from its head to the end of the memory, then those from the start.
    fn vec_deque(&mut self, value: Value, goal: Goal) -> Inner {
        let reader = self.reader();
        let ty = reader.ty(value);
        let element = ty
            .as_ref()
            .and_then(|ty| ty.structure()?.parameters.first());
        let number = |name| reader.number(reader.find(value, name)?);
        let start = reader.find_pointer(value);
        let start = start.and_then(|it| reader.pointer(it));
        let parts = (start, number("head"), number("len"), number("cap"), element);
        let (Some(address), Some(head), Some(length), Some(capacity), Some(id)) = parts else {
            return Inner::Problem(format!("the VecDeque at {} cannot be read", value.address));
        };
        if length > capacity || head > capacity {
            // Elements without a size take no memory, and contain nothing.
            return NOTHING;
        }
        let ring = Value { address, id: *id };
        if length == 0 || !self.is_new(ring, goal) {
            return NOTHING;
        }
        let until_end = length.min(capacity - head);
        let size = reader.types.get(*id).map_or(0, |ty| ty.size);
        let first = Value {
            address: address.offset(head.wrapping_mul(size)),
            id: *id,
        };
        match self.elements(first, *id, until_end) {
            Inner::Values(mut values, None) if until_end < length => {
                match self.elements(ring, *id, length - until_end) {
                    Inner::Values(rest, more) => {
                        values.extend(rest);
                        Inner::Values(values, more)
                    }
                    problem => problem,
                }
            }
            inner => inner,
        }
    }

    fn linked_list(&self, value: Value) -> Inner {
        let head = self.reader().find(value, "head");
        let first = head.and_then(|head| self.optional(head));
        let next = |node| self.optional(self.reader().find(node, "next")?);
        let (values, more) = self.linked(first, "element", next);
        Inner::Values(values, more)
    }

    /// Returns a field of each node of a list.
    pub(super) fn linked(
        &self,
        first: Option<Value>,
        field: &'static str,
        next: impl Fn(Value) -> Option<Value>,
    ) -> (Vec<Value>, Option<String>) {
        let mut values = Vec::new();
        let mut node = first;
        while let Some(value) = node.and_then(|node| self.reader().find(node, field)) {
            if values.len() >= self.decoder.limits.elements {
                return (values, Some("more are not shown".to_owned()));
            }
            values.push(value);
            node = node.and_then(&next);
        }
        (values, None)
    }

    /// Returns the elements of arrays that are in use.
    fn filled(&self, value: Value, arrays: &[Filled]) -> Inner {
        let reader = self.reader();
        let length = reader.find(value, "len");
        let Some(length) = length.and_then(|it| reader.number(it)) else {
            return Inner::Problem(format!("the list at {} cannot be read", value.address));
        };
        let mut all = Vec::new();
        let mut more = None;
        for array in arrays {
            let first = Value {
                address: value.address.offset(array.offset),
                id: array.element,
            };
            match self.elements(first, first.id, length.min(array.room)) {
                Inner::Values(values, note) => {
                    all.extend(values);
                    more = more.or(note);
                }
                problem => return problem,
            }
        }
        Inner::Values(all, more)
    }

    /// Returns what an `Arc` points to, if this is the only one: then it owns that like a `Box`.
    fn arc(&mut self, value: Value, goal: Goal) -> Inner {
        let reader = self.reader();
        let inner = reader.follow(value);
        let count = inner.and_then(|inner| reader.number(reader.find(inner, "strong")?));
        match (count, inner.and_then(|inner| reader.find(inner, "data"))) {
            (Some(1), Some(data)) => self.target(data, goal),
            _ => NOTHING,
        }
    }

    fn elements(&self, first: Value, id: TypeId, count: u64) -> Inner {
        let size = self.reader().types.get(id).map_or(0, |ty| ty.size);
        if size == 0 {
            return NOTHING;
        }
        if count > LONGEST {
            return Inner::Problem(format!("a list at {} cannot be read", first.address));
        }
        let shown = count.min(self.decoder.limits.elements as u64);
        let values = (0..shown).map(|number| Value {
            address: first.address.offset(number.wrapping_mul(size)),
            id,
        });
        let more = (shown < count).then(|| format!("{} more are not shown", count - shown));
        Inner::Values(values.collect(), more)
    }

    /// Walks the list of all futures, which the newest begins.
    fn futures_unordered(&self, value: Value) -> Inner {
        let reader = self.reader();
        let mut values = Vec::new();
        let mut more = None;
        let first = reader.find(value, "head_all");
        let mut next = first.and_then(|it| reader.follow(it));
        while let Some(task) = next {
            if values.len() >= self.decoder.limits.elements {
                more = Some("more are not shown".to_owned());
                break;
            }
            let Some(future) = reader.find(task, "future") else {
                more = Some("the rest of a FuturesUnordered cannot be read".to_owned());
                break;
            };
            values.push(future);
            let after = reader.find(task, "next_all");
            next = after.and_then(|it| reader.follow(it));
        }
        values.reverse();
        Inner::Values(values, more)
    }

    fn shared(&mut self, value: Value, goal: Goal) -> Inner {
        let reader = self.reader();
        let Some(option) = reader.find(value, "inner") else {
            return NOTHING;
        };
        let Some(ty) = reader.ty(option) else {
            return NOTHING;
        };
        let arc = reader.variant(option, &ty).map(|(_, arc)| arc);
        let inner = arc.and_then(|arc| reader.follow_arc(arc));
        match inner.and_then(|inner| reader.find(inner, "future_or_output")) {
            Some(future) => self.target(future, goal),
            None => NOTHING,
        }
    }
}
