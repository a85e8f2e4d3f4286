//! The tasks of tokio's runtimes.
//!
//! Each task is one allocation, a `Cell<T, S>`, which begins with a `Header`. Its vtable is a constant of the program,
//! known by the function `poll::<T, S>` in it. So [`vtables`] finds all vtables among the constants, [`search`] finds
//! words in memory that point to one of them, and [`owned`] follows these headers to the runtimes, whose lists of tasks
//! say which tasks are alive. [`known`] keeps the lists for further readings. No thread has to be stopped for it, and no
//! thread-local is read.

mod header;
mod known;
mod owned;
mod pool;
mod search;
mod vtables;

use std::collections::BTreeMap;
use std::time::Instant;

use self::header::Layout;
pub(crate) use self::header::{Header, State};
pub(crate) use self::known::KnownLists;
use self::owned::List;
pub(crate) use self::vtables::Vtables;
use crate::address::Address;
use crate::bytes::u64_at;
use crate::decode::{Decoder, PlaceInQueue};
use crate::hash::FastSet;
use crate::limits::{Deadline, Limits};
use crate::memory::{Buffer, Memory, region_of, stack_of};
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
    /// Finds the tasks of all runtimes. `known` are the lists that were found before.
    pub(crate) fn find(
        decoder: &Decoder<'_, '_, '_>,
        vtables: &Vtables,
        known: &mut KnownLists,
        stack_pointers: &[Address],
        limits: &Limits,
        deadline: Deadline,
    ) -> Self {
        let reader = decoder.reader();
        let mut found = Self::default();
        let Some(layout) = vtables.layout() else {
            return found;
        };
        // A list ends, and its memory may be used for other things.
        known.remove_ended(reader);
        let next_number = next_list_number(reader);
        let begun = Instant::now();
        if known.must_search(next_number, begun) {
            let search = search::headers(reader.memory, vtables, layout, limits, deadline);
            add_lists(reader, vtables, layout, &search.headers, known);
            known.searched(next_number, begun, search.is_cut);
        }
        if known.is_cut() {
            *found.missing.entry(NOT_SEARCHED.to_owned()).or_default() += 1;
        }
        found.lists = known.lists().len();
        let mut seen = FastSet::default();
        for list in known.lists() {
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
        let mut blocking = running_closures(reader, vtables, layout, stack_pointers);
        for (pool, inner) in known
            .lists()
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

/// Returns the number that the next list of tasks gets, if the program has one version of tokio, whose counter the debug
/// info describes.
fn next_list_number(reader: &Reader<'_, '_>) -> Option<u64> {
    let mut counters = reader.types.index().list_counters.iter();
    let (Some(counter), None) = (counters.next(), counters.next()) else {
        return None;
    };
    let number = reader.word(Address::new(counter.wrapping_add(reader.bias)));
    number.filter(|number| *number > 0)
}

/// Adds the lists that tasks are in, of those at some addresses.
fn add_lists(
    reader: &Reader<'_, '_>,
    vtables: &Vtables,
    layout: &Layout,
    headers: &[Address],
    known: &mut KnownLists,
) {
    let mut owners = FastSet::default();
    let addresses = headers.iter();
    reader
        .memory
        .prefetch(addresses.map(|address| (*address, HEADER)));
    for address in headers {
        let header = Header::read(reader, vtables, layout, *address);
        if let Some(header) = header
            && !header.is_blocking
            && !owners.contains(&header.owner)
            && let Some(list) = List::of(reader, &header)
        {
            owners.insert(header.owner);
            known.add(list);
        }
    }
}

/// The largest part of a stack that is searched, in bytes.
const STACK: u64 = 8 << 20;

/// Returns the closures that waiting threads run: those that a thread has a pointer to on its stack.
///
/// Tasks are moved from the stack to where they stay, and nothing points to what is left behind on the stack.
fn running_closures(
    reader: &Reader<'_, '_>,
    vtables: &Vtables,
    layout: &Layout,
    stack_pointers: &[Address],
) -> Vec<Header> {
    let memory = reader.memory;
    let mut running = Vec::new();
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
        // No list of these words is made: on the heap, it would look like pointers of the program.
        let headers = words.filter_map(|word| {
            let is_in_stack = (pointer.get()..pointer.get() + length).contains(&word.get());
            let may_be_header = word.get().is_multiple_of(8)
                && !is_in_stack
                && region_of(memory.regions(), word).is_some();
            let header = || Header::read(reader, vtables, layout, word);
            let header = may_be_header.then(header).flatten();
            header.filter(|header| header.is_blocking)
        });
        // Freed cells look like those in use, but for the words that the allocator has overwritten.
        running.extend(headers.filter(Header::is_plausible_closure));
    }
    running
}
