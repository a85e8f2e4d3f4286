//! Keeps a fork from happening while another thread is inside a critical section of tasktrace.
//!
//! A child of `fork` has one thread, and a copy of everything else as it was at that moment: a lock that another thread
//! held stays locked forever, and the data that it protects may be half changed. Work that a fork must not interrupt
//! runs inside a [`NoForkSection`]. A fork [waits](before) until the only sections are those of the thread that forks,
//! and keeps other threads from beginning one meanwhile. All of tasktrace's [locks](super::mutex) are sections while
//! they are held, and so are initialisations that happen once, and work that takes a lock of the loader or of the crate
//! `backtrace`.
//!
//! Sections are short, and no foreign code runs in one. Even so, no thread waits forever. A fork that has waited for
//! [`MAX_WAIT_FOR_SECTIONS`] goes on, and so does a thread that has waited for a fork for [`MAX_WAIT_FOR_FORK`].
//! Looking up names may take long: if a fork did not wait for that, its child [looks up no names](is_lookup_blocked).
//! If a fork takes longer than sections wait, as it does if a handler of the program blocks it, a section gives up.
//! After one section has given up, later sections no longer wait for that fork.

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::ReentrancyGuard;

/// The time for which a fork waits for sections to end. They are short, but their threads need a processor.
const MAX_WAIT_FOR_SECTIONS: Duration = Duration::from_secs(2);

/// The time for which a fork waits if all sections are lookups of names.
const MAX_WAIT_FOR_LOOKUPS: Duration = Duration::from_millis(200);

/// The time for which a section waits for a fork to be over. A fork waits for less than that itself, and the system
/// needs time to copy the process.
const MAX_WAIT_FOR_FORK: Duration = Duration::from_secs(10);

/// The interval at which a thread that waits checks again.
const POLL_INTERVAL: Duration = Duration::from_micros(50);

/// The number of section counters. Threads use different ones, so that they do not wait for each other's caches.
const SHARDS: usize = 16;

/// The numbers of sections, by thread.
static SECTIONS: [SectionCount; SHARDS] = [const { SectionCount(AtomicU32::new(0)) }; SHARDS];

/// The number of sections of the threads that share this count.
#[repr(align(64))]
struct SectionCount(AtomicU32);

/// The number of threads that are forking.
static FORKING: AtomicU32 = AtomicU32::new(0);

/// The number of forks that have begun.
static FORKS: AtomicU32 = AtomicU32::new(0);

/// The value of [`FORKS`] when a section last began during a fork. No other section waits for that fork.
static GIVEN_UP: AtomicU32 = AtomicU32::new(0);

/// Returns `true` while sections have to wait for a fork.
fn must_wait_for_fork() -> bool {
    FORKING.load(Ordering::SeqCst) != 0
        && FORKS.load(Ordering::Relaxed) != GIVEN_UP.load(Ordering::Relaxed)
}

/// The number of names that are being looked up.
static LOOKUPS: AtomicU32 = AtomicU32::new(0);

/// `true` if the parent was looking up a name when this process was forked.
static LOOKUP_IS_BLOCKED: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// The number of sections that this thread is in, one inside another.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// Work that a fork waits for: a fork does not happen while another thread is inside a section.
///
/// Sections of one thread nest.
#[must_use = "it ends when this is dropped"]
pub(crate) struct NoForkSection {
    /// The count of this section. `None` for a section inside another, which is not counted.
    shard: Option<&'static SectionCount>,
    /// A section ends on the thread on which it began.
    _not_send: PhantomData<*const ()>,
}

impl NoForkSection {
    /// Begins a section on this thread. Waits while another thread forks, unless this thread is in a section already.
    pub(crate) fn enter() -> Self {
        let _not_send = PhantomData;
        let first = DEPTH.try_with(|depth| {
            let outer = depth.get();
            depth.set(outer + 1);
            (outer == 0).then(|| shard(depth))
        });
        let shard = first.ok().flatten();
        if let Some(shard) = shard {
            shard.begin();
        }
        Self { shard, _not_send }
    }
}

impl Drop for NoForkSection {
    fn drop(&mut self) {
        if let Some(shard) = self.shard {
            // Release: the thread that forks sees the writes of the section.
            shard.0.fetch_sub(1, Ordering::Release);
        }
        let _ = DEPTH.try_with(|depth| depth.set(depth.get().saturating_sub(1)));
    }
}

/// Returns the count for the thread whose depth is at this address.
fn shard(depth: &Cell<u32>) -> &'static SectionCount {
    let page = std::ptr::from_ref(depth).addr() >> 12;
    &SECTIONS[page % SHARDS]
}

impl SectionCount {
    /// Begins a section, once no thread forks.
    #[inline]
    fn begin(&self) {
        // Before the load: either the forking thread sees this section, or this thread sees the fork (both are
        // SeqCst).
        self.0.fetch_add(1, Ordering::SeqCst);
        if FORKING.load(Ordering::SeqCst) != 0 {
            self.begin_during_fork();
        }
    }

