//! Pages that were read, so that each is read once.

use std::cell::RefCell;
use std::ops::Range;

use super::{Buffer, Memory, Region, Unreadable};
use crate::address::Address;
use crate::hash::FastMap;

const PAGE: u64 = 4096;

/// The number of pages that are kept: 128 MiB.
const PAGES: usize = 32 * 1024;

/// Reads memory by pages, and keeps each page as it was when it was read.
pub(crate) struct PageCache<'m> {
    memory: &'m dyn Memory,
    pages: RefCell<Pages>,
    /// The ranges that were read, if they are recorded.
    record: RefCell<Record>,
}

/// The pages that were read, in chunks, so that there are few allocations and no page is moved.
#[derive(Debug, Default)]
struct Pages {
    /// The place of each page, by its number. Some cannot be read.
    places: FastMap<u64, Option<usize>>,
    chunks: Vec<Buffer>,
    /// The number of places that are in use.
    used: usize,
}

/// The number of pages in a chunk.
const CHUNK: usize = 64;

impl Pages {
    /// Returns a page that was read before.
    fn get(&self, number: u64) -> Option<&[u8]> {
        let place = (*self.places.get(&number)?)?;
        let at = place % CHUNK * PAGE as usize;
        self.chunks.get(place / CHUNK)?.get(at..at + PAGE as usize)
    }

    /// Returns a page, which is read if it was not.
    fn load(&mut self, memory: &dyn Memory, number: u64) -> Option<&[u8]> {
        if !self.places.contains_key(&number) {
            if self.places.len() >= PAGES {
                self.clear();
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

    fn clear(&mut self) {
        // A page that could not be read may have been read in part.
        let used = (self.used + 1).div_ceil(CHUNK).min(self.chunks.len());
        for chunk in &mut self.chunks[..used] {
            chunk.wipe(usize::MAX);
        }
        self.places.clear();
        self.used = 0;
    }
}

/// The ranges that were read.
#[derive(Debug, Default)]
struct Record {
    is_on: bool,
    ranges: Vec<Range<Address>>,
    /// The bytes of a range when they are read again.
    again: Buffer,
}

impl<'m> PageCache<'m> {
    pub(crate) fn new(memory: &'m dyn Memory) -> Self {
        Self {
            memory,
            pages: RefCell::default(),
            record: RefCell::default(),
        }
    }

    /// Begins to record the ranges that are read.
    pub(crate) fn record(&self) {
        let mut record = self.record.borrow_mut();
        record.is_on = true;
        record.ranges.clear();
    }

    /// Goes on with a record.
    pub(crate) fn resume(&self) {
        self.record.borrow_mut().is_on = true;
    }

    /// Leaves out what is read from now on. Returns `true` if it was recorded before.
    pub(crate) fn pause(&self) -> bool {
        std::mem::take(&mut self.record.borrow_mut().is_on)
    }

    /// Ends a record, and returns `true` if the memory still is as it was when it was read.
    pub(crate) fn is_unchanged(&self) -> bool {
        let mut record = self.record.borrow_mut();
        let Record {
            is_on,
            ranges,
            again,
        } = &mut *record;
        *is_on = false;
        // Ranges that touch are read again as one: most are in the same allocation.
        ranges.sort_unstable_by_key(|range| range.start);
        ranges.dedup_by(|next, range| {
            let is_inside = next.start <= range.end;
            if is_inside {
                range.end = range.end.max(next.end);
            }
            is_inside
        });
        if again.is_empty() {
            *again = Buffer::new(PAGE as usize);
        }
        let pages = self.pages.borrow();
        let is_unchanged = |range: &Range<Address>| {
            let (mut at, end) = (range.start.get(), range.end.get());
            while at < end {
                let from = (at % PAGE) as usize;
                let length = (end - at).min(PAGE - at % PAGE) as usize;
                // The cache drops its pages when it is full. Then they cannot be compared.
                let before = pages.get(at / PAGE);
                let Some(before) = before.and_then(|page| page.get(from..from + length)) else {
                    return false;
                };
                let now = &mut again[..length];
                if self.memory.read(Address::new(at), now).is_err() || before != now {
                    return false;
                }
                at = at.saturating_add(length as u64);
            }
            true
        };
        let result = ranges.iter().all(is_unchanged);
        ranges.clear();
        result
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
        self.note(address, length);
        Ok(())
    }

    /// Forgets all pages.
    pub(crate) fn clear(&self) {
        self.pages.borrow_mut().clear();
        self.record.borrow_mut().again.wipe(usize::MAX);
    }

    /// Reads past the cache.
    pub(crate) fn read_now(&self, address: Address, buffer: &mut [u8]) -> Result<(), Unreadable> {
        self.memory.read(address, buffer)
    }

    fn note(&self, address: Address, length: usize) {
        let mut record = self.record.borrow_mut();
        if record.is_on {
            let end = address.get().saturating_add(length as u64);
            let end = Address::new(end);
            // Fields are read in their order more often than not.
            match record.ranges.last_mut() {
                Some(last) if last.start <= address && address <= last.end => {
                    last.end = last.end.max(end);
                }
                _ => record.ranges.push(address..end),
            }
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
