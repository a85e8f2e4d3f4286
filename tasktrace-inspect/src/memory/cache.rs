//! Reads memory by pages, keeps the pages, and tells if memory that was read has changed.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Range;

use super::{Buffer, Memory, Region, Unreadable};
use crate::address::Address;
use crate::bytes::u64_at;
use crate::hash::FastMap;

const PAGE: u64 = 4096;

/// The number of pages that are kept: 128 MiB.
const PAGES: usize = 32 * 1024;

/// Reads memory by pages, and keeps each page as it was when it was read.
pub(crate) struct PageCache<'m> {
    memory: &'m dyn Memory,
    pages: RefCell<Pages>,
    /// The ranges that are compared with the memory later.
    record: RefCell<Record>,
}

/// The pages of a cache. They are in chunks, so that there are few allocations and no page is moved.
#[derive(Debug, Default)]
struct Pages {
    /// The place of each page, by its number. `None` if the page cannot be read.
    places: FastMap<u64, Option<usize>>,
    chunks: Vec<Buffer>,
    /// The number of places that are in use.
    used: usize,
    /// The number and the place of the page that was returned last.
    last: Option<(u64, usize)>,
    /// The number of times that all pages were dropped because there were too many.
    drops: usize,
}

/// The number of pages in a chunk.
const CHUNK: usize = 64;

impl Pages {
    /// Returns a page if it is in the cache.
    fn get(&mut self, number: u64) -> Option<&[u8]> {
        // Most reads are of the same page as the read before, because the fields of a value are next to each other.
        let place = match self.last {
            Some((last, place)) if last == number => place,
            _ => {
                let place = (*self.places.get(&number)?)?;
                self.last = Some((number, place));
                place
            }
        };
        let at = place % CHUNK * PAGE as usize;
        self.chunks.get(place / CHUNK)?.get(at..at + PAGE as usize)
    }

    /// Returns a page, and reads it if it is not in the cache. Returns `None` if it cannot be read.
    fn load(&mut self, memory: &dyn Memory, number: u64) -> Option<&[u8]> {
        if !self.places.contains_key(&number) {
            if self.places.len() >= PAGES {
                self.clear();
                self.drops += 1;
            }
            let place = self.used;
            if place / CHUNK == self.chunks.len() {
                self.chunks.push(Buffer::new(CHUNK * PAGE as usize));
            }
            let at = place % CHUNK * PAGE as usize;
            let page = &mut self.chunks[place / CHUNK][at..at + PAGE as usize];
            let start = number.checked_mul(PAGE).map(Address::new);
            let is_read = start.is_some_and(|start| memory.read(start, page).is_ok());
            self.used += usize::from(is_read);
            self.places.insert(number, is_read.then_some(place));
        }
        self.get(number)
    }

    /// Adds pages to the cache, as many as there is room for. Adds none if one of them cannot be read.
    fn prefetch(&mut self, memory: &dyn Memory, numbers: impl Iterator<Item = u64>) {
        let mut new: Vec<u64> = numbers
            .filter(|number| !self.places.contains_key(number))
            .collect();
        new.sort_unstable();
        new.dedup();
        // Without this limit, the next page that is loaded would clear the cache.
        let free = PAGES.saturating_sub(self.places.len());
        new.truncate(free);
        let end = self.used + new.len();
        while self.chunks.len() * CHUNK < end {
            self.chunks.push(Buffer::new(CHUNK * PAGE as usize));
        }
        let first = self.used / CHUNK;
        let pages = self.chunks[first..].iter_mut();
        let pages = pages.flat_map(|chunk| chunk.chunks_mut(PAGE as usize));
        let addresses = new.iter().map(|number| Address::new(number * PAGE));
        let mut parts: Vec<(Address, &mut [u8])> =
            addresses.zip(pages.skip(self.used % CHUNK)).collect();
        match memory.read_all(&mut parts) {
            Ok(()) => {
                self.places
                    .extend(new.into_iter().zip((self.used..).map(Some)));
                self.used = end;
            }
            Err(Unreadable { .. }) => parts.into_iter().for_each(|(_, page)| page.fill(0)),
        }
    }

    fn clear(&mut self) {
        // A page that could not be read may have been read in part.
        let used = (self.used + 1).div_ceil(CHUNK).min(self.chunks.len());
        for chunk in &mut self.chunks[..used] {
            chunk.wipe(usize::MAX);
        }
        self.places.clear();
        self.used = 0;
        self.last = None;
    }
}

/// The ranges that were read while the record was on.
#[derive(Debug, Default)]
struct Record {
    is_on: bool,
    /// The number of the current part, counted from 0.
    part: usize,
    /// The first range that was loaded in this part. Reads inside it add nothing to `ranges`, which has all of it.
    whole: Range<u64>,
    ranges: Vec<Noted>,
    /// The value of [`Pages::drops`] when the record began.
    drops: usize,
    /// A buffer for the pages that are read a second time.
    again: Buffer,
}

