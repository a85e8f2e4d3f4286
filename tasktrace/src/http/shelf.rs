//! What has been made for clients and not been fetched yet: bounded in size and in time.
//!
//! A client may be as slow as it likes. What it does not fetch is thrown away after a while, and all
//! that is here together has a limit: see [`Full`].

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::os;
use crate::sync::{StaticCondvar as Condvar, StaticMutex as Mutex, StaticMutexGuard as Guard};

/// So much is handed out at a time. It is a copy, so what is in a connection's buffers does not keep
/// the whole.
const CHUNK: usize = 64 << 10;

/// The memory of what is larger is given back to the system.
const LARGE: usize = 4 << 20;

/// Where it is kept.
#[derive(Clone)]
pub(super) struct Shelf(Arc<Inner>);

struct Inner {
    /// How many bytes one may have.
    largest: usize,
    /// How many bytes all may have.
    most: usize,
    /// For how long one is kept.
    longest: Duration,
    used: AtomicUsize,
    items: Mutex<Items>,
    /// Something has gone.
    gone: Condvar,
}

#[derive(Default)]
struct Items {
    /// In the order of their times.
    queue: VecDeque<(Instant, Weak<Item>)>,
    /// Whether there is a thread that throws them away.
    has_keeper: bool,
    /// A large response was kept since the keeper has begun.
    has_large: bool,
}

/// A response that is kept for as long as a client may fetch it.
pub(super) struct Item {
    /// `None` once it was thrown away.
    bytes: Mutex<Option<Vec<u8>>>,
    length: usize,
    shelf: Arc<Inner>,
}

/// There is no room for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// It is larger than one may be.
    TooLarge { largest: usize },
    /// There is too much of others.
    Crowded,
}

impl Shelf {
    pub(super) fn new(largest: usize, longest: Duration) -> Self {
        Self(Arc::new(Inner {
            largest,
            // One that is being fetched slowly leaves room for another.
            most: largest.saturating_mul(2),
            longest,
            used: AtomicUsize::new(0),
            items: Mutex::default(),
            gone: Condvar::new(),
        }))
    }

    /// Keeps what is written.
    ///
    /// # Errors
    ///
    /// Why it cannot be kept, or what was the matter with the writing of it.
    pub(super) fn keep(
        &self,
        write: impl FnOnce(&mut Writer) -> io::Result<()>,
    ) -> Result<Result<Arc<Item>, Full>, io::Error> {
        let mut writer = Writer {
            bytes: Vec::new(),
            shelf: Arc::clone(&self.0),
            full: None,
        };
        let written = write(&mut writer);
        if let Some(full) = writer.full {
            return Ok(Err(full));
        }
        written?;
        let mut bytes = mem::take(&mut writer.bytes);
        bytes.shrink_to_fit();
        let item = Arc::new(Item {
            length: bytes.len(),
            bytes: Mutex::new(Some(bytes)),
            shelf: Arc::clone(&self.0),
        });
        // What is small does no harm.
        if item.length > CHUNK {
            self.watch(&item);
        }
        Ok(Ok(item))
    }

    /// Sees to it that it does not stay for ever.
    fn watch(&self, item: &Arc<Item>) {
        let end = os::deadline(self.0.longest);
        let weak = Arc::downgrade(item);
        // Nothing is allocated or freed while it is locked.
        let mut spare = VecDeque::new();
        let mut items = self.0.items();
        while items.queue.len() == items.queue.capacity() {
            let length = items.queue.len();
            if spare.capacity() > length {
                spare.append(&mut items.queue);
                mem::swap(&mut items.queue, &mut spare);
            } else {
                drop(items);
                spare = VecDeque::with_capacity(2 * length + 8);
                items = self.0.items();
            }
        }
        items.queue.push_back((end, weak));
        items.has_large |= item.length >= LARGE;
        if mem::replace(&mut items.has_keeper, true) {
            return;
        }
        drop(items);
        let spawned = os::thread::spawn("tasktrace-shelf", {
            let shelf = Arc::clone(&self.0);
            move || {
                if shelf.tidy() {
                    os::memory::give_back();
                }
            }
        });
        if spawned.is_err() {
            // The next one will have more luck.
            self.0.items().has_keeper = false;
        }
    }
}

impl Inner {
    fn items(&self) -> Guard<'_, Items> {
        let items = self.items.lock();
        items.unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Throws away what is too old, until there is nothing left. Returns `true` if some of it was large.
    fn tidy(&self) -> bool {
        let mut items = self.items();
        loop {
            let now = Instant::now();
            let is_over =
                |(end, item): &(Instant, Weak<Item>)| *end <= now || item.strong_count() == 0;
            if let Some(at) = items.queue.iter().position(is_over) {
                let over = items.queue.remove(at);
                drop(items);
                if let Some(item) = over.and_then(|(_, item)| item.upgrade()) {
                    item.throw_away();
                }
                items = self.items();
                continue;
            }
            let Some((end, _)) = items.queue.front() else {
                items.has_keeper = false;
                return mem::take(&mut items.has_large);
            };
            let wait = end.saturating_duration_since(now);
            let waited = self.gone.wait_timeout(items, wait);
            items = waited.unwrap_or_else(std::sync::PoisonError::into_inner).0;
        }
    }
}

