//! The lists of tasks that earlier readings of the same process have found.
//!
//! A search for lists looks at all memory of a process, and takes longer the more memory there is. So a process that
//! reads itself again and again searches only if there may be lists that it does not know. Tokio takes the number of
//! each list from a counter. A list is known if its number was found once, even if it has ended since then. If all
//! numbers below the counter are known, there are no other lists.
//!
//! A list is found by a task in it. So the number of a list that had no task during the search stays unknown, like that
//! of a list that ended before. Then the next reading searches again, unless the last search took long.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::owned::List;
use crate::address::Address;
use crate::hash::FastSet;
use crate::value::Reader;

/// A search that took less time than this is repeated for each reading, if numbers of lists are unknown.
const SHORT: Duration = Duration::from_millis(50);

/// The part of the time that longer searches may take: one in this number.
const SHARE: u32 = 20;

/// The largest number of lists that are counted. A process that has made more of them is searched as if some were
/// unknown.
const MOST: usize = 1 << 16;

/// The lists that were found.
#[derive(Debug, Default)]
pub(crate) struct KnownLists {
    /// Those that had not ended when they were last read, by address.
    lists: BTreeMap<Address, List>,
    /// The numbers of all that were ever found.
    numbers: FastSet<u64>,
    /// The last search.
    last: Option<Search>,
}

/// A search of all memory.
#[derive(Clone, Copy, Debug)]
struct Search {
    /// The number of the next list, as it was when the search began.
    next_number: Option<u64>,
    end: Instant,
    time: Duration,
    /// A bound was reached.
    is_cut: bool,
}

impl KnownLists {
    /// Returns `true` if memory must be searched. `next_number` is the number of the next list, if it is known.
    pub(super) fn must_search(&self, next_number: Option<u64>, now: Instant) -> bool {
        let (Some(last), Some(next)) = (self.last, next_number) else {
            return true;
        };
        if last.next_number != next_number {
            return true;
        }
        // The first list has the number one.
        let are_all_known = (1..next).all(|number| self.numbers.contains(&number));
        let rest = last.time.saturating_mul(SHARE);
        !are_all_known && (last.time < SHORT || now.saturating_duration_since(last.end) >= rest)
    }

    /// Notes that a search has ended.
    pub(super) fn searched(&mut self, next_number: Option<u64>, begun: Instant, is_cut: bool) {
        let end = Instant::now();
        self.last = Some(Search {
            next_number,
            end,
            time: end.saturating_duration_since(begun),
            is_cut,
        });
    }

    /// Adds a list.
    pub(super) fn add(&mut self, list: List) {
        if self.numbers.len() < MOST {
            self.numbers.insert(list.id);
        }
        self.lists.entry(list.address).or_insert(list);
    }

    /// Removes the lists that have ended.
    pub(super) fn remove_ended(&mut self, reader: &Reader<'_, '_>) {
        self.lists.retain(|_, list| list.is_alive(reader));
    }

    /// Returns the lists, by address.
    pub(super) fn lists(&self) -> impl ExactSizeIterator<Item = &List> {
        self.lists.values()
    }

    /// Returns `true` if the last search reached a bound.
    pub(super) fn is_cut(&self) -> bool {
        self.last.is_some_and(|last| last.is_cut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(numbers: &[u64], next_number: u64, time: Duration) -> (KnownLists, Instant) {
        let end = Instant::now();
        let known = KnownLists {
            numbers: numbers.iter().copied().collect(),
            last: Some(Search {
                next_number: Some(next_number),
                end,
                time,
                is_cut: false,
            }),
            ..KnownLists::default()
        };
        (known, end)
    }

    #[test]
    fn memory_is_searched_first_and_for_new_lists() {
        let now = Instant::now();
        assert!(KnownLists::default().must_search(Some(1), now));
        let (known, end) = known(&[1, 2], 3, SHORT);
        assert!(!known.must_search(Some(3), end));
        assert!(known.must_search(Some(4), end));
        assert!(known.must_search(None, end));
    }

    #[test]
    fn long_searches_for_unknown_lists_are_rare() {
        // Memory that looks like a list may have any number.
        let (short, end) = known(&[2, 9], 3, SHORT / 2);
        assert!(short.must_search(Some(3), end));
        let (long, end) = known(&[2], 3, 2 * SHORT);
        assert!(!long.must_search(Some(3), end));
        assert!(!long.must_search(Some(3), end + SHORT * (2 * SHARE - 1)));
        assert!(long.must_search(Some(3), end + SHORT * (2 * SHARE)));
    }
}
