//! The tasks of tokio's runtimes.
//!
//! Each task is one allocation, a `Cell<T, S>`, which begins with a `Header`. Its vtable is a constant of the program,
//! known by the function `poll::<T, S>` in it. So [`vtables`] finds all vtables among the constants, [`search`] finds
//! words in memory that point to one of them, and [`owned`] follows these headers to the runtimes, whose lists of tasks
//! say which tasks are alive. No thread has to be stopped for it, and no thread-local is read.

mod header;
mod owned;
mod pool;
mod search;
mod vtables;

use std::collections::{BTreeMap, HashSet};

pub(crate) use self::header::{Header, State};
use self::owned::List;
pub(crate) use self::vtables::Vtables;
use crate::address::Address;
use crate::bytes::u64_at;
use crate::decode::{Decoder, PlaceInQueue};
use crate::hash::FastSet;
use crate::limits::{Deadline, Limits};
use crate::memory::{Buffer, PageCache, stack_of};
use crate::value::Reader;

/// The number of bytes of each cell that are prefetched: the header and, in most cells, the number of the task.
const HEADER: usize = 64;

/// The reason for which tasks may be missing if a bound of the search was reached.
pub(crate) const NOT_SEARCHED: &str = "the memory was not searched to its end: it is too large";

/// The reason for which tasks are missing if there are more than [`Limits::tasks`].
pub(crate) const TOO_MANY: &str = "there are too many tasks";

/// All tasks that were found.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    /// By the list that they are in and by number.
    pub(crate) tasks: Vec<Header>,
    /// The number of runtimes and local sets.
    pub(crate) lists: usize,
    /// The reasons for which tasks are missing, with the number of tasks.
    pub(crate) missing: BTreeMap<String, usize>,
}

impl Tasks {
    /// Finds the tasks of all runtimes.
    pub(crate) fn find(
        decoder: &Decoder<'_, '_, '_>,
        vtables: &Vtables,
        stack_pointers: &[Address],
        limits: &Limits,
        deadline: Deadline,
    ) -> Self {
        let reader = decoder.reader();
        let mut found = Self::default();
        let Some(layout) = vtables.layout() else {
            return found;
        };
        let search = search::headers(reader.memory, vtables, layout, limits, deadline);
        if search.is_cut {
            *found.missing.entry(NOT_SEARCHED.to_owned()).or_default() += 1;
        }
        let mut lists: BTreeMap<Address, List> = BTreeMap::new();
        let mut owners = FastSet::default();
        let mut blocking = Vec::new();
        let headers = search.headers.iter();
        reader
            .memory
            .prefetch(headers.map(|address| (*address, HEADER)));
        for address in search.headers {
            let Some(header) = Header::read(reader, vtables, layout, address) else {
                continue;
            };
            if header.is_blocking {
                // Freed cells look like those in use, but for the words that the allocator has overwritten.
                if header.is_plausible_closure() {
                    blocking.push(header);
                }
            } else if !owners.contains(&header.owner)
                && let Some(list) = List::of(reader, &header)
            {
                owners.insert(header.owner);
                lists.entry(list.address).or_insert(list);
            }
        }
        found.lists = lists.len();
        let mut seen = FastSet::default();
        for list in lists.values() {
            let walked = list.walk(reader, vtables, layout, limits.tasks);
            for (reason, count) in walked.missing {
                *found.missing.entry(reason).or_default() += count;
            }
            for header in walked.headers {
                if seen.insert(header.address) {
                    found.tasks.push(header);
                }
            }
        }
        let in_use = pointed_at(reader.memory, stack_pointers, &blocking);
        blocking.retain(|task| in_use.contains(&task.address));
        for (pool, inner) in lists
            .values()
            .filter_map(|list| pool::pool(reader, list.shared))
        {
            let queue = decoder.closures(inner);
            for (at, address) in queue.iter().enumerate() {
                let header = Header::read(reader, vtables, layout, *address);
                let header = header.filter(|header| header.is_blocking);
                blocking.extend(header.map(|header| Header {
                    queue: Some(PlaceInQueue {
                        place: at + 1,
                        length: queue.len(),
                        pool,
                    }),
                    ..header
                }));
            }
        }
        // A closure that is found twice keeps its place in the queue.
        blocking.sort_by_key(|task| (task.id, task.queue.is_none()));
        blocking.dedup_by_key(|task| task.id);
        found.tasks.extend(blocking);
        found.tasks.sort_by_key(|task| (task.id, task.address));
        if found.tasks.len() > limits.tasks {
            found
                .missing
                .insert(TOO_MANY.to_owned(), found.tasks.len() - limits.tasks);
            found.tasks.truncate(limits.tasks);
        }
        found
    }

    /// Returns the headers of closures that have not ended, of those at some addresses.
    ///
    /// A `JoinHandle` keeps the header of its closure alive.
    pub(crate) fn closures(
        &self,
        reader: &Reader<'_, '_>,
        vtables: &Vtables,
        addresses: impl Iterator<Item = Address>,
    ) -> Vec<Header> {
        let known = self.tasks.iter().map(|task| task.address);
        let mut known: FastSet<Address> = known.collect();
        let new = addresses.filter(|address| known.insert(*address));
        let headers = new.filter_map(|address| {
            let header = Header::read(reader, vtables, vtables.layout()?, address)?;
            let is_alive = header.is_blocking && !header.state.is_complete();
            is_alive.then_some(header)
        });
        headers.collect()
    }
}

/// The largest part of a stack that is searched, in bytes.
const STACK: u64 = 8 << 20;

/// Returns the addresses of those closures that a waiting thread has a pointer to on its stack, because it runs them.
///
/// Tasks are moved from the stack to where they stay, and nothing points to what is left behind on the stack.
fn pointed_at(
    memory: &PageCache<'_>,
    stack_pointers: &[Address],
    closures: &[Header],
) -> HashSet<Address> {
    let closures: HashSet<Address> = closures.iter().map(|task| task.address).collect();
    let mut found = HashSet::new();
    if closures.is_empty() {
        return found;
    }
    for pointer in stack_pointers {
        let Some(stack) = stack_of(memory, *pointer) else {
            continue;
        };
        let length = (stack.end - pointer.get()).min(STACK);
        let mut bytes = Buffer::new(usize::try_from(length).unwrap_or_default());
        if memory.read_now(*pointer, &mut bytes).is_err() {
            continue;
        }
        let words = bytes.chunks_exact(8);
        let words = words.map(|word| Address::new(u64_at(word, 0).unwrap_or_default()));
        let is_in_stack =
            |address: &Address| (pointer.get()..pointer.get() + length).contains(&address.get());
        found.extend(words.filter(|word| closures.contains(word) && !is_in_stack(word)));
    }
    found
}
