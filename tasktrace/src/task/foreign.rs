//! Calls wakers, which are foreign code.
//!
//! A waker may panic. If only a request for a trace calls it, the task must not see that panic: the panic hook has
//! reported it, and the task goes on.
//!
//! Some executors have leaves that demand the executor's own waker, because they look for the task in it. They panic
//! if they are polled with another waker, so a task of such an executor cannot be captured. These executors are known
//! by the names of the functions of their wakers. In a program without names, every executor whose wakers have
//! [functions like theirs](may_demand_own_waker) counts as one of them.

use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{RawWakerVTable, Waker};

use crate::sync::{LockedMap, catch_panic};
use crate::unwind::ReturnAddress;
use crate::{capture, symbol};

/// Clones a waker. Returns `None` if that panics.
pub(super) fn clone(waker: &Waker) -> Option<Waker> {
    catch_panic(|| waker.clone())
}

/// Calls `wake`, and catches a panic.
pub(super) fn wake(waker: Waker) {
    let _ = catch_panic(|| waker.wake());
}

/// Calls `wake_by_ref`, and catches a panic.
pub(super) fn wake_by_ref(waker: &Waker) {
    let _ = catch_panic(|| waker.wake_by_ref());
}

/// Drops wakers, each on its own: if a second one panicked while the panic of a first unwinds, the process would be
/// aborted.
pub(super) fn drop(wakers: impl IntoIterator<Item = Waker>) {
    for waker in wakers {
        let _ = catch_panic(|| std::mem::drop(waker));
    }
}

/// The modules of wakers that some leaf futures require. embassy's timer queue is such a leaf.
const DEMANDING_MODULES: [&str; 1] = ["embassy_executor::raw::waker::"];

/// The function tables of wakers that were examined, with `true` if some leaf requires wakers with that table.
static KNOWN_TABLES: LockedMap<usize, bool> = LockedMap::new();

/// The last table that is not demanded, so that most tables need not be looked up in the map.
static LAST_NOT_DEMANDED: AtomicUsize = AtomicUsize::new(0);

/// Returns `true` if leaves may demand that they are polled with this waker.
///
/// The first call for a table whose functions [look like those of such an executor](may_demand_own_waker) looks up
/// their names. That reads debug information, which takes up to a second, so it is not done for other tables.
#[inline]
pub(super) fn demands_own_waker(waker: &Waker) -> bool {
    // A recording waker stands in only for wakers of which this function has returned `false`.
    let is_recording = !ptr::eq(waker, capture::real(waker));
    let is_known = || LAST_NOT_DEMANDED.load(Ordering::Relaxed) == table(waker).addr();
    !cfg!(tasktrace_loom) && !is_recording && !is_known() && examine(waker)
}

/// Returns the result of [`demands_own_waker`] for a waker whose table is not [`LAST_NOT_DEMANDED`].
#[cold]
fn examine(waker: &Waker) -> bool {
    let table = table(waker);
    let known = KNOWN_TABLES.get(&table.addr()).or_else(|| {
        let functions = functions(waker.vtable());
        let demands_own_waker = match may_demand_own_waker(waker, functions) {
            true => demands_own_waker_by_name(functions)?,
            false => false,
        };
        // If another thread has inserted a value, it is the same.
        let _ = KNOWN_TABLES.insert(table.addr(), demands_own_waker);
        Some(demands_own_waker)
    });
    // Without names, as in a program that was stripped, the waker is assumed to be required: a missing trace does no
    // harm, and a panic of the executor does.
    let demands_own_waker = known.unwrap_or(true);
    if !demands_own_waker {
        LAST_NOT_DEMANDED.store(table.addr(), Ordering::Relaxed);
    }
    demands_own_waker
}

/// Returns the function table of a waker.
fn table(waker: &Waker) -> *const RawWakerVTable {
    ptr::from_ref(waker.vtable())
}

