//! Where records are kept: found by whoever wants to see all tasks, and used again.
//!
//! Records are made in chunks, which are on a list and never freed or moved: so a scan of them needs
//! no lock, and neither does the beginning or the end of a task, except now and then when a thread
//! has too many free records, or none. A process keeps the memory of as many records as it once had
//! tasks, and at most a chunk more. All chunks are of one length: that of a chunk which doubles
//! what there is would on average be half of the memory again, and a task would have to wait while
//! all of it is written.

use std::ptr;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::free::{List, Own, Unused};
use super::local::Local;
use super::record::Record;
use super::{at_fork, clock};
use crate::sync::{StaticMutex as Mutex, StaticMutexGuard as MutexGuard};

/// How many records there are in a chunk.
const LENGTH: usize = 128;

struct Chunk {
    records: &'static [Record],
    /// Null while this is the last.
    next: AtomicPtr<Chunk>,
}

/// The first chunk. Null until there is one.
static CHUNKS: AtomicPtr<Chunk> = AtomicPtr::new(ptr::null_mut());

/// Records that are not in use and not on a thread's own list.
static FREE: Mutex<Free> = Mutex::new(Free {
    list: List::EMPTY,
    last: &CHUNKS,
});

struct Free {
    list: List,
    /// Where the next chunk is put.
    last: &'static AtomicPtr<Chunk>,
}

/// How many free records a thread takes or gives at once. It keeps up to twice as many.
const BATCH: usize = 32;

thread_local! {
    /// Gives the records back when the thread ends. (Where thread-locals are not the compiler's, what there is
    /// may be gone by then, and the few records with it.)
    static OWNER: Owner = const { Owner };
}

struct Owner;

impl Drop for Owner {
    fn drop(&mut self) {
        Local::with((), |local| {
            local.records.is_open.set(false);
            let mut free = free();
            while let Some(record) = local.records.pop() {
                free.list.push(record);
            }
        });
    }
}

/// Whether the thread may keep records, because it will give them back.
#[cold]
#[inline(never)]
fn open(own: &Own) -> bool {
    let will_be_given_back = OWNER.try_with(|_| ()).is_ok();
    own.is_open.set(will_be_given_back);
    will_be_given_back
}

fn free() -> MutexGuard<'static, Free> {
    FREE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A record for a new task. `local` is this thread's.
#[inline]
pub(super) fn take(local: Option<&Local>) -> Unused {
    let own = local.and_then(|local| local.records.pop());
    own.unwrap_or_else(take_one_or_more)
}

/// For a thread that has none, or is being taken down.
#[cold]
#[inline(never)]
fn take_one_or_more() -> Unused {
    at_fork::expect();
    clock::keep_while(any);
    let is_open = Local::with(false, |local| open(&local.records));
    let mut made = None;
    loop {
        let mut free = free();
        if let Some(chunk) = made.take() {
            free.add(chunk);
        }
        if let Some(first) = free.list.pop() {
            if is_open {
                Local::with((), |Local { records, .. }| {
                    // The other way round, so that they are used in the order in which scans find them.
                    let others: [_; BATCH - 1] = std::array::from_fn(|_| free.list.pop());
                    let others = others.into_iter().rev().flatten();
                    others.for_each(|record| records.push(record));
                });
            }
            return first;
        }
        drop(free);
        made = Some(Chunk::make());
    }
}

impl Chunk {
    #[cold]
    fn make() -> &'static Self {
        let records: Box<[Record]> = (0..LENGTH).map(|_| Record::empty()).collect();
        Box::leak(Box::new(Self {
            records: Box::leak(records),
            next: AtomicPtr::new(ptr::null_mut()),
        }))
    }
}

impl Free {
    /// Adds the records of a chunk that no other thread knows.
    fn add(&mut self, chunk: &'static Chunk) {
        // Release: whoever sees the chunk sees records.
        self.last
            .store(ptr::from_ref(chunk).cast_mut(), Ordering::Release);
        self.last = &chunk.next;
        // From the back to the front: the last that is pushed is the first that is popped.
        for record in chunk.records.iter().rev() {
            // SAFETY: nobody else knows the record: as the chunk, it is new.
            self.list.push(unsafe { Unused::new(record) });
        }
    }
}

/// Keeps a record for another task.
#[inline]
pub(super) fn put_back(unused: Unused) {
    let mut unused = Some(unused);
    Local::with((), |Local { records, .. }| {
        if (records.is_open.get() || open(records))
            && let Some(unused) = unused.take()
        {
            records.push(unused);
            if records.length.get() > 2 * BATCH {
                give_batch(records);
            }
        }
    });
    if let Some(unused) = unused {
        put_back_to_all(unused);
    }
}

/// For a thread that is being taken down.
#[cold]
#[inline(never)]
fn put_back_to_all(unused: Unused) {
    free().list.push(unused);
}

#[cold]
fn give_batch(own: &Own) {
    let mut free = free();
    for record in (0..BATCH).map_while(|_| own.pop()) {
        free.list.push(record);
    }
}

/// All records, also those that are not in use.
pub(super) fn records() -> impl Iterator<Item = &'static Record> {
    let follow = |chunk: &'static AtomicPtr<Chunk>| {
        // SAFETY: null or a chunk, and those are never freed. Acquire: it is whole.
        unsafe { chunk.load(Ordering::Acquire).as_ref::<'static>() }
    };
    let chunks = std::iter::successors(follow(&CHUNKS), move |chunk| follow(&chunk.next));
    chunks.flat_map(|chunk| chunk.records)
}

/// Whether there are any.
pub(super) fn any() -> bool {
    records().any(|record| record.refs.any())
}

/// How many there are.
pub(crate) fn count() -> usize {
    records().filter(|record| record.refs.any()).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_only_ends_tasks_keeps_their_records() {
        let task = crate::traced(std::future::pending::<()>());
        let end = move || {
            drop(task);
            Local::with(0, |local| local.records.length.get())
        };
        assert_eq!(std::thread::spawn(end).join().unwrap(), 1);
    }
}
