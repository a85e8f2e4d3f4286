//! Futures that threads block on, such as that of `#[tokio::main]`.
//!
//! A thread blocks on a future of the type `F` if its stack has an address in `block_on::<F>`, to which a function will
//! return. Right above that address is the frame of `block_on`, and the debug info may say where in it the future is. If
//! not, the words of the stack are tried as pointers to an `F`. A future is one that is suspended in one of its states,
//! and that can be decoded from there to all its leaves.

use std::collections::{BTreeMap, BTreeSet};

use crate::address::Address;
use crate::bytes::u64_at;
use crate::debug::{BlockOn, Kind, TypeId, Types};
use crate::decode::{Decoded, Decoder, Node, NodeKind, Nodes, Tree};
use crate::memory::{Buffer, Memory, Thread, region_of};
use crate::value::{Reader, Value};

/// The part of a stack that is searched, in bytes.
const SEARCHED: u64 = 8 << 20;

/// The largest number of threads that are searched.
const THREADS: usize = 1024;

/// The largest number of pointers and references around a future in a generic argument.
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
        let stack = thread.stack_pointer.and_then(|it| Stack::read(reader, it));
        let Some(stack) = stack else {
            continue;
        };
        let frames = stack.frames(&functions, reader.bias);
        if frames.is_empty() {
            continue;
        }
        let in_frames = in_frames(reader.types, &frames);
        let pointed_at = pointed_at(reader, &stack, &frames);
        let best = in_frames
            .chain(pointed_at)
            .filter(|(future, _)| may_be_suspended(reader, *future))
            .filter_map(|(future, evidence)| {
                let decoded = decoder.decode(future);
                is_future(&decoded.nodes).then_some((evidence, future, decoded))
            })
            .max_by_key(|(evidence, future, decoded)| {
                (
                    *evidence == Evidence::Frame,
                    leaves(&decoded.nodes),
                    *evidence,
                    future.address,
                )
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

/// The reason to take an address for that of a future.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Evidence {
    /// This number of words of the stack point to it.
    Pointers(usize),
    /// The debug info says so.
    Frame,
}

/// A frame of a function that blocks on a future.
struct Frame<'f> {
    /// The stack pointer while the function runs.
    address: Address,
    function: &'f BlockOn,
}

/// The part of a stack that is in use.
struct Stack {
    start: Address,
    bytes: Buffer,
}

impl Stack {
    fn read(reader: &Reader<'_, '_>, start: Address) -> Option<Self> {
        let region = region_of(reader.memory.regions(), start)?;
        let length = (region.end.get() - start.get()).min(SEARCHED);
        let mut bytes = Buffer::new(usize::try_from(length).ok()?);
        reader.memory.read_now(start, &mut bytes).ok()?;
        Some(Self { start, bytes })
    }

    /// Returns the words, and the address after each.
    fn words(&self) -> impl Iterator<Item = (Address, u64)> {
        let words = self.bytes.chunks_exact(8).enumerate();
        words.map(|(number, word)| {
            let after = self.start.offset(number as u64 * 8 + 8);
            (after, u64_at(word, 0).unwrap_or_default())
        })
    }

    /// Returns the frames of functions, which are ordered by address: the words that are addresses in one of them.
    fn frames<'f>(&self, functions: &'f [BlockOn], bias: u64) -> Vec<Frame<'f>> {
        let mut frames = Vec::new();
        for (after, word) in self.words() {
            let address = word.wrapping_sub(bias);
            let end = functions.partition_point(|it| it.range.start < address);
            // Functions do not overlap, but one may have several entries.
            let start = functions[..end].last().map(|it| it.range.start);
            let here = functions[..end].iter().rev();
            let here = here.take_while(|it| Some(it.range.start) == start);
            frames.extend(
                here.filter(|it| address <= it.range.end)
                    .map(|function| Frame {
                        address: after,
                        function,
                    }),
            );
        }
        frames
    }
}

