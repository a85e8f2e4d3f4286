//! Maps: their keys and values.

use super::collection::{Inner, NOTHING};
use super::walk::Walk;
use crate::address::Address;
use crate::debug::{Kind, TypeId};
use crate::memory::Memory;
use crate::value::{Reader, Value};

/// The largest number of buckets of a hash table that are looked at. Most of a table can be empty.
const BUCKETS: u64 = 1 << 24;

/// The number of buckets whose states are read at once.
const AT_ONCE: usize = 4096;

/// The bit that is set in the states of buckets without an element.
const IS_EMPTY: u8 = 0x80;

/// The largest height of a tree. Each node but the root has at least five elements.
const HEIGHT: u64 = 30;

impl Walk<'_, '_, '_, '_> {
    /// Returns the elements of a hash table.
    ///
    /// The states of its buckets are at a pointer, one byte each, and its elements before that, in the opposite order.
    pub(super) fn hash_table(&self, value: Value) -> Inner {
        let reader = self.reader();
        let number = |name| reader.number(reader.find(value, name)?);
        let ty = reader.ty(value);
        let element = ty
            .as_ref()
            .and_then(|ty| ty.structure()?.parameters.first());
        let states = reader.find(value, "ctrl");
        let states = states.and_then(|it| reader.pointer(reader.find_pointer(it)?));
        let parts = (states, number("bucket_mask"), number("items"), element);
        let (Some(states), Some(mask), Some(count), Some(id)) = parts else {
            return Inner::Problem(format!("the map at {} cannot be read", value.address));
        };
        let size = reader.types.get(*id).map_or(0, |ty| ty.size);
        if count == 0 || size == 0 {
            return NOTHING;
        }
        let shown = count.min(self.decoder.limits.elements as u64) as usize;
        let buckets = mask.saturating_add(1).min(BUCKETS);
        let mut values = Vec::new();
        let mut at = 0;
        while at < buckets && values.len() < shown {
            let mut bytes = [0; AT_ONCE];
            let length = (buckets - at).min(AT_ONCE as u64);
            let bytes = &mut bytes[..length as usize];
            if reader.memory.read(states.offset(at), bytes).is_err() {
                return Inner::Problem(format!("the map at {} cannot be read", value.address));
            }
            for state in bytes {
                at += 1;
                if *state & IS_EMPTY == 0 && values.len() < shown {
                    let address = states.get().wrapping_sub(at.wrapping_mul(size));
                    values.push(Value {
                        address: Address::new(address),
                        id: *id,
                    });
                }
            }
        }
        let left = count - values.len() as u64;
        let more = (left > 0).then(|| format!("{left} more are not shown"));
        Inner::Values(values, more)
    }

    /// Returns the nodes of a tree. Each has arrays of keys and of values, and those above the lowest have an array of
    /// pointers to nodes below.
    pub(super) fn tree_map(&self, value: Value) -> Inner {
        let reader = self.reader();
        let problem = || Inner::Problem(format!("the map at {} cannot be read", value.address));
        let count = reader.find(value, "length");
        match count.and_then(|count| reader.number(count)) {
            Some(0) => return NOTHING,
            Some(_) => {}
            None => return problem(),
        }
        let root = || {
            let option = reader.find(value, "root")?;
            let ty = reader.ty(option)?;
            let (_, root) = reader.variant(option, &ty)?;
            let height = reader.number(reader.find(root, "height")?)?;
            Some((reader.follow(reader.find(root, "node")?)?, height))
        };
        let Some((root, height)) = root().filter(|(_, height)| *height <= HEIGHT) else {
            return problem();
        };
        let inner = inner_node(reader, root);
        let mut nodes = Vec::new();
        let mut pending = vec![(root, height)];
        while let Some((node, height)) = pending.pop() {
            if nodes.len() >= self.decoder.limits.elements {
                return Inner::Values(nodes, Some("more are not shown".to_owned()));
            }
            nodes.push(node);
            if height == 0 {
                continue;
            }
            let below = || {
                let id = inner?;
                let address = node.address;
                let edges = reader.find(Value { address, id }, "edges")?;
                let Kind::Array(element, room) = reader.ty(edges)?.kind else {
                    return None;
                };
                let size = reader.types.get(element)?.size;
                let length = reader.number(reader.find(node, "len")?)?;
                let edges = (0..length.saturating_add(1).min(room)).map(move |number| {
                    let address = edges.address.offset(number.wrapping_mul(size));
                    reader.word(address).map(Address::new)
                });
                Some(edges)
            };
            let Some(below) = below() else {
                return problem();
            };
            for address in below {
                let Some(address) = address else {
                    return problem();
                };
                let id = node.id;
                pending.push((Value { address, id }, height - 1));
            }
        }
        Inner::Values(nodes, None)
    }
}

/// Returns the type of the nodes above the lowest: each node may have a pointer to one.
fn inner_node(reader: &Reader<'_, '_>, node: Value) -> Option<TypeId> {
    let (_, parent) = reader.offset(node.id, "parent")?;
    let ty = reader.types.get(parent)?;
    let variants = &ty.structure()?.variants.as_ref()?.variants;
    variants.iter().find_map(|variant| {
        let at = Value {
            address: Address::new(0),
            id: variant.member.id,
        };
        match reader.ty(reader.find_pointer(at)?)?.kind {
            Kind::Pointer(target) => target,
            _ => None,
        }
    })
}
