//! Keeps a handle to each runtime that tasks run on, for threads that are in no runtime.
//!
//! A dump tells how many tasks of a runtime are not traced. For that it needs a [`RuntimeHandle`]: tokio's `Handle`,
//! which keeps the memory and the file descriptors of a runtime. So a handle is kept only while the runtime has to
//! exist anyway: while one task of the runtime, its **anchor**, is suspended. Finishing the anchor returns the handle,
//! and the runtime drops all its tasks before it ends. So tasktrace's handle is never the last one, and a runtime ends
//! when and where it would end without tasktrace.
//!
//! A runtime has one anchor. When it finishes, another task of the runtime becomes the anchor, if one is found soon.
//! The anchor finishes on the slow path, because this module holds a reference to it; the other tasks pay nothing. If
//! its runtime has no anchor, a task becomes it when it is first suspended, or polled for a capture.
//!
//! Under the lock of a slot, handles are moved and tokio's counter is read; nothing is allocated or freed.

use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering, fence};
use std::thread;

use super::header::Header;
use super::poller::Poller;
use super::task_ref::{self, TaskRef};
use crate::runtime::RuntimeHandle;
use crate::sync::{StaticMutex as Mutex, StaticMutexGuard as MutexGuard};

/// The largest number of runtimes that are known at the same time.
const SLOTS: usize = 64;
/// The number of slots in which a runtime may be: the slot of its number, and the next three.
const SLOTS_TRIED: usize = 4;
/// The number of headers that are examined to find another anchor.
const HEADERS_EXAMINED: usize = 64;
/// The number of attempts to take a lock, which is held for nanoseconds. In a child of `fork` it may be held for
/// ever. Then the handle is leaked there.
const LOCK_ATTEMPTS: usize = 10_000;

/// The runtimes that are known.
static RUNTIMES: [RuntimeSlot; SLOTS] = [const { RuntimeSlot::new() }; SLOTS];

/// A place for one runtime.
struct RuntimeSlot {
    /// The number of the runtime. 0 if the slot is free.
    runtime: AtomicU32,
    /// The header of the anchor, used for comparisons only.
    anchor: AtomicPtr<Header>,
    known: Mutex<Option<KnownRuntime>>,
}

/// A handle to a runtime, and the anchor for whose life it is kept.
struct KnownRuntime {
    handle: RuntimeHandle,
    anchor: TaskRef,
}

impl RuntimeSlot {
    const fn new() -> Self {
        Self {
            runtime: AtomicU32::new(0),
            anchor: AtomicPtr::new(ptr::null_mut()),
            known: Mutex::new(None),
        }
    }

    /// Locks the slot. Returns `None` if the lock is held for too long: see [`LOCK_ATTEMPTS`].
    fn lock(&self) -> Option<MutexGuard<'_, Option<KnownRuntime>>> {
        for _ in 0..LOCK_ATTEMPTS {
            if let Ok(known) = self.known.try_lock() {
                return Some(known);
            }
            thread::yield_now();
        }
        None
    }
}

/// Returns the slots in which a runtime may be.
fn slots(runtime: u32) -> impl Iterator<Item = &'static RuntimeSlot> {
    let first = runtime as usize;
    (first..first.wrapping_add(SLOTS_TRIED)).map(|at| &RUNTIMES[at % SLOTS])
}

/// Makes the task the anchor of its runtime, if that has none. The task has not finished.
#[inline]
pub(super) fn note_suspended(poller: Poller<'_>) {
    let runtime = poller.executor().runtime;
    if runtime == 0 || slots(runtime).any(|slot| slot.runtime.load(Ordering::Relaxed) == runtime) {
        return;
    }
    make_anchor(poller, runtime);
}

/// Makes the task the anchor of its runtime, if the thread is in that runtime and a slot is free.
#[cold]
#[inline(never)]
fn make_anchor(poller: Poller<'_>, runtime: u32) {
    let Some(handle) = RuntimeHandle::current().filter(|handle| handle.number() == runtime) else {
        return;
    };
    let claim = |slot: &&RuntimeSlot| {
        let claimed =
            slot.runtime
                .compare_exchange(0, runtime, Ordering::AcqRel, Ordering::Relaxed);
        claimed.is_ok()
    };
    let Some(slot) = slots(runtime).find(claim) else {
        return;
    };
    let anchor = TaskRef::of(poller);
    slot.anchor
        .store(ptr::from_ref(poller.header()).cast_mut(), Ordering::Release);
    match slot.lock() {
        Some(mut known) => *known = Some(KnownRuntime { handle, anchor }),
        None => slot.anchor.store(ptr::null_mut(), Ordering::Release),
    }
}

/// Notes that a task has finished. If it is the anchor of its runtime, another task becomes the anchor, or the
/// runtime is forgotten.
#[inline]
pub(super) fn note_finished(task: &TaskRef) {
    let runtime = task.executor().runtime;
    if runtime == 0 {
        return;
    }
    // Pairs with the fence in `hand_over`: either `hand_over` sees that the task has finished, or this thread sees
    // that the task has become the anchor.
    fence(Ordering::SeqCst);
    for slot in slots(runtime) {
        if ptr::eq(slot.anchor.load(Ordering::Relaxed), task.header()) {
            hand_over(slot, runtime, task.clone());
        }
    }
}

/// Makes another task the anchor in place of one that has finished, or frees the slot if no other is found.
#[cold]
#[inline(never)]
fn hand_over(slot: &RuntimeSlot, runtime: u32, mut finished: TaskRef) {
    loop {
        let taken = match slot.lock() {
            Some(mut known) => known.take_if(|known| ptr::eq(&*known.anchor, &*finished)),
            None => None,
        };
        // Another thread has found that the anchor has finished, and replaces it.
        let Some(KnownRuntime { handle, .. }) = taken else {
            return;
        };
        let Some(next) = find_unfinished(runtime) else {
            slot.anchor.store(ptr::null_mut(), Ordering::Release);
            slot.runtime.store(0, Ordering::Release);
            return;
        };
        slot.anchor
            .store(ptr::from_ref::<Header>(&next).cast_mut(), Ordering::Release);
        let known = KnownRuntime {
            handle,
            anchor: next.clone(),
        };
        if let Some(mut known_runtime) = slot.lock() {
            *known_runtime = Some(known);
        }
        fence(Ordering::SeqCst);
        if !next.is_finished() {
            return;
        }
        finished = next;
    }
}

/// Returns a task of this runtime that has not finished, if one is among the headers that are examined.
fn find_unfinished(runtime: u32) -> Option<TaskRef> {
    task_ref::first_tasks(HEADERS_EXAMINED)
        .find(|header| header.executor().runtime == runtime && !header.is_finished())
}

/// Calls `visit` with each runtime that is known, under a lock: `visit` must neither allocate nor call foreign code.
pub(crate) fn for_each_runtime(mut visit: impl FnMut(&RuntimeHandle)) {
    for slot in &RUNTIMES {
        if slot.runtime.load(Ordering::Acquire) != 0
            && let Some(known) = slot.lock()
            && let Some(known) = &*known
        {
            visit(&known.handle);
        }
    }
}