/// Returns the functions that block on futures, by address.
fn functions(types: &Types<'_>) -> Vec<BlockOn> {
    let functions = types.index().block_on.iter();
    let functions = functions.filter_map(|function| {
        Some(BlockOn {
            future: pinned(types, function.future)?,
            ..function.clone()
        })
    });
    let mut functions: Vec<_> = functions.collect();
    functions.sort_by_key(|it| (it.range.start, it.future, it.function));
    functions.dedup();
    functions
}

/// Returns the futures that are variables in the frames.
fn in_frames<'f>(
    types: &'f Types<'_>,
    frames: &'f [Frame<'_>],
) -> impl Iterator<Item = (Value, Evidence)> + 'f {
    frames.iter().flat_map(move |frame| {
        let future = types.path(frame.function.future);
        let variables = types.frame(frame.function.function).into_iter();
        let variables = variables.filter(move |it| types.path(it.id) == future);
        variables.map(|variable| {
            let address = frame.address.offset(variable.offset as u64);
            let id = variable.id;
            (Value { address, id }, Evidence::Frame)
        })
    })
}

/// Returns the words of the stack that may be pointers to a future.
fn pointed_at(
    reader: &Reader<'_, '_>,
    stack: &Stack,
    frames: &[Frame<'_>],
) -> impl Iterator<Item = (Value, Evidence)> {
    let futures: BTreeSet<TypeId> = frames.iter().map(|it| it.function.future).collect();
    let mut words: BTreeMap<Address, usize> = BTreeMap::new();
    let regions = reader.memory.regions();
    for (_, word) in stack.words() {
        let address = Address::new(word);
        if word.is_multiple_of(8) && region_of(regions, address).is_some() {
            *words.entry(address).or_default() += 1;
        }
    }
    words.into_iter().flat_map(move |(address, count)| {
        let futures = futures.clone().into_iter();
        futures.map(move |id| (Value { address, id }, Evidence::Pointers(count)))
    })
}

/// Returns the future in pointers such as `Pin<&mut F>`: a coroutine, or a structure that may have one in it.
fn pinned(types: &Types<'_>, id: TypeId) -> Option<TypeId> {
    let mut id = id;
    for _ in 0..WRAPPED {
        let ty = types.get(id)?;
        if ty.name.starts_with("{async_") {
            return Some(id);
        }
        id = match &ty.kind {
            Kind::Pointer(target) => (*target)?,
            Kind::Structure(structure) => match structure.members.as_slice() {
                [] => return None,
                [member] => member.id,
                _ => return Some(id),
            },
            _ => return None,
        };
    }
    None
}

/// Returns `false` for coroutines in other states than those of an `.await`.
fn may_be_suspended(reader: &Reader<'_, '_>, future: Value) -> bool {
    let Some(ty) = reader.ty(future) else {
        return false;
    };
    if !ty.name.starts_with("{async_") {
        return true;
    }
    let body = reader
        .variant(future, &ty)
        .and_then(|(variant, _)| reader.types.get(variant.member.id));
    body.is_some_and(|body| body.name.starts_with("Suspend"))
}

/// Returns `true` if there is a suspended coroutine, and nothing that could not be read or could not be.
fn is_future(nodes: &Nodes) -> bool {
    let is_whole = |node: &Node| node.kind != NodeKind::Mark && !node.is_idle();
    nodes.roots().any(is_suspended) && nodes.iter().all(is_whole)
}

/// Returns `true` if there is a suspended coroutine.
fn is_suspended(tree: Tree<'_>) -> bool {
    let mut children = tree.children();
    match tree.node().kind {
        NodeKind::Function | NodeKind::Plumbing => children.next().is_some(),
        NodeKind::Wrapper => children.any(is_suspended),
        NodeKind::Leaf | NodeKind::Mark => false,
    }
}

/// Returns the number of leaves whose state is known.
fn leaves(nodes: &Nodes) -> usize {
    nodes
        .iter()
        .filter(|node| node.resource().is_some())
        .count()
}
