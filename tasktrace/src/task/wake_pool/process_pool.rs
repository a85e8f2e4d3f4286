//! Finds the pool of this process, which is not that of its parent.

use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};

use super::pool::Pool;
use crate::os;
use crate::sync::{StaticCondvar as Condvar, StaticMutex as Mutex, StaticMutexGuard as MutexGuard};

/// The pool of one process, and the condition variable that its workers wait for.
pub(super) struct ProcessPool {
    pool: Mutex<Pool>,
    pub(super) work_arrived: Condvar,
}

/// The number of pools. A child of `fork` uses another pool than its parent: a thread that has just been notified has
/// the lock before a fork can know of it, so in the child the lock of the parent's pool may stay locked for ever.
const POOL_COUNT: usize = 16;

static POOLS: [ProcessPool; POOL_COUNT] = [const {
    ProcessPool {
        pool: Mutex::new(Pool::new(0)),
        work_arrived: Condvar::new(),
    }
}; POOL_COUNT];

/// The process that has last chosen a pool, times 256, plus the index of that pool.
static OWNER: AtomicU64 = AtomicU64::new(0);

/// Returns the pool of this process.
pub(super) fn process_pool() -> &'static ProcessPool {
    let process = u64::from(os::process_id());
    let mut owner = OWNER.load(Ordering::Relaxed);
    loop {
        let (owning_process, index) = (owner >> 8, owner & 0xff);
        if owning_process == process {
            return &POOLS[usize::try_from(index).unwrap_or(0)];
        }
        let own = process << 8 | ((index + 1) % POOL_COUNT as u64);
        match OWNER.compare_exchange(owner, own, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => owner = own,
            Err(now) => owner = now,
        }
    }
}

/// Locks the pool of this process.
pub(super) fn lock_pool() -> MutexGuard<'static, Pool> {
    let pool = &process_pool().pool;
    let mut pool = pool.lock().unwrap_or_else(PoisonError::into_inner);
    let process = os::process_id();
    if pool.process != process {
        // Batches of a former process have no requesters in this one. They are not dropped, because nothing is freed
        // under the lock.
        std::mem::forget(std::mem::replace(&mut *pool, Pool::new(process)));
    }
    pool
}
