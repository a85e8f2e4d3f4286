//! Futures that threads block on, such as that of `#[tokio::main]`.
//!
//! A thread blocks on a future of the type `F` if its stack has an address in `block_on::<F>`, to which a function will
//! return. The future is on the stack too or in a box, and there are pointers to it on the stack. So the words of the
//! stack are tried as pointers to an `F`: a future is one that is suspended in one of its states, and that can be decoded
//! from there to all its leaves.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::address::Address;
use crate::bytes::u64_at;
use crate::debug::{Kind, TypeId, Types};
use crate::decode::{Decoded, Decoder, Node, NodeKind};
use crate::memory::{Memory, Thread, region_of};
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
    let functions = functions(reader.types);
    if functions.is_empty() {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for thread in threads.iter().take(THREADS) {
        let stack = thread.stack_pointer.and_then(|it| stack(reader, it));
        let Some(stack) = stack else {
            continue;
        };
        let futures = futures(reader, &functions, &stack);
        if futures.is_empty() {
            continue;
        }
        let best = candidates(reader, &stack)
            .into_iter()
            .flat_map(|(address, count)| futures.iter().map(move |id| (address, count, *id)))
            .filter_map(|(address, count, id)| {
                let future = Value { address, id };
                if !is_suspended(reader, future) {
                    return None;
                }
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

/// Returns the functions that block on coroutines, by address.
fn functions(types: &Types<'_>) -> Vec<(Range<u64>, TypeId)> {
    let functions = types.index().block_on.iter();
    let functions = functions.filter_map(|(range, id)| {
        let future = coroutine(types, *id)?;
        Some((range.clone(), future))
    });
    let mut functions: Vec<_> = functions.collect();
    functions.sort_by_key(|(range, id)| (range.start, *id));
    functions
}

/// Returns the part of a stack that is in use.
fn stack(reader: &Reader<'_, '_>, stack_pointer: Address) -> Option<Vec<u8>> {
    let region = region_of(reader.memory.regions(), stack_pointer)?;
    let length = (region.end.get() - stack_pointer.get()).min(SEARCHED);
    let mut bytes = vec![0; usize::try_from(length).ok()?];
    reader.memory.read_now(stack_pointer, &mut bytes).ok()?;
    Some(bytes)
}

fn words(stack: &[u8]) -> impl Iterator<Item = u64> {
    let words = stack.chunks_exact(8);
    words.map(|word| u64_at(word, 0).unwrap_or_default())
}

/// Returns the types of the futures that functions block on to which addresses in a stack return.
fn futures(
    reader: &Reader<'_, '_>,
    functions: &[(Range<u64>, TypeId)],
    stack: &[u8],
) -> BTreeSet<TypeId> {
    let mut found = BTreeSet::new();
    for word in words(stack) {
        let address = word.wrapping_sub(reader.bias);
        let after = functions.partition_point(|(range, _)| range.start < address);
        // Functions do not overlap, but one may have several entries.
        let before = functions[..after].iter().rev();
        let start = before.clone().next().map(|(range, _)| range.start);
        let here = before.take_while(|(range, _)| Some(range.start) == start);
        found.extend(
            here.filter(|(range, _)| address <= range.end)
                .map(|(_, id)| *id),
        );
    }
    found
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
fn candidates(reader: &Reader<'_, '_>, stack: &[u8]) -> BTreeMap<Address, usize> {
    let mut found = BTreeMap::new();
    let regions = reader.memory.regions();
    for word in words(stack) {
        let address = Address::new(word);
        if word.is_multiple_of(8) && region_of(regions, address).is_some() {
            *found.entry(address).or_default() += 1;
        }
    }
    found
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
        node.kind != NodeKind::Mark
            && !node.is_idle()
            && (node.children.is_empty() || is_whole(&node.children))
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