impl Item {
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// What comes next from there. `None` if it has been thrown away.
    pub(super) fn chunk(&self, from: usize) -> Option<Box<[u8]>> {
        // Room is made before it is locked.
        let mut chunk = Vec::with_capacity(self.length.saturating_sub(from).min(CHUNK));
        {
            let bytes = self.bytes();
            let rest = bytes.as_ref()?.get(from..)?;
            chunk.extend_from_slice(&rest[..rest.len().min(CHUNK)]);
        }
        Some(chunk.into())
    }

    fn throw_away(&self) {
        let bytes = self.bytes().take();
        if let Some(bytes) = bytes {
            self.shelf.used.fetch_sub(bytes.len(), Ordering::Relaxed);
        }
    }

    fn bytes(&self) -> Guard<'_, Option<Vec<u8>>> {
        let bytes = self.bytes.lock();
        bytes.unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Drop for Item {
    fn drop(&mut self) {
        self.throw_away();
        // Without the lock, which whoever drops it may have. A keeper who misses this waits for a
        // while longer.
        self.shelf.gone.notify_one();
    }
}

/// Counts what is written.
pub(super) struct Writer {
    bytes: Vec<u8>,
    shelf: Arc<Inner>,
    full: Option<Full>,
}

impl Writer {
    fn reserve(&mut self, more: usize) -> Result<(), Full> {
        let Inner {
            largest,
            most,
            used,
            ..
        } = &*self.shelf;
        if more > largest - self.bytes.len() {
            return Err(Full::TooLarge { largest: *largest });
        }
        let reserve = |used: usize| used.checked_add(more).filter(|used| used <= most);
        match used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, reserve) {
            Ok(_) => Ok(()),
            Err(_) => Err(Full::Crowded),
        }
    }
}

impl io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Err(full) = self.reserve(bytes.len()) {
            self.full = Some(full);
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let written = self.bytes.len();
        self.shelf.used.fetch_sub(written, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::thread;

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    fn keep(shelf: &Shelf, length: usize) -> Result<Arc<Item>, Full> {
        shelf
            .keep(|out| out.write_all(&vec![b'x'; length]))
            .unwrap()
    }

    fn used(shelf: &Shelf) -> usize {
        shelf.0.used.load(Ordering::Relaxed)
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let shelf = Shelf::new(100, LONG);
        assert_eq!(
            keep(&shelf, 101).err(),
            Some(Full::TooLarge { largest: 100 })
        );
        assert_eq!(used(&shelf), 0);
        let first = keep(&shelf, 100).ok().unwrap();
        let second = keep(&shelf, 90).ok().unwrap();
        assert_eq!(keep(&shelf, 11).err(), Some(Full::Crowded));
        assert_eq!(used(&shelf), 190);
        drop(first);
        let third = keep(&shelf, 11).ok().unwrap();
        assert_eq!(used(&shelf), 101);
        drop((second, third));
        assert_eq!(used(&shelf), 0);
    }

    #[test]
    fn it_comes_in_chunks() {
        let shelf = Shelf::new(1 << 20, LONG);
        let item = keep(&shelf, CHUNK + 1).ok().unwrap();
        assert_eq!(item.len(), CHUNK + 1);
        assert_eq!(item.chunk(0).unwrap().len(), CHUNK);
        assert_eq!(&*item.chunk(CHUNK).unwrap(), b"x");
        assert_eq!(item.chunk(CHUNK + 1).unwrap().len(), 0);
    }

    #[test]
    fn what_nobody_fetches_is_thrown_away() {
        let shelf = Shelf::new(1 << 20, Duration::ZERO);
        let item = keep(&shelf, CHUNK + 1).ok().unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        while item.chunk(0).is_some() {
            assert!(Instant::now() < deadline, "it is still there");
            thread::yield_now();
        }
        assert_eq!(used(&shelf), 0);
        drop(item);
        assert_eq!(used(&shelf), 0);
    }

    #[test]
    fn the_keeper_goes_when_all_is_gone() {
        let shelf = Shelf::new(1 << 20, LONG);
        let item = keep(&shelf, CHUNK + 1).ok().unwrap();
        assert!(shelf.0.items().has_keeper);
        drop(item);
        let deadline = Instant::now() + Duration::from_secs(30);
        while shelf.0.items().has_keeper {
            // It may have missed it.
            shelf.0.gone.notify_one();
            assert!(Instant::now() < deadline, "it is still there");
            thread::yield_now();
        }
    }
}
