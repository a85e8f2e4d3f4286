//! Adds to lists behind locks, without allocating or freeing while they are locked.

use std::mem;
use std::ops::DerefMut;

/// Calls `run` with the state behind a lock, once the list in it has reserved capacity for one more item. Nothing is
/// allocated or freed while it is locked.
pub(crate) fn with_reserved<G: DerefMut, T, R>(
    lock: impl Fn() -> G,
    list: fn(&mut G::Target) -> &mut Vec<T>,
    run: impl FnOnce(&mut G::Target) -> R,
) -> R {
    // Outlives each guard, so the buffer that it has in the end is freed without the lock.
    let mut spare = Vec::new();
    loop {
        let mut locked = lock();
        let items = list(&mut locked);
        let length = items.len();
        if length == items.capacity() && spare.capacity() > length {
            spare.append(items);
            mem::swap(items, &mut spare);
        }
        if length < items.capacity() {
            return run(&mut locked);
        }
        drop(locked);
        spare = Vec::with_capacity(2 * length + 8);
    }
}