/// A range that was read, within one page.
#[derive(Clone, Copy, Debug)]
struct Noted {
    page: u64,
    start: usize,
    end: usize,
    part: usize,
}

impl Record {
    /// Notes that a range was read.
    fn note(&mut self, address: Address, length: usize) {
        let mut at = address.get();
        let end = at.saturating_add(length as u64);
        if self.whole.start <= at && end <= self.whole.end {
            return;
        }
        while at < end {
            let page = at / PAGE;
            let until = end.min((page + 1).saturating_mul(PAGE));
            let (from, to) = ((at % PAGE) as usize, (until - page * PAGE) as usize);
            match self.ranges.last_mut() {
                // Fields are read in their order more often than not.
                Some(last)
                    if (last.page, last.part) == (page, self.part)
                        && last.start <= from
                        && from <= last.end =>
                {
                    last.end = last.end.max(to);
                }
                _ => self.ranges.push(Noted {
                    page,
                    start: from,
                    end: to,
                    part: self.part,
                }),
            }
            at = until;
        }
    }
}

impl<'m> PageCache<'m> {
    pub(crate) fn new(memory: &'m dyn Memory) -> Self {
        Self {
            memory,
            pages: RefCell::default(),
            record: RefCell::default(),
        }
    }

    /// Begins a new record of the ranges that are read.
    pub(crate) fn record(&self) {
        let mut record = self.record.borrow_mut();
        record.is_on = true;
        record.part = 0;
        record.whole = 0..0;
        record.ranges.clear();
        record.drops = self.pages.borrow().drops;
    }

    /// Continues the record after [`pause`](Self::pause).
    pub(crate) fn resume(&self) {
        self.record.borrow_mut().is_on = true;
    }

    /// Pauses the record. Returns `true` if it was on.
    pub(crate) fn pause(&self) -> bool {
        std::mem::take(&mut self.record.borrow_mut().is_on)
    }

    /// Begins the next part of the record. [`changed_parts`](Self::changed_parts) compares each part by itself.
    pub(crate) fn next_part(&self) {
        let mut record = self.record.borrow_mut();
        record.part += 1;
        record.whole = 0..0;
    }

    /// Ends the record. Returns `true` if the recorded memory has not changed since it was read.
    pub(crate) fn is_unchanged(&self) -> bool {
        self.changed_parts().is_empty()
    }

    /// Ends the record. Returns the parts whose memory has changed since it was read. Reads all recorded memory again,
    /// many pages at once.
    ///
    /// If the cache has dropped its pages since the record began, all parts count as changed: a dropped page may have
    /// changed before it was read into the cache again.
    pub(crate) fn changed_parts(&self) -> BTreeSet<usize> {
        let mut record = self.record.borrow_mut();
        if record.drops != self.pages.borrow().drops {
            record.is_on = false;
            record.ranges.clear();
            return (0..=record.part).collect();
        }
        let Record { ranges, again, .. } = &mut *record;
        ranges.sort_unstable_by_key(|range| (range.page, range.start));
        if again.is_empty() {
            *again = Buffer::new(CHUNK * PAGE as usize);
        }
        let mut changed = BTreeSet::new();
        let mut pages = self.pages.borrow_mut();
        let by_page: Vec<&[Noted]> = ranges
            .chunk_by(|one, other| one.page == other.page)
            .collect();
        for by_page in by_page.chunks(CHUNK) {
            let mut parts: Vec<(Address, &mut [u8])> = by_page
                .iter()
                .zip(again.chunks_mut(PAGE as usize))
                .map(|(ranges, buffer)| {
                    let start = ranges[0].start;
                    let end = ranges.iter().map(|range| range.end).max();
                    let end = end.unwrap_or(start);
                    let address = Address::new(ranges[0].page * PAGE + start as u64);
                    (address, &mut buffer[start..end])
                })
                .collect();
            let are_read = self.memory.read_all(&mut parts).is_ok();
            for (ranges, (address, now)) in by_page.iter().zip(parts) {
                let is_read = are_read || self.memory.read(address, now).is_ok();
                let before = pages.get(ranges[0].page).filter(|_| is_read);
                let start = ranges[0].start;
                let is_same = |from: usize, to: usize| {
                    before.is_some_and(|before| before[from..to] == now[from - start..to - start])
                };
                if !is_same(start, start + now.len()) {
                    let ranges = ranges.iter().filter(|it| !is_same(it.start, it.end));
                    changed.extend(ranges.map(|range| range.part));
                }
            }
        }
        record.is_on = false;
        record.ranges.clear();
        changed
    }