/// Returns `true` if one function of the waker's table serves two purposes, as in executors that never free tasks:
/// their wakers do not keep the task alive, so `wake` does the same as `wake_by_ref`. Nearly all other executors
/// count references, and have four different functions.
fn may_demand_own_waker(waker: &Waker, functions: [usize; FUNCTION_COUNT]) -> bool {
    let is_repeated = |(at, function)| functions[..at].contains(function);
    !ptr::eq(table(waker), Waker::noop().vtable()) && functions.iter().enumerate().any(is_repeated)
}

/// Returns the functions of a table, in any order.
fn functions(table: &'static RawWakerVTable) -> [usize; FUNCTION_COUNT] {
    // SAFETY: the assertion below shows that a `RawWakerVTable` has the size and the alignment of four words. It
    // contains four function pointers, which by their size fill it, in whatever order. So all of its bytes are
    // initialised, and every bit pattern is a valid `usize`.
    unsafe {
        ptr::from_ref(table)
            .cast::<[usize; FUNCTION_COUNT]>()
            .read()
    }
}

const FUNCTION_COUNT: usize = 4;

const _: () = assert!(
    size_of::<RawWakerVTable>() == size_of::<[usize; FUNCTION_COUNT]>()
        && align_of::<RawWakerVTable>() == align_of::<usize>()
);

/// Returns `true` if one of these functions has the name of a function of an executor that demands its own wakers.
/// Returns `None` if none of them has a name, or if names cannot be looked up now.
fn demands_own_waker_by_name(functions: [usize; FUNCTION_COUNT]) -> Option<bool> {
    // The address is one past the start, because a return address is inside its function.
    let symbols =
        functions.map(|function| symbol::resolve(ReturnAddress(function.wrapping_add(1))));
    let mut names = symbols.iter().flat_map(|symbols| &**symbols).peekable();
    names.peek()?;
    let demands_own_waker =
        |name: &str| DEMANDING_MODULES.iter().any(|module| name.contains(module));
    Some(names.any(|symbol| demands_own_waker(&symbol.function)))
}

#[cfg(all(test, not(tasktrace_loom)))]
mod tests {
    use std::sync::Arc;
    use std::task::{RawWaker, Wake};

    use super::*;

    #[test]
    fn most_wakers_are_not_demanded() {
        struct Wakes;
        impl Wake for Wakes {
            fn wake(self: Arc<Self>) {}
        }
        let own = Waker::from(Arc::new(Wakes));
        for waker in [Waker::noop(), &own, Waker::noop()] {
            assert!(!demands_own_waker(waker));
        }
    }

    #[test]
    fn only_tables_with_a_function_for_two_purposes_may_be_demanded() {
        const SHARED: RawWakerVTable = RawWakerVTable::new(clone, act, act, forget);
        unsafe fn clone(data: *const ()) -> RawWaker {
            RawWaker::new(data, &SHARED)
        }
        unsafe fn act(data: *const ()) {
            std::hint::black_box(data);
        }
        unsafe fn forget(_: *const ()) {}
        // SAFETY: the functions of the table do not use the data, and `clone` returns a waker with the same table, so
        // they satisfy the contract of `RawWaker` for any data.
        let shared = unsafe { Waker::from_raw(RawWaker::new(ptr::null(), &SHARED)) };
        assert!(may_demand_own_waker(&shared, functions(shared.vtable())));
        struct Wakes(AtomicUsize);
        impl Wake for Wakes {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let counted = Waker::from(Arc::new(Wakes(AtomicUsize::new(0))));
        for waker in [Waker::noop(), &counted] {
            assert!(!may_demand_own_waker(waker, functions(waker.vtable())));
        }
    }

    #[test]
    fn only_functions_with_names_are_classified() {
        let functions = functions(Waker::noop().vtable());
        assert_eq!(demands_own_waker_by_name(functions), Some(false));
        // This memory belongs to no program or library.
        let memory = Box::new(0_u64);
        let address = ptr::from_ref(&*memory).addr();
        assert_eq!(demands_own_waker_by_name([address; FUNCTION_COUNT]), None);
    }

    #[test]
    fn the_functions_of_a_table_are_not_null() {
        let functions = functions(Waker::noop().vtable());
        assert!(functions.iter().all(|function| *function != 0));
    }
}
