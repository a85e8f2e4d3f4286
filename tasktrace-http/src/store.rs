//! Stores responses until clients have read them, bounded in size and in time.
//!
//! A response that its client does not read is discarded after a while. The size of all responses together is limited:
//! see [`Full`].

use std::io;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

use super::backend::Backend;

/// The size of a chunk. A chunk is a copy, so the buffers of a connection do not keep the whole response alive.
const CHUNK: usize = 64 << 10;

/// The memory of larger responses is returned to the system.
const LARGE: usize = 4 << 20;

/// The longest lifetime of a response. Longer ones would overflow an `Instant`.
const MAX_LIFETIME: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// The stored responses. Clones share them.
#[derive(Clone)]
pub(super) struct ResponseStore(Arc<StoreInner>);

struct StoreInner {
    /// Starts the thread that removes expired responses.
    backend: Arc<dyn Backend>,
    /// The largest size of one response, in bytes.
    largest: usize,
    /// The largest size of all responses together, in bytes.
    capacity: usize,
    /// The time after which a response is discarded.
    lifetime: Duration,
    /// The size of all responses, in bytes.
    used: AtomicUsize,
    expiry_queue: Mutex<ExpiryQueue>,
    /// Notified when a response is dropped.
    removed: Condvar,
}

#[derive(Default)]
struct ExpiryQueue {
    /// The responses and the times at which they expire, in ascending order of these times.
    responses: Vec<(Instant, Weak<StoredResponse>)>,
    /// `true` while a thread removes expired responses.
    has_cleaner: bool,
    /// `true` if a large response was stored since the cleaner began.
    has_large: bool,
}

/// A stored response, which is discarded when it expires.
pub(super) struct StoredResponse {
    /// The body, or `None` once it was discarded.
    bytes: Mutex<Option<Vec<u8>>>,
    length: usize,
    store: Arc<StoreInner>,
}

/// The reason why a response cannot be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// The response is larger than one response may be.
    TooLarge { largest: usize },
    /// The other responses take too much room.
    Crowded,
}

impl ResponseStore {
    pub(super) fn new(backend: Arc<dyn Backend>, largest: usize, lifetime: Duration) -> Self {
        Self(Arc::new(StoreInner {
            backend,
            largest,
            // A response that is read slowly leaves room for another.
            capacity: largest.saturating_mul(2),
            lifetime: lifetime.min(MAX_LIFETIME),
            used: AtomicUsize::new(0),
            expiry_queue: Mutex::default(),
            removed: Condvar::new(),
        }))
    }

    /// Stores the output of `write`.
    ///
    /// # Errors
    ///
    /// The outer error is that of `write`. The inner error says that there is no room.
    pub(super) fn store(
        &self,
        write: impl FnOnce(&mut ResponseWriter) -> io::Result<()>,
    ) -> Result<Result<Arc<StoredResponse>, Full>, io::Error> {
        let mut writer = ResponseWriter {
            bytes: Vec::new(),
            store: Arc::clone(&self.0),
            full: None,
        };
        let written = write(&mut writer);
        if let Some(full) = writer.full {
            return Ok(Err(full));
        }
        written?;
        let mut bytes = mem::take(&mut writer.bytes);
        bytes.shrink_to_fit();
        let response = Arc::new(StoredResponse {
            length: bytes.len(),
            bytes: Mutex::new(Some(bytes)),
            store: Arc::clone(&self.0),
        });
        // Small responses need no cleaner.
        if response.length > CHUNK {
            self.register_expiry(&response);
        }
        Ok(Ok(response))
    }