    /// Reads ranges of memory into the cache, many pages at once, as far as there is room. Does nothing if one of them
    /// cannot be read. Does not record them.
    pub(crate) fn prefetch(&self, ranges: impl Iterator<Item = (Address, usize)>) {
        let numbers = ranges.flat_map(|(address, length)| {
            let end = address.get().saturating_add(length as u64);
            address.get() / PAGE..end.div_ceil(PAGE)
        });
        self.pages.borrow_mut().prefetch(self.memory, numbers);
    }

    /// Reads a range of memory into the cache, and records it.
    pub(crate) fn load(&self, address: Address, length: usize) -> Result<(), Unreadable> {
        let mut pages = self.pages.borrow_mut();
        let end = address.get().checked_add(length as u64);
        let end = end.ok_or(Unreadable { address })?;
        for page in address.get() / PAGE..end.div_ceil(PAGE) {
            pages
                .load(self.memory, page)
                .ok_or(Unreadable { address })?;
        }
        drop(pages);
        self.note(address, length);
        let mut record = self.record.borrow_mut();
        if record.is_on && record.whole.is_empty() {
            record.whole = address.get()..end;
        }
        Ok(())
    }

    /// Drops all pages, and overwrites their memory.
    pub(crate) fn clear(&self) {
        self.pages.borrow_mut().clear();
        self.record.borrow_mut().again.wipe(usize::MAX);
    }

    /// Reads a word.
    pub(crate) fn word(&self, address: Address) -> Option<u64> {
        let within = (address.get() % PAGE) as usize;
        let mut pages = self.pages.borrow_mut();
        let page = pages.get(address.get() / PAGE);
        if let Some(word) = page.and_then(|page| u64_at(page, within)) {
            self.note(address, 8);
            return Some(word);
        }
        drop(pages);
        let mut bytes = [0; 8];
        self.read(address, &mut bytes).ok()?;
        Some(u64::from_le_bytes(bytes))
    }

    /// Reads memory as it is now, not through the cache.
    pub(crate) fn read_now(&self, address: Address, buffer: &mut [u8]) -> Result<(), Unreadable> {
        self.memory.read(address, buffer)
    }

    fn note(&self, address: Address, length: usize) {
        let mut record = self.record.borrow_mut();
        if record.is_on {
            record.note(address, length);
        }
    }
}

