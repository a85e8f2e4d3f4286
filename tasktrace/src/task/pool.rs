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

use super::TaskId;
use super::about::Word;
use super::free::{List, Own};
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

/// A record for a new task, with one reference to it, which is the caller's. `local` is this thread's, `turn` what its
/// [`Turn`](super::turn::Turn) is before its first poll.
#[inline(always)]
pub(super) fn prepare(local: Option<&Local>, about: Word, turn: u32) -> &'static Record {
    let own = local.and_then(|local| local.records.pop());
    let record = own.unwrap_or_else(take_one_or_more);
    // SAFETY: it was on a list of free records, of which it has been taken off.
    unsafe { record.prepare(TaskId::next(), about, turn) };
    record
}

/// For a thread that has none, or is being taken down.
#[cold]
#[inline(never)]
fn take_one_or_more() -> &'static Record {
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
            self.list.push(record);
        }
    }
}

/// Keeps a record for another task.
///
/// # Safety
///
/// The caller has given back the last reference to the record, and has reset it.
#[inline]
pub(super) unsafe fn put_back(record: &'static Record) {
    let is_kept = Local::with(false, |Local { records, .. }| {
        let is_open = records.is_open.get() || open(records);
        if is_open {
            records.push(record);
            if records.length.get() > 2 * BATCH {
                give_batch(records);
            }
        }
        is_open
    });
    if !is_kept {
        put_back_to_all(record);
    }
}

/// For a thread that is being taken down.
#[cold]
#[inline(never)]
fn put_back_to_all(record: &'static Record) {
    free().list.push(record);
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