    /// Registers a response for expiry, and starts the cleaner if there is none.
    fn register_expiry(&self, response: &Arc<StoredResponse>) {
        let end = Instant::now() + self.0.lifetime;
        let had_cleaner = {
            let mut queue = self.0.expiry_queue();
            queue.responses.push((end, Arc::downgrade(response)));
            queue.has_large |= response.length >= LARGE;
            mem::replace(&mut queue.has_cleaner, true)
        };
        if had_cleaner {
            return;
        }
        let store = Arc::clone(&self.0);
        let clean = Box::new(move || {
            if store.remove_expired() {
                store.backend.release_memory();
            }
        });
        let spawn = AssertUnwindSafe(|| self.0.backend.spawn("tasktrace-cache", clean));
        if !matches!(catch_unwind(spawn), Ok(Ok(_))) {
            // The next response tries again.
            self.0.expiry_queue().has_cleaner = false;
        }
    }
}

impl StoreInner {
    /// Frees the bytes of a response, and makes their room available.
    fn release(&self, bytes: Option<Vec<u8>>) {
        let length = bytes.map_or(0, |bytes| bytes.len());
        self.used.fetch_sub(length, Ordering::Relaxed);
    }

    fn expiry_queue(&self) -> MutexGuard<'_, ExpiryQueue> {
        let queue = self.expiry_queue.lock();
        queue.unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Discards expired responses until none is left. Returns `true` if some response was large.
    fn remove_expired(&self) -> bool {
        let mut queue = self.expiry_queue();
        loop {
            let now = Instant::now();
            let is_over = |(end, response): &(Instant, Weak<StoredResponse>)| {
                *end <= now || response.strong_count() == 0
            };
            if let Some(at) = queue.responses.iter().position(is_over) {
                let (_, over) = queue.responses.remove(at);
                drop(queue);
                if let Some(response) = over.upgrade() {
                    response.discard();
                }
                queue = self.expiry_queue();
                continue;
            }
            let Some((end, _)) = queue.responses.first() else {
                queue.has_cleaner = false;
                return mem::take(&mut queue.has_large);
            };
            let wait = end.saturating_duration_since(now);
            let waited = self.removed.wait_timeout(queue, wait);
            queue = waited.unwrap_or_else(std::sync::PoisonError::into_inner).0;
        }
    }
}

impl StoredResponse {
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// Returns the chunk that begins at `from`, or `None` if the response was discarded.
    pub(super) fn chunk(&self, from: usize) -> Option<Box<[u8]>> {
        // Allocated before the lock is taken.
        let mut chunk = Vec::with_capacity(self.length.saturating_sub(from).min(CHUNK));
        {
            let bytes = self.bytes();
            let rest = bytes.as_ref()?.get(from..)?;
            chunk.extend_from_slice(&rest[..rest.len().min(CHUNK)]);
        }
        Some(chunk.into())
    }

    fn discard(&self) {
        let bytes = self.bytes().take();
        self.store.release(bytes);
    }

    fn bytes(&self) -> MutexGuard<'_, Option<Vec<u8>>> {
        let bytes = self.bytes.lock();
        bytes.unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Drop for StoredResponse {
    fn drop(&mut self) {
        let bytes = self.bytes.get_mut();
        let bytes = bytes.unwrap_or_else(std::sync::PoisonError::into_inner);
        self.store.release(bytes.take());
        // Notified without the lock, which the thread that drops the response may hold. A cleaner that misses the
        // notification waits for a while longer.
        self.store.removed.notify_one();
    }
}

/// Collects a response, and counts its bytes.
pub(super) struct ResponseWriter {
    bytes: Vec<u8>,
    store: Arc<StoreInner>,
    full: Option<Full>,
}

impl ResponseWriter {
    fn reserve(&mut self, more: usize) -> Result<(), Full> {
        let StoreInner {
            largest,
            capacity,
            used,
            ..
        } = &*self.store;
        if more > largest - self.bytes.len() {
            return Err(Full::TooLarge { largest: *largest });
        }
        let reserve = |used: usize| used.checked_add(more).filter(|used| used <= capacity);
        match used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, reserve) {
            Ok(_) => Ok(()),
            Err(_) => Err(Full::Crowded),
        }
    }
}