impl Memory for PageCache<'_> {
    fn read(&self, address: Address, buffer: &mut [u8]) -> Result<(), Unreadable> {
        let mut pages = self.pages.borrow_mut();
        let within = (address.get() % PAGE) as usize;
        if let Some(page) = pages.get(address.get() / PAGE)
            && let Some(bytes) = page.get(within..within + buffer.len())
        {
            buffer.copy_from_slice(bytes);
            self.note(address, buffer.len());
            return Ok(());
        }
        let mut done = 0;
        while done < buffer.len() {
            let at = address
                .get()
                .checked_add(done as u64)
                .ok_or(Unreadable { address })?;
            let (page, within) = (at / PAGE, (at % PAGE) as usize);
            let bytes = pages.load(self.memory, page);
            let bytes = bytes.ok_or(Unreadable { address })?;
            let length = (PAGE as usize - within).min(buffer.len() - done);
            buffer[done..done + length].copy_from_slice(&bytes[within..within + length]);
            done += length;
        }
        self.note(address, buffer.len());
        Ok(())
    }

    fn regions(&self) -> &[Region] {
        self.memory.regions()
    }

    fn is_untouched(&self, address: Address, length: u64) -> bool {
        self.memory.is_untouched(address, length)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::HashMap;

    use super::*;

    /// Two pages from 0x1000 on, in which each byte is the low byte of its address.
    #[derive(Default)]
    struct Counted(Cell<usize>);

    impl Memory for Counted {
        fn read(&self, address: Address, buffer: &mut [u8]) -> Result<(), Unreadable> {
            self.0.set(self.0.get() + 1);
            for (at, byte) in buffer.iter_mut().enumerate() {
                let address = address.get() + at as u64;
                if !(0x1000..0x3000).contains(&address) {
                    let address = Address::new(address);
                    return Err(Unreadable { address });
                }
                *byte = address as u8;
            }
            Ok(())
        }

        fn regions(&self) -> &[Region] {
            &[]
        }
    }

    #[test]
    fn changes_of_what_was_read_are_noticed() {
        struct Changing(Cell<u8>);
        impl Memory for Changing {
            fn read(&self, address: Address, buffer: &mut [u8]) -> Result<(), Unreadable> {
                buffer.fill(7);
                let changing = 0x1064_u64.checked_sub(address.get());
                if let Some(byte) = changing.and_then(|at| buffer.get_mut(at as usize)) {
                    *byte = self.0.get();
                }
                Ok(())
            }

            fn regions(&self) -> &[Region] {
                &[]
            }
        }
        let memory = Changing(Cell::new(1));
        let cache = PageCache::new(&memory);
        let read = |at: u64| cache.read(Address::new(at), &mut [0; 8]).unwrap();
        cache.record();
        read(0x1000);
        memory.0.set(2);
        assert!(cache.is_unchanged());
        cache.record();
        read(0x1060);
        assert!(!cache.is_unchanged());
        cache.record();
        assert!(cache.pause());
        read(0x1060);
        assert!(cache.is_unchanged());
        assert!(!cache.pause());
    }

    #[test]
    fn the_parts_of_a_record_are_compared_for_themselves() {
        /// All bytes of a page are the number of times that it was read.
        #[derive(Default)]
        struct Changing(RefCell<HashMap<u64, u8>>);
        impl Memory for Changing {
            fn read(&self, address: Address, buffer: &mut [u8]) -> Result<(), Unreadable> {
                let page = address.get() / PAGE;
                if page == 0 {
                    return Err(Unreadable { address });
                }
                let mut counts = self.0.borrow_mut();
                let count = counts.entry(page).or_default();
                buffer.fill(*count);
                // The other pages never change.
                *count += u8::from(page == 7);
                Ok(())
            }

            fn regions(&self) -> &[Region] {
                &[]
            }
        }
        let memory = Changing::default();
        let cache = PageCache::new(&memory);
        let read = |at: u64, length: usize| cache.read(Address::new(at), &mut vec![0; length]);
        cache.record();
        read(6 * PAGE, 8).unwrap();
        cache.next_part();
        // It begins in the page before the one that changes.
        read(7 * PAGE - 8, 16).unwrap();
        cache.next_part();
        read(5 * PAGE, 5000).unwrap();
        assert!(read(0, 1).is_err());
        cache.next_part();
        read(7 * PAGE + 8, 8).unwrap();
        assert_eq!(cache.changed_parts(), BTreeSet::from([1, 3]));
    }

    #[test]
    fn nothing_counts_if_the_cache_was_full_meanwhile() {
        /// Memory that changes after its first page was read for the first time.
        struct ChangesOnce(Cell<u8>);
        impl Memory for ChangesOnce {
            fn read(&self, address: Address, buffer: &mut [u8]) -> Result<(), Unreadable> {
                buffer.fill(self.0.get());
                if address.get() < PAGE {
                    self.0.set(1);
                }
                Ok(())
            }

            fn regions(&self) -> &[Region] {
                &[]
            }
        }
        let memory = ChangesOnce(Cell::new(0));
        let cache = PageCache::new(&memory);
        let read = |page: u64| cache.read(Address::new(page * PAGE), &mut [0; 8]).unwrap();
        cache.record();
        read(0);
        cache.next_part();
        (1..=PAGES as u64).for_each(read);
        read(0);
        assert_eq!(cache.changed_parts(), BTreeSet::from([0, 1]));
        cache.record();
        read(0);
        assert!(cache.is_unchanged());
    }

    #[test]
    fn pages_are_prefetched_unless_one_cannot_be_read() {
        let pages = Counted::default();
        let cache = PageCache::new(&pages);
        let range = |start: u64, length| (Address::new(start), length);
        cache.prefetch([range(0x1ff0, 0x20), range(0x1000, 8)].into_iter());
        assert_eq!(pages.0.get(), 2);
        let mut bytes = [0; 16];
        cache.read(Address::new(0x1ff8), &mut bytes).unwrap();
        assert_eq!(bytes[7..9], [0xff, 0]);
        assert_eq!(pages.0.get(), 2);
        cache.clear();
        cache.prefetch([range(0x2000, 8), range(0x3000, 8)].into_iter());
        cache.read(Address::new(0x2ff8), &mut bytes[..8]).unwrap();
        assert_eq!(bytes[0], 0xf8);
        assert!(cache.read(Address::new(0x3000), &mut bytes).is_err());
    }

    #[test]
    fn pages_are_read_once() {
        let pages = Counted::default();
        let cache = PageCache::new(&pages);
        let mut bytes = [0; 16];
        for _ in 0..3 {
            cache.read(Address::new(0x1ff8), &mut bytes).unwrap();
        }
        assert_eq!(bytes[..2], [0xf8, 0xf9]);
        assert_eq!(bytes[8..10], [0, 1]);
        assert_eq!(pages.0.get(), 2);
        assert!(cache.read(Address::new(0x2ff8), &mut bytes).is_err());
        assert!(cache.read(Address::new(u64::MAX - 3), &mut bytes).is_err());
    }
}
