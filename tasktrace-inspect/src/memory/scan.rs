//! Looks at all words that a program can write to.

use super::{Memory, PageCache};
use crate::address::Address;
use crate::bytes::u64_at;
use crate::limits::Deadline;

/// The number of bytes that are read at once.
const CHUNK: u64 = 1 << 20;
const PAGE: u64 = 4096;

/// Passes each word of the memory that can be read, with its address. Returns `false` if a bound was reached before the
/// end. Clears the cache before: if this process reads itself, its pages are copies on the heap, which are not to be
/// found.
pub(crate) fn words(
    memory: &PageCache<'_>,
    most: u64,
    deadline: Deadline,
    mut visit: impl FnMut(Address, u64),
) -> bool {
    memory.clear();
    // It is on the stack, which is left out if this process reads itself. A buffer on the heap would be searched, and has
    // copies of what was searched before.
    let mut buffer = [0; CHUNK as usize];
    let mut left = most;
    let mut take = |start: Address, bytes: &[u8]| {
        for (number, word) in bytes.chunks_exact(8).enumerate() {
            let word = u64_at(word, 0).unwrap_or_default();
            visit(start.offset(number as u64 * 8), word);
        }
    };
    for region in memory.regions() {
        let mut at = region.start;
        while at < region.end {
            let length = CHUNK.min(region.end.get() - at.get());
            if deadline.is_over() {
                return false;
            }
            // Stacks and arenas are much larger than what is used of them.
            if !region.is_file && memory.is_untouched(at, length) {
                at = at.offset(length);
                continue;
            }
            if left < length {
                return false;
            }
            left -= length;
            let bytes = &mut buffer[..length as usize];
            if memory.read_now(at, bytes).is_ok() {
                take(at, bytes);
            } else {
                // Some of the pages are missing.
                for (number, bytes) in bytes.chunks_mut(PAGE as usize).enumerate() {
                    let at = at.offset(number as u64 * PAGE);
                    if memory.read_now(at, bytes).is_ok() {
                        take(at, bytes);
                    }
                }
            }
            at = at.offset(length);
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use super::*;
    use crate::memory::{Region, Unreadable};

    /// A page whose words are the number of times that it was read.
    struct Counted(Cell<u8>, [Region; 1]);

    impl Memory for Counted {
        fn read(&self, _: Address, buffer: &mut [u8]) -> Result<(), Unreadable> {
            self.0.set(self.0.get() + 1);
            buffer.fill(0);
            let words = buffer.chunks_exact_mut(8);
            words.for_each(|word| word[0] = self.0.get());
            Ok(())
        }

        fn regions(&self) -> &[Region] {
            &self.1
        }
    }

    #[test]
    fn a_search_reads_all_memory_and_leaves_no_copies_in_the_cache() {
        let region = Region {
            start: Address::new(PAGE),
            end: Address::new(2 * PAGE),
            is_file: false,
        };
        let memory = Counted(Cell::new(0), [region]);
        let cache = PageCache::new(&memory);
        let word = || cache.word(Address::new(PAGE));
        assert_eq!((word(), word()), (Some(1), Some(1)));
        let deadline = Deadline::after(Duration::from_secs(3600));
        let mut seen = Vec::new();
        assert!(words(&cache, u64::MAX, deadline, |_, word| seen.push(word)));
        assert_eq!(seen, [2; PAGE as usize / 8]);
        assert_eq!(word(), Some(3));
    }
}
