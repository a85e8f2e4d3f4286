//! Where records are kept: found by whoever wants to see all tasks, and used again.
//!
//! Records are made in chunks, each twice as large as the one before, and never freed: so a scan
//! of them needs no lock, and neither does the beginning or the end of a task, except now and then
//! when a thread has too many free records, or none. A process keeps the memory of as many records
//! as it once had tasks.

use std::cell::Cell;
use std::ptr;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::record::{About, Record, RecordRef};
use super::sight::Glance;
use crate::sync::{StaticMutex as Mutex, StaticMutexGuard as MutexGuard};

const FIRST_CHUNK: usize = 64;
const CHUNKS: usize = 40;

/// A chunk is null until it is made. Those after it are null as well then.
static POOL: [AtomicPtr<Record>; CHUNKS] = [const { AtomicPtr::new(ptr::null_mut()) }; CHUNKS];

/// Records that are not in use and not on a thread's own list.
static FREE: Mutex<Vec<&'static Record>> = Mutex::new(Vec::new());

/// How many free records a thread takes or gives at once. It keeps up to twice as many.
const BATCH: usize = 32;

/// The free records of a thread, linked through [`Record::next_free`].
struct Own {
    first: Cell<*const Record>,
    length: Cell<usize>,
}

thread_local! {
    static OWN: Own = const {
        Own {
            first: Cell::new(ptr::null()),
            length: Cell::new(0),
        }
    };
}

impl Own {
    #[inline]
    fn pop(&self) -> Option<&'static Record> {
        // SAFETY: null or a record, and those are never freed.
        let record = unsafe { self.first.get().as_ref() }?;
        self.first.set(record.next_free.load(Ordering::Relaxed));
        self.length.set(self.length.get() - 1);
        Some(record)
    }

    #[inline]
    fn push(&self, record: &'static Record) {
        let next = self.first.replace(record);
        record.next_free.store(next.cast_mut(), Ordering::Relaxed);
        self.length.set(self.length.get() + 1);
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let mut free = free();
        while let Some(record) = self.pop() {
            free.push(record);
        }
    }
}

fn free() -> MutexGuard<'static, Vec<&'static Record>> {
    FREE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A record for a new task, with one reference to it, which is the caller's.
#[inline(always)]
pub(super) fn prepare(about: About) -> &'static Record {
    let record = match OWN.try_with(Own::pop) {
        Ok(Some(record)) => record,
        _ => take_one_or_more(),
    };
    // SAFETY: it was on a list of free records, of which it has been taken off.
    unsafe { record.prepare(about) };
    record
}

/// For a thread that has none, or is being taken down.
#[cold]
#[inline(never)]
fn take_one_or_more() -> &'static Record {
    let mut free = free();
    let _ = OWN.try_with(|own| {
        for _ in 1..BATCH {
            own.push(take_one(&mut free));
        }
    });
    take_one(&mut free)
}

fn take_one(free: &mut Vec<&'static Record>) -> &'static Record {
    match free.pop() {
        Some(record) => record,
        None => make_chunk(free),
    }
}

/// Makes as many records as there are, and returns one of them.
///
/// The caller has locked the list.
#[cold]
fn make_chunk(free: &mut Vec<&'static Record>) -> &'static Record {
    let number = POOL
        .iter()
        .position(|chunk| chunk.load(Ordering::Relaxed).is_null());
    // There is no memory for as many records as the last chunk has.
    let number = number.unwrap_or(CHUNKS - 1);
    let length = FIRST_CHUNK << number;
    let records: Box<[Record]> = (0..length).map(|_| Record::empty()).collect();
    let records: &'static [Record] = Box::leak(records);
    // Release: whoever sees the chunk sees records.
    POOL[number].store(records.as_ptr().cast_mut(), Ordering::Release);
    // From the front to the back: `pop` takes from the end, and scans begin at the start.
    free.extend(records.iter().skip(1).rev());
    &records[0]
}

/// Keeps a record for another task.
///
/// # Safety
///
/// The caller has given back the last reference to the record, and has reset it.
#[inline]
pub(super) unsafe fn put_back(record: &'static Record) {
    let kept = OWN.try_with(|own| {
        own.push(record);
        if own.length.get() > 2 * BATCH {
            give_batch(own);
        }
    });
    if kept.is_err() {
        free().push(record);
    }
}

#[cold]
fn give_batch(own: &Own) {
    let mut free = free();
    for _ in 0..BATCH {
        free.extend(own.pop());
    }
}

fn records() -> impl Iterator<Item = &'static Record> {
    let chunks = POOL.iter().enumerate().map_while(|(number, chunk)| {
        let first = chunk.load(Ordering::Acquire);
        // SAFETY: a chunk that is there has so many records, and is never freed.
        (!first.is_null())
            .then(|| unsafe { std::slice::from_raw_parts(first, FIRST_CHUNK << number) })
    });
    chunks.flatten()
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
