//! Allocates task headers, reuses them, and lists them for scans of all tasks.
//!
//! Headers are allocated in chunks, which are linked and never freed or moved. So a scan needs no lock. Neither does
//! the start or the end of a task, except when a thread has no free header left, or too many.
//!
//! A process keeps the memory of as many headers as it once had tasks, and of at most one more chunk. All chunks have
//! the same length. Chunks that double the number of headers would on average waste half of that memory again, and a
//! task would have to wait while all of a chunk is initialised.

use std::ptr;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::free_list::{FreeList, LocalFreeList, UnusedHeader};
use super::header::Header;
use super::thread_state::ThreadState;
use super::{at_fork, clock};
use crate::sync::{StaticMutex as Mutex, StaticMutexGuard as MutexGuard};

/// The number of headers in a chunk.
const CHUNK_LENGTH: usize = 128;

/// A chunk of headers. It is never freed.
struct Chunk {
    headers: &'static [Header],
    /// The next chunk, or null while this is the last one.
    next: AtomicPtr<Chunk>,
}

/// The first chunk, or null while there is none.
static CHUNKS: AtomicPtr<Chunk> = AtomicPtr::new(ptr::null_mut());

/// The free headers that are not on the list of a thread.
static SHARED: Mutex<SharedFreeList> = Mutex::new(SharedFreeList {
    list: FreeList::EMPTY,
    last: &CHUNKS,
});

/// The list of free headers that all threads share, and the end of the list of chunks.
struct SharedFreeList {
    list: FreeList,
    /// The link to the next chunk.
    last: &'static AtomicPtr<Chunk>,
}

/// The number of free headers that a thread takes from the shared list, or returns to it, at once. It keeps at most
/// twice as many.
const BATCH: usize = 32;

thread_local! {
    /// Returns the free headers of this thread when it ends. (On platforms without native thread-locals, the list of
    /// the thread may have been destroyed by then. Then its few headers leak.)
    static RETURN_ON_EXIT: ReturnOnExit = const { ReturnOnExit };
}

struct ReturnOnExit;

impl Drop for ReturnOnExit {
    fn drop(&mut self) {
        ThreadState::with((), |local| {
            local.free_headers.is_open.set(false);
            let mut shared = lock_shared();
            while let Some(header) = local.free_headers.pop() {
                shared.list.push(header);
            }
        });
    }
}

/// Allows this thread to keep free headers, if it is certain to return them when it ends. Returns `true` if it is.
#[cold]
#[inline(never)]
fn open(local: &LocalFreeList) -> bool {
    let will_return = RETURN_ON_EXIT.try_with(|_| ()).is_ok();
    local.is_open.set(will_return);
    will_return
}

fn lock_shared() -> MutexGuard<'static, SharedFreeList> {
    SHARED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes a free header for a new task. `local` is the state of this thread.
#[inline]
pub(super) fn take(local: Option<&ThreadState>) -> UnusedHeader {
    let own = local.and_then(|local| local.free_headers.pop());
    own.unwrap_or_else(take_from_shared)
}

/// Takes a free header for a thread that has none, and a batch for its list unless the thread is ending.
#[cold]
#[inline(never)]
fn take_from_shared() -> UnusedHeader {
    at_fork::install_once();
    clock::run_while(any_in_use);
    let is_open = ThreadState::with(false, |local| open(&local.free_headers));
    let mut new_chunk = None;
    loop {
        let mut shared = lock_shared();
        if let Some(chunk) = new_chunk.take() {
            shared.add(chunk);
        }
        if let Some(first) = shared.list.pop() {
            if is_open {
                ThreadState::with((), |ThreadState { free_headers, .. }| {
                    // They are pushed in reverse, so that they are used in the order in which scans find them.
                    let others: [_; BATCH - 1] = std::array::from_fn(|_| shared.list.pop());
                    let others = others.into_iter().rev().flatten();
                    others.for_each(|header| free_headers.push(header));
                });
            }
            return first;
        }
        drop(shared);
        new_chunk = Some(Chunk::allocate());
    }
}

impl Chunk {
    /// Allocates a chunk, which is never freed.
    #[cold]
    fn allocate() -> &'static Self {
        let headers: Box<[Header]> = (0..CHUNK_LENGTH).map(|_| Header::empty()).collect();
        Box::leak(Box::new(Self {
            headers: Box::leak(headers),
            next: AtomicPtr::new(ptr::null_mut()),
        }))
    }
}

impl SharedFreeList {
    /// Publishes a new chunk, and adds its headers to the list.
    fn add(&mut self, chunk: &'static Chunk) {
        // Release: a thread that sees the chunk also sees its headers initialised.
        self.last
            .store(ptr::from_ref(chunk).cast_mut(), Ordering::Release);
        self.last = &chunk.next;
        // From the last to the first, because the header that is pushed last is popped first.
        for header in chunk.headers.iter().rev() {
            // SAFETY: the header is new, so it contains no task. Scans may read it, but get no reference while its
            // count is 0, and this is the only place that makes an `UnusedHeader` of a new header.
            self.list.push(unsafe { UnusedHeader::new(header) });
        }
    }
}

/// Keeps a free header for another task.
#[inline]
pub(super) fn put_back(unused: UnusedHeader) {
    let mut unused = Some(unused);
    ThreadState::with((), |ThreadState { free_headers, .. }| {
        if (free_headers.is_open.get() || open(free_headers))
            && let Some(unused) = unused.take()
        {
            free_headers.push(unused);
            if free_headers.length.get() > 2 * BATCH {
                return_batch(free_headers);
            }
        }
    });
    if let Some(unused) = unused {
        put_back_to_shared(unused);
    }
}

/// Returns a free header of a thread that is ending.
#[cold]
#[inline(never)]
fn put_back_to_shared(unused: UnusedHeader) {
    lock_shared().list.push(unused);
}

/// Moves a batch of free headers from this thread to the shared list.
#[cold]
fn return_batch(local: &LocalFreeList) {
    let mut shared = lock_shared();
    for header in (0..BATCH).map_while(|_| local.pop()) {
        shared.list.push(header);
    }
}

/// Returns all headers, including the free ones.
pub(super) fn headers() -> impl Iterator<Item = &'static Header> {
    let follow = |chunk: &'static AtomicPtr<Chunk>| {
        // SAFETY: the pointer is null or that of a `&'static Chunk`, because only `SharedFreeList::add` stores others.
        // Acquire: the chunk is visible initialised.
        unsafe { chunk.load(Ordering::Acquire).as_ref::<'static>() }
    };
    let chunks = std::iter::successors(follow(&CHUNKS), move |chunk| follow(&chunk.next));
    chunks.flat_map(|chunk| chunk.headers)
}

/// Returns `true` if at least one header is in use.
pub(super) fn any_in_use() -> bool {
    headers().any(|header| header.ref_count.is_referenced())
}

/// Returns the number of headers that are in use.
pub(crate) fn count_in_use() -> usize {
    headers()
        .filter(|header| header.ref_count.is_referenced())
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_only_ends_tasks_keeps_their_headers() {
        let task = crate::traced(std::future::pending::<()>());
        let end = move || {
            drop(task);
            ThreadState::with(0, |local| local.free_headers.length.get())
        };
        assert_eq!(std::thread::spawn(end).join().unwrap(), 1);
    }
}
