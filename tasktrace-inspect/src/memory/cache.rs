//! Pages that were read, so that each is read once.

use std::cell::RefCell;

use super::{Memory, Region, Unreadable};
use crate::address::Address;
use crate::hash::FastMap;

const PAGE: u64 = 4096;

/// The number of pages that are kept: 128 MiB.
const PAGES: usize = 32 * 1024;

/// Reads memory by pages and keeps them. A page is a picture of one moment.
pub(crate) struct PageCache<'m> {
    memory: &'m dyn Memory,
    pages: RefCell<FastMap<u64, Option<Box<[u8]>>>>,
}

impl<'m> PageCache<'m> {
    pub(crate) fn new(memory: &'m dyn Memory) -> Self {
        Self {
            memory,
            pages: RefCell::default(),
        }
    }

    /// Forgets the pages of a range, so that they are read anew.
    pub(crate) fn forget(&self, address: Address, length: u64) {
        let mut pages = self.pages.borrow_mut();
        let first = address.get() / PAGE;
        let last = address.get().saturating_add(length) / PAGE;
        for page in first..=last.min(first.saturating_add(PAGES as u64)) {
            pages.remove(&page);
        }
    }

    /// Forgets all pages.
    pub(crate) fn clear(&self) {
        self.pages.borrow_mut().clear();
    }

    /// Reads past the cache.
    pub(crate) fn read_now(&self, address: Address, buffer: &mut [u8]) -> Result<(), Unreadable> {
        self.memory.read(address, buffer)
    }

    fn load(&self, page: u64) -> Option<Box<[u8]>> {
        let start = page.checked_mul(PAGE)?;
        let mut bytes = vec![0; PAGE as usize].into_boxed_slice();
        match self.memory.read(Address::new(start), &mut bytes) {
            Ok(()) => Some(bytes),
            Err(Unreadable { .. }) => None,
        }
    }
}

impl Memory for PageCache<'_> {
    fn read(&self, address: Address, buffer: &mut [u8]) -> Result<(), Unreadable> {
        let mut pages = self.pages.borrow_mut();
        let within = (address.get() % PAGE) as usize;
        if let Some(Some(page)) = pages.get(&(address.get() / PAGE))
            && let Some(bytes) = page.get(within..within + buffer.len())
        {
            buffer.copy_from_slice(bytes);
            return Ok(());
        }
        let mut done = 0;
        while done < buffer.len() {
            let at = address
                .get()
                .checked_add(done as u64)
                .ok_or(Unreadable { address })?;
            let (page, within) = (at / PAGE, (at % PAGE) as usize);
            if pages.len() >= PAGES && !pages.contains_key(&page) {
                pages.clear();
            }
            let bytes = pages.entry(page).or_insert_with(|| self.load(page));
            let bytes = bytes.as_deref().ok_or(Unreadable { address })?;
            let length = (PAGE as usize - within).min(buffer.len() - done);
            buffer[done..done + length].copy_from_slice(&bytes[within..within + length]);
            done += length;
        }
        Ok(())
    }

    fn regions(&self) -> &[Region] {
        self.memory.regions()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Two pages from 0x1000 on, in which each byte is the low byte of its address.
    #[derive(Default)]
    struct Pages(Cell<usize>);

    impl Memory for Pages {
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
    fn pages_are_read_once() {
        let pages = Pages::default();
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
