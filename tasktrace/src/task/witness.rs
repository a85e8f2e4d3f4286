//! The runtimes that tasks run on, known to threads that are in none.
//!
//! A dump tells how many tasks of a runtime are not traced, and for that it needs a [`Host`]: tokio's
//! `Handle`, which keeps the memory and the file descriptors of a runtime. So a handle is kept only while the
//! runtime has to be there anyway: by a **witness**, a task that is suspended on it. The handle is given back
//! in the step that finishes the witness, in which its future is dropped, and that is before the runtime is
//! gone. So it is not the last one, and a runtime ends when and where it would end without us.
//!
//! A runtime has one witness, which hands over to another task when it finishes, if one is found soon. The
//! reference that is kept to its record makes it take the slow path then; the other tasks pay nothing. A task
//! becomes the witness of its runtime when it is first suspended, or polled for a capture, and there is none.
//!
//! Under the lock of a slot, handles are moved and tokio's counter is read; nothing is allocated or freed.

use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering, fence};
use std::thread;

use super::poller::Poller;
use super::record::Record;
use super::reference::{self, RecordRef};
use crate::host::Host;
use crate::sync::{StaticMutex as Mutex, StaticMutexGuard as MutexGuard};

/// The largest number of runtimes that are known at the same time.
const SLOTS: usize = 64;
/// A runtime is in the slot of its number, or in one of the next.
const TRIED: usize = 4;
/// The number of records that are examined to find another witness.
const LOOKED_AT: usize = 64;
/// So often a lock is tried that is held for nanoseconds. In a child that `fork` has made it may be held for
/// ever, and then the handle is leaked there.
const PATIENCE: usize = 10_000;

static KNOWN: [Slot; SLOTS] = [const { Slot::new() }; SLOTS];

struct Slot {
    /// The number of the runtime. 0 if the slot is free.
    runtime: AtomicU32,
    /// The record of the witness, to be compared only.
    witness: AtomicPtr<Record>,
    kept: Mutex<Option<Kept>>,
}

struct Kept {
    host: Host,
    witness: RecordRef,
}

impl Slot {
    const fn new() -> Self {
        Self {
            runtime: AtomicU32::new(0),
            witness: AtomicPtr::new(ptr::null_mut()),
            kept: Mutex::new(None),
        }
    }

    fn lock(&self) -> Option<MutexGuard<'_, Option<Kept>>> {
        for _ in 0..PATIENCE {
            if let Ok(kept) = self.kept.try_lock() {
                return Some(kept);
            }
            thread::yield_now();
        }
        None
    }
}

/// The slots in which a runtime may be.
fn slots(runtime: u32) -> impl Iterator<Item = &'static Slot> {
    let first = runtime as usize;
    (first..first.wrapping_add(TRIED)).map(|at| &KNOWN[at % SLOTS])
}

/// Makes the task the witness of its runtime, if that has none.
///
/// The task has not finished.
#[inline]
pub(super) fn note(poller: Poller<'_>) {
    let runtime = poller.executor().runtime;
    if runtime == 0 || slots(runtime).any(|slot| slot.runtime.load(Ordering::Relaxed) == runtime) {
        return;
    }
    begin(poller, runtime);
}

#[cold]
#[inline(never)]
fn begin(poller: Poller<'_>, runtime: u32) {
    let Some(host) = Host::current().filter(|host| host.number() == runtime) else {
        return;
    };
    let claim = |slot: &&Slot| {
        let claimed =
            slot.runtime
                .compare_exchange(0, runtime, Ordering::AcqRel, Ordering::Relaxed);
        claimed.is_ok()
    };
    let Some(slot) = slots(runtime).find(claim) else {
        return;
    };
    let witness = RecordRef::of(poller);
    slot.witness
        .store(ptr::from_ref(poller.record()).cast_mut(), Ordering::Release);
    match slot.lock() {
        Some(mut kept) => *kept = Some(Kept { host, witness }),
        None => slot.witness.store(ptr::null_mut(), Ordering::Release),
    }
}

/// The task has finished: if it is the witness of its runtime, another becomes it, or the runtime is not
/// known any more.
///
#[inline]
pub(super) fn finish(task: &RecordRef) {
    let runtime = task.executor().runtime;
    if runtime == 0 {
        return;
    }
    // Together with the fence in `hand_over`: either that sees that the task has finished, or this sees that
    // it has become the witness.
    fence(Ordering::SeqCst);
    for slot in slots(runtime) {
        if ptr::eq(slot.witness.load(Ordering::Relaxed), task.record()) {
            hand_over(slot, runtime, task.clone());
        }
    }
}

#[cold]
#[inline(never)]
fn hand_over(slot: &Slot, runtime: u32, mut from: RecordRef) {
    loop {
        let kept = match slot.lock() {
            Some(mut kept) => kept.take_if(|kept| ptr::eq(&*kept.witness, &*from)),
            None => None,
        };
        // Another thread has found that it has finished.
        let Some(Kept { host, .. }) = kept else {
            return;
        };
        let Some(next) = another(runtime) else {
            slot.witness.store(ptr::null_mut(), Ordering::Release);
            slot.runtime.store(0, Ordering::Release);
            return;
        };
        slot.witness
            .store(ptr::from_ref::<Record>(&next).cast_mut(), Ordering::Release);
        let kept = Kept {
            host,
            witness: next.clone(),
        };
        if let Some(mut place) = slot.lock() {
            *place = Some(kept);
        }
        fence(Ordering::SeqCst);
        if !next.is_finished() {
            return;
        }
        from = next;
    }
}

/// A task that is suspended on this runtime, if one is found soon.
fn another(runtime: u32) -> Option<RecordRef> {
    reference::first_tasks(LOOKED_AT)
        .find(|record| record.executor().runtime == runtime && !record.is_finished())
}

/// Calls `look` with each runtime that is known.
///
/// It must neither allocate nor call foreign code.
pub(crate) fn for_each_runtime(mut look: impl FnMut(&Host)) {
    for slot in &KNOWN {
        if slot.runtime.load(Ordering::Acquire) != 0
            && let Some(kept) = slot.lock()
            && let Some(kept) = &*kept
        {
            look(&kept.host);
        }
    }
}
