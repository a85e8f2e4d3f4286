//! Futures that threads block on, such as that of `#[tokio::main]`.
//!
//! Such a future is on the stack of its thread or in a box, and `block_on::<F>` keeps a pointer to it on the stack. The
//! debug info knows each type `F`. So the words of each stack are tried as pointers to an `F`: a future is one that is
//! suspended in one of its states, and that can be decoded from there to all its leaves.

use std::collections::{BTreeMap, BTreeSet};

use crate::address::Address;
use crate::bytes::u64_at;
use crate::debug::{Kind, TypeId, Types};
use crate::decode::{Decoded, Decoder, Node, NodeKind};
use crate::memory::{Memory, Region, Thread};
use crate::value::{Reader, Value};

/// How much of a stack is searched.
const SEARCHED: u64 = 8 << 20;

/// How many threads are searched.
const THREADS: usize = 1024;

/// How many pointers and references may be around a future in a generic argument.
const WRAPPED: usize = 8;

/// A future that a thread blocks on.
pub(crate) struct Blocked {
    pub(crate) future: Value,
    pub(crate) thread: u32,
    pub(crate) decoded: Decoded,
}

/// Finds the futures that the threads block on.
pub(crate) fn find(
    reader: &Reader<'_, '_>,
    decoder: &Decoder<'_, '_, '_>,
    threads: &[Thread],
) -> Vec<Blocked> {
    let futures = futures(reader.types);
    if futures.is_empty() {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for thread in threads.iter().take(THREADS) {
        let Some(stack_pointer) = thread.stack_pointer else {
            continue;
        };
        let best = candidates(reader, stack_pointer)
            .into_iter()
            .flat_map(|(address, count)| futures.iter().map(move |id| (address, count, *id)))
            .filter(|(address, _, id)| {
                is_suspended(
                    reader,
                    Value {
                        address: *address,
                        id: *id,
                    },
                )
            })
            .filter_map(|(address, count, id)| {
                let future = Value { address, id };
                let decoded = decoder.decode(future);
                is_whole(&decoded.nodes).then_some((count, future, decoded))
            })
            .max_by_key(|(count, future, decoded)| {
                (leaves(&decoded.nodes), *count, future.address)
            });
        if let Some((_, future, decoded)) = best
            && seen.insert(future.address)
        {
            found.push(Blocked {
                future,
                thread: thread.id,
                decoded,
            });
        }
    }
    found
}

/// Returns the types of all futures that are blocked on anywhere in the program.
fn futures(types: &Types<'_>) -> BTreeSet<TypeId> {
    let functions = types.index().block_on.iter();
    functions.filter_map(|id| coroutine(types, *id)).collect()
}

/// Returns the coroutine in pointers such as `Pin<&mut F>`.
fn coroutine(types: &Types<'_>, id: TypeId) -> Option<TypeId> {
    let mut id = id;
    for _ in 0..WRAPPED {
        let ty = types.get(id)?;
        if ty.name.starts_with("{async_") {
            return Some(id);
        }
        id = match &ty.kind {
            Kind::Pointer(target) => (*target)?,
            Kind::Structure(structure) => match structure.members.as_slice() {
                [member] => member.id,
                _ => return None,
            },
            _ => return None,
        };
    }
    None
}

/// Returns the words of a stack that are addresses of memory which the program can write to, and how often each is there.
fn candidates(reader: &Reader<'_, '_>, stack_pointer: Address) -> BTreeMap<Address, usize> {
    let mut found = BTreeMap::new();
    let regions = reader.memory.regions();
    let Some(stack) = region_of(regions, stack_pointer) else {
        return found;
    };
    let length = (stack.end.get() - stack_pointer.get()).min(SEARCHED);
    let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
    if reader.memory.read_now(stack_pointer, &mut bytes).is_err() {
        return found;
    }
    for word in bytes.chunks_exact(8) {
        let address = Address::new(u64_at(word, 0).unwrap_or_default());
        if address.get().is_multiple_of(8) && region_of(regions, address).is_some() {
            *found.entry(address).or_default() += 1;
        }
    }
    found
}

/// Returns the range that an address is in. The ranges are ordered by address.
fn region_of(regions: &[Region], address: Address) -> Option<&Region> {
    let after = regions.partition_point(|region| region.start <= address);
    let region = regions.get(after.checked_sub(1)?)?;
    region.contains(address).then_some(region)
}

fn is_suspended(reader: &Reader<'_, '_>, future: Value) -> bool {
    let state = || {
        let ty = reader.ty(future)?;
        let (variant, _) = reader.variant(future, &ty)?;
        let body = reader.types.get(variant.member.id)?;
        Some(body.name.starts_with("Suspend"))
    };
    state().unwrap_or_default()
}

/// Returns `true` if there is a future and nothing below it that could not be read.
fn is_whole(nodes: &[Node]) -> bool {
    let is_whole = |node: &Node| {
        node.kind != NodeKind::Mark && (node.children.is_empty() || is_whole(&node.children))
    };
    !nodes.is_empty() && nodes.iter().all(is_whole)
}

/// Returns the number of leaves whose state is known.
fn leaves(nodes: &[Node]) -> usize {
    let below = nodes
        .iter()
        .map(|node| leaves(&node.children))
        .sum::<usize>();
    below + nodes.iter().filter(|node| node.resource.is_some()).count()
}