    /// Begins a section once the fork is over, or when it has been waited for long enough.
    #[cold]
    fn begin_during_fork(&self) {
        let deadline = Instant::now() + MAX_WAIT_FOR_FORK;
        loop {
            self.0.fetch_sub(1, Ordering::Release);
            while must_wait_for_fork() && Instant::now() < deadline {
                thread::sleep(POLL_INTERVAL);
            }
            self.0.fetch_add(1, Ordering::SeqCst);
            if !must_wait_for_fork() {
                return;
            }
            if Instant::now() >= deadline {
                GIVEN_UP.store(FORKS.load(Ordering::Relaxed), Ordering::Relaxed);
                return;
            }
        }
    }
}

/// Runs code that takes the lock of the crate `backtrace`, perhaps for a long time. Returns `None` in a process in
/// which that lock is never released: see [`is_lookup_blocked`].
///
/// The crate lets a thread that holds its lock take it again. So an allocator that `run` calls must not come here: it
/// would use tables that are being changed. Lookups of names prevent that by [`is_reentrant`](super::is_reentrant).
pub(crate) fn look_up_names<R>(run: impl FnOnce() -> R) -> Option<R> {
    struct LookupCount;

    impl Drop for LookupCount {
        fn drop(&mut self) {
            LOOKUPS.fetch_sub(1, Ordering::Release);
        }
    }

    if is_lookup_blocked() {
        return None;
    }
    let _guard = ReentrancyGuard::enter();
    let _section = NoForkSection::enter();
    LOOKUPS.fetch_add(1, Ordering::SeqCst);
    let _lookup_count = LookupCount;
    Some(run())
}

/// Returns `true` if this process was forked while its parent was looking up names. Then a lookup would wait forever.
pub(crate) fn is_lookup_blocked() -> bool {
    LOOKUP_IS_BLOCKED.load(Ordering::Relaxed)
}

/// Waits until no other thread is in a section, and keeps new sections from beginning. Called on the thread that is
/// about to fork.
pub(crate) fn before() {
    // Before `FORKING`, so that no section takes this fork for one that was given up.
    FORKS.fetch_add(1, Ordering::Relaxed);
    FORKING.fetch_add(1, Ordering::SeqCst);
    let own = DEPTH.try_with(Cell::get).unwrap_or(0).min(1);
    let sections = || -> u32 {
        let counts = SECTIONS.iter().map(|shard| shard.0.load(Ordering::SeqCst));
        counts.sum()
    };
    let start = Instant::now();
    loop {
        let others = sections().saturating_sub(own);
        let patience = match others <= LOOKUPS.load(Ordering::SeqCst) {
            true => MAX_WAIT_FOR_LOOKUPS,
            false => MAX_WAIT_FOR_SECTIONS,
        };
        if others == 0 || start.elapsed() >= patience {
            return;
        }
        thread::sleep(POLL_INTERVAL);
    }
}

/// Lets sections begin again, in the parent after a fork.
pub(crate) fn after_in_parent() {
    FORKING.fetch_sub(1, Ordering::SeqCst);
}

/// Forgets the sections of threads that do not exist in the child of a fork.
pub(crate) fn after_in_child() {
    if LOOKUPS.swap(0, Ordering::Relaxed) != 0 {
        LOOKUP_IS_BLOCKED.store(true, Ordering::Relaxed);
    }
    for shard in &SECTIONS {
        shard.0.store(0, Ordering::Relaxed);
    }
    let _ = DEPTH.try_with(|depth| {
        if depth.get() != 0 {
            shard(depth).0.store(1, Ordering::Relaxed);
        }
    });
    FORKING.store(0, Ordering::SeqCst);
}

/// Returns the value of a cell, which is initialised if it is empty.
///
/// Each thread that finds the cell empty makes a value of its own, and stores it in a section. No thread waits for
/// another to make it, because an allocator that is called meanwhile may need the value as well.
pub(crate) fn get_or_init<T>(cell: &OnceLock<T>, make: impl FnOnce() -> T) -> &T {
    if let Some(value) = cell.get() {
        return value;
    }
    let new_value = make();
    let section = NoForkSection::enter();
    let unused = cell.set(new_value);
    drop(section);
    drop(unused);
    cell.get_or_init(|| unreachable!("it was set above"))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn depth() -> u32 {
        DEPTH.with(Cell::get)
    }

    #[test]
    fn sections_nest() {
        assert_eq!(depth(), 0);
        let outer = NoForkSection::enter();
        let inner = NoForkSection::enter();
        assert!(outer.shard.is_some() && inner.shard.is_none());
        assert_eq!(depth(), 2);
        drop(inner);
        drop(outer);
        assert_eq!(depth(), 0);
    }

    #[test]
    fn a_fork_waits_for_the_sections_of_others() {
        static IS_OVER: AtomicBool = AtomicBool::new(false);

        let (begin, begun) = mpsc::channel();
        let other = thread::spawn(move || {
            let section = NoForkSection::enter();
            begin.send(()).unwrap();
            while FORKING.load(Ordering::SeqCst) == 0 {
                thread::sleep(POLL_INTERVAL);
            }
            IS_OVER.store(true, Ordering::SeqCst);
            drop(section);
        });
        begun.recv().unwrap();
        // The fork does not wait for the section of its own thread.
        let _own = NoForkSection::enter();
        before();
        after_in_parent();
        assert!(IS_OVER.load(Ordering::SeqCst));
        other.join().unwrap();
    }
}