impl io::Write for ResponseWriter {
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

impl Drop for ResponseWriter {
    fn drop(&mut self) {
        let written = self.bytes.len();
        self.store.used.fetch_sub(written, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::thread;

    use super::*;
    use crate::backend::{DataRequest, Document, GatherError, NoData};

    fn new_store(largest: usize, lifetime: Duration) -> ResponseStore {
        ResponseStore::new(Arc::new(NoData), largest, lifetime)
    }

    const LONG: Duration = Duration::from_secs(3600);

    fn store_bytes(store: &ResponseStore, length: usize) -> Result<Arc<StoredResponse>, Full> {
        store
            .store(|out| out.write_all(&vec![b'x'; length]))
            .unwrap()
    }

    fn used(store: &ResponseStore) -> usize {
        store.0.used.load(Ordering::Relaxed)
    }

    #[test]
    fn stored_responses_are_bounded() {
        let store = new_store(100, LONG);
        assert_eq!(
            store_bytes(&store, 101).err(),
            Some(Full::TooLarge { largest: 100 })
        );
        assert_eq!(used(&store), 0);
        let first = store_bytes(&store, 100).ok().unwrap();
        let second = store_bytes(&store, 90).ok().unwrap();
        assert_eq!(store_bytes(&store, 11).err(), Some(Full::Crowded));
        assert_eq!(used(&store), 190);
        drop(first);
        let third = store_bytes(&store, 11).ok().unwrap();
        assert_eq!(used(&store), 101);
        drop((second, third));
        assert_eq!(used(&store), 0);
    }

    #[test]
    fn a_response_is_read_in_chunks() {
        let store = new_store(1 << 20, LONG);
        let response = store_bytes(&store, CHUNK + 1).ok().unwrap();
        assert_eq!(response.len(), CHUNK + 1);
        assert_eq!(response.chunk(0).unwrap().len(), CHUNK);
        assert_eq!(&*response.chunk(CHUNK).unwrap(), b"x");
        assert_eq!(response.chunk(CHUNK + 1).unwrap().len(), 0);
    }

    #[test]
    fn an_unread_response_is_discarded() {
        let store = new_store(1 << 20, Duration::ZERO);
        let response = store_bytes(&store, CHUNK + 1).ok().unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        // The cleaner discards the response first, and then gives back its room.
        while response.chunk(0).is_some() || used(&store) > 0 {
            assert!(Instant::now() < deadline, "it is still there");
            thread::yield_now();
        }
        drop(response);
        assert_eq!(used(&store), 0);
    }

    /// Panics when a thread is started.
    struct NoThreads;

    impl Backend for NoThreads {
        fn gather(&self, _: DataRequest) -> Result<Box<dyn Document>, GatherError> {
            Err(GatherError::Cancelled)
        }

        fn spawn(
            &self,
            _: &str,
            _: Box<dyn FnOnce() + Send + 'static>,
        ) -> io::Result<thread::JoinHandle<()>> {
            panic!("the backend starts no threads")
        }
    }

    #[test]
    fn a_response_is_stored_although_the_start_of_the_cleaner_panics() {
        let store = ResponseStore::new(Arc::new(NoThreads), 1 << 20, LONG);
        let response = store_bytes(&store, CHUNK + 1).ok().unwrap();
        assert_eq!(response.len(), CHUNK + 1);
        assert!(!store.0.expiry_queue().has_cleaner);
    }

    #[test]
    fn the_cleaner_ends_when_no_response_is_left() {
        let store = new_store(1 << 20, LONG);
        let response = store_bytes(&store, CHUNK + 1).ok().unwrap();
        assert!(store.0.expiry_queue().has_cleaner);
        drop(response);
        let deadline = Instant::now() + Duration::from_secs(30);
        while store.0.expiry_queue().has_cleaner {
            // The cleaner may have missed the notification.
            store.0.removed.notify_one();
            assert!(Instant::now() < deadline, "it is still there");
            thread::yield_now();
        }
    }
}
