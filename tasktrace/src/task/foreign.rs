//! Calls of wakers, which are foreign code.
//!
//! A waker may panic. Where only a request for a trace calls it, the task must not see that panic: the panic hook has
//! reported it, and the task goes on.
//!
//! Some executors have leaves that demand the executor's own waker, because they look for the task in it, and panic if
//! it is another. A task of such an executor cannot be captured. They are known by the names of the functions of their
//! wakers. In a program without names, each executor is taken for one whose wakers have [functions like theirs](may_be_demanded).

use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{RawWakerVTable, Waker};

use crate::sync::{Map, caught};
use crate::unwind::ReturnAddress;
use crate::{capture, symbol};

/// Returns another waker like this one, if it can be had.
pub(super) fn clone(waker: &Waker) -> Option<Waker> {
    caught(|| waker.clone())
}

pub(super) fn wake(waker: Waker) {
    let _ = caught(|| waker.wake());
}

pub(super) fn wake_by_ref(waker: &Waker) {
    let _ = caught(|| waker.wake_by_ref());
}

/// Drops a waker, or several: each on its own, because the process would be aborted by the second that panics while the
/// first unwinds.
pub(super) fn drop(wakers: impl IntoIterator<Item = Waker>) {
    for waker in wakers {
        let _ = caught(|| std::mem::drop(waker));
    }
}

/// The modules whose wakers are demanded by leaves: those of embassy's executor, of which its timer queue is one.
const DEMANDED: [&str; 1] = ["embassy_executor::raw::waker::"];

/// The tables of wakers that were looked at, and whether these are demanded.
static KNOWN: Map<usize, bool> = Map::new();

/// The last of them that is not demanded, so that most need not be looked for.
static LAST: AtomicUsize = AtomicUsize::new(0);

/// Returns `true` if leaves may demand that they are handed this waker.
///
/// The first question about a table whose functions [look like those of such an executor](may_be_demanded) looks up
/// their names. That reads debug information, which takes up to a second, so it is not done for other tables.
pub(super) fn is_demanded(waker: &Waker) -> bool {
    let waker = capture::real(waker);
    if cfg!(tasktrace_loom) || LAST.load(Ordering::Relaxed) == table(waker).addr() {
        return false;
    }
    let table = table(waker);
    let known = KNOWN.get(&table.addr()).or_else(|| {
        let functions = functions(waker.vtable());
        let is_demanded = match may_be_demanded(waker, functions) {
            true => is_demanded_by_name(functions)?,
            false => false,
        };
        // Another thread has found the same.
        let _ = KNOWN.insert(table.addr(), is_demanded);
        Some(is_demanded)
    });
    // Without names, as in a program that was stripped, it is taken to be demanded: a trace less is no harm, and a
    // panic of the executor is.
    let is_demanded = known.unwrap_or(true);
    if !is_demanded {
        LAST.store(table.addr(), Ordering::Relaxed);
    }
    is_demanded
}

fn table(waker: &Waker) -> *const RawWakerVTable {
    ptr::from_ref(waker.vtable())
}

/// Returns `true` if one of the functions of a table serves two purposes. So it is where a waker has no part in what
/// keeps its task alive, because tasks are never freed: then `wake` does the same as `wake_by_ref`. Nearly all other
/// executors count references, and have four functions.
fn may_be_demanded(waker: &Waker, functions: [usize; FUNCTIONS]) -> bool {
    let is_repeated = |(at, function)| functions[..at].contains(function);
    !ptr::eq(table(waker), Waker::noop().vtable()) && functions.iter().enumerate().any(is_repeated)
}

/// Returns the functions of a table, in any order.
fn functions(table: &'static RawWakerVTable) -> [usize; FUNCTIONS] {
    // SAFETY: a table is four function pointers and nothing else, as its size says (asserted below), in whichever
    // order. So all of its bytes are initialised, and any of them is a word.
    unsafe { ptr::from_ref(table).cast::<[usize; FUNCTIONS]>().read() }
}

const FUNCTIONS: usize = 4;

const _: () = assert!(
    size_of::<RawWakerVTable>() == size_of::<[usize; FUNCTIONS]>()
        && align_of::<RawWakerVTable>() == align_of::<usize>()
);

/// Returns `true` if one of these functions is named as those of an executor that demands its own wakers. `None` if none
/// of them has a name, or none can be looked up now.
fn is_demanded_by_name(functions: [usize; FUNCTIONS]) -> Option<bool> {
    // A return address is in the function, not at its start.
    let symbols =
        functions.map(|function| symbol::resolve(ReturnAddress(function.wrapping_add(1))));
    let mut names = symbols.iter().flat_map(|symbols| &**symbols).peekable();
    names.peek()?;
    let is_demanded = |name: &str| DEMANDED.iter().any(|module| name.contains(module));
    Some(names.any(|symbol| is_demanded(&symbol.function)))
}

#[cfg(all(test, not(tasktrace_loom)))]
mod tests {
    use std::sync::Arc;
    use std::task::{RawWaker, Wake};

    use super::*;

    #[test]
    fn most_wakers_are_exchangeable() {
        struct Wakes;
        impl Wake for Wakes {
            fn wake(self: Arc<Self>) {}
        }
        let own = Waker::from(Arc::new(Wakes));
        for waker in [Waker::noop(), &own, Waker::noop()] {
            assert!(!is_demanded(waker));
        }
    }

    #[test]
    fn only_tables_with_a_function_for_two_purposes_are_looked_at_closely() {
        const SHARED: RawWakerVTable = RawWakerVTable::new(clone, act, act, forget);
        unsafe fn clone(data: *const ()) -> RawWaker {
            RawWaker::new(data, &SHARED)
        }
        unsafe fn act(data: *const ()) {
            std::hint::black_box(data);
        }
        unsafe fn forget(_: *const ()) {}
        // SAFETY: the functions do nothing with the data, so the contract of wakers holds.
        let shared = unsafe { Waker::from_raw(RawWaker::new(ptr::null(), &SHARED)) };
        assert!(may_be_demanded(&shared, functions(shared.vtable())));
        struct Wakes(AtomicUsize);
        impl Wake for Wakes {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let counted = Waker::from(Arc::new(Wakes(AtomicUsize::new(0))));
        for waker in [Waker::noop(), &counted] {
            assert!(!may_be_demanded(waker, functions(waker.vtable())));
        }
    }

    #[test]
    fn nothing_is_known_of_functions_without_names() {
        let functions = functions(Waker::noop().vtable());
        assert_eq!(is_demanded_by_name(functions), Some(false));
        // Memory of no program or library.
        let memory = Box::new(0_u64);
        let address = ptr::from_ref(&*memory).addr();
        assert_eq!(is_demanded_by_name([address; FUNCTIONS]), None);
    }

    #[test]
    fn the_functions_of_a_table() {
        let functions = functions(Waker::noop().vtable());
        assert!(functions.iter().all(|function| *function != 0));
    }
}
