//! Where records are kept: found by whoever wants to see all tasks, and used again.
//!
//! Records are made in chunks, which are on a list and never freed or moved: so a scan of them needs
//! no lock, and neither does the beginning or the end of a task, except now and then when a thread
//! has too many free records, or none. A process keeps the memory of as many records as it once had
//! tasks, and at most a chunk more. All chunks are of one length: that of a chunk which doubles
//! what there is would on average be half of the memory again, and a task would have to wait while
//! all of it is written.

use std::cell::Cell;
use std::ptr::{self, NonNull};
use std::sync::PoisonError;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::TaskId;
use super::about::Word;
use super::fork;
use super::local::Local;
use super::record::{Record, RecordRef};
use super::sight::Glance;
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

/// Free records, each of which leads to the next. Whoever has the list has them to himself.
struct List(Option<NonNull<Record>>);

// SAFETY: records are `Sync`, and never freed.
unsafe impl Send for List {}

impl List {
    const EMPTY: Self = Self(None);

    #[inline]
    fn pop(&mut self) -> Option<&'static Record> {
        // SAFETY: records are never freed.
        let record = unsafe { self.0?.as_ref() };
        // SAFETY: those on a list are nobody else's.
        self.0 = unsafe { record.next_free() };
        Some(record)
    }

    /// The caller has the record to himself, and gives that up.
    #[inline]
    fn push(&mut self, record: &'static Record) {
        // SAFETY: as asserted by the caller.
        unsafe { record.set_next_free(self.0) };
        self.0 = Some(NonNull::from(record));
    }
}

/// The free records of a thread, which it keeps with what else it has: [`Local`]. Empty before the thread is
/// [known](OWNER) to give them back when it ends, and after that.
pub(super) struct Own {
    list: Cell<List>,
    length: Cell<usize>,
    /// Whether records may be kept.
    is_open: Cell<bool>,
}

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

impl Own {
    pub(super) const fn new() -> Self {
        Self {
            list: Cell::new(List::EMPTY),
            length: Cell::new(0),
            is_open: Cell::new(false),
        }
    }

    /// Whether records may be kept, because the thread will give them back.
    #[cold]
    #[inline(never)]
    fn open(&self) -> bool {
        let will_be_given_back = OWNER.try_with(|_| ()).is_ok();
        self.is_open.set(will_be_given_back);
        will_be_given_back
    }

    #[inline]
    fn pop(&self) -> Option<&'static Record> {
        let mut list = self.list.replace(List::EMPTY);
        let record = list.pop()?;
        self.list.set(list);
        self.length.set(self.length.get() - 1);
        Some(record)
    }

    #[inline]
    fn push(&self, record: &'static Record) {
        let mut list = self.list.replace(List::EMPTY);
        list.push(record);
        self.list.set(list);
        self.length.set(self.length.get() + 1);
    }
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
    fork::expect();
    let is_open = Local::with(false, |local| local.records.open());
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
        let is_open = records.is_open.get() || records.open();
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

fn records() -> impl Iterator<Item = &'static Record> {
    let follow = |chunk: &'static AtomicPtr<Chunk>| {
        // SAFETY: null or a chunk, and those are never freed. Acquire: it is whole.
        unsafe { chunk.load(Ordering::Acquire).as_ref::<'static>() }
    };
    let chunks = std::iter::successors(follow(&CHUNKS), move |chunk| follow(&chunk.next));
    chunks.flat_map(|chunk| chunk.records)
}

/// Returns the tasks among the first `records_looked_at` records.
pub(super) fn first_tasks(records_looked_at: usize) -> impl Iterator<Item = RecordRef> {
    let in_use = records()
        .take(records_looked_at)
        .filter(|record| record.refs.try_retain());
    // SAFETY: `from_retained` takes over one reference. `try_retain` returned `true` for each record that the filter lets
    // through, so it has just taken one, and nothing else releases it.
    in_use.map(|record| unsafe { RecordRef::from_retained(record) })
}

/// All tasks whose records are in use: that are not finished, or have handles.
pub(crate) fn tasks() -> impl Iterator<Item = RecordRef> {
    let in_use = records().filter(|record| record.refs.try_retain());
    // SAFETY: it has just been retained.
    in_use.map(|record| unsafe { RecordRef::from_retained(record) })
}

/// All tasks whose records are in use, at a glance: no reference is taken.
pub(crate) fn glances() -> impl Iterator<Item = Glance> {
    let in_use = records().filter(|record| record.refs.any());
    in_use.map(Glance::of)
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
