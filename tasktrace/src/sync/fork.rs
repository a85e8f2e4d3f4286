//! Nothing of ours is in the middle of anything when the process is forked.
//!
//! A child of `fork` has one thread, and a copy of everything else as it was at that moment: a lock that another
//! thread had stays locked for ever, and what it protects may be half done. So what another thread must not be in
//! the middle of is a [`Section`]. A fork [waits](before) until there is none but those of the thread that forks, and keeps
//! others from beginning meanwhile. All of our [locks](super::mutex) are sections, and so is
//! whatever is made once, and whatever takes a lock of the loader's or of the crate `backtrace`'s.
//!
//! Sections are short, and no foreign code runs in one. All the same no thread waits for ever: a fork that has waited for
//! [`PATIENCE`] goes on, and so does a thread that has [waited](PATIENCE_WITH_FORKS) for a fork. Looking up names can take
//! long. The child of a fork which did not wait for it [looks up none](are_names_lost). For a fork that takes longer than
//! sections wait, as it does where a handler of the program blocks it, only the first of them wait.

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::Inside;

/// How long a fork waits for sections to end. Those are short, but their threads need a processor.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long it waits if names are being looked up, and there are no other sections.
const PATIENCE_WITH_NAMES: Duration = Duration::from_millis(200);

/// How long a section waits for a fork to be over: for longer than that waits, and as the system needs to copy the
/// process.
const PATIENCE_WITH_FORKS: Duration = Duration::from_secs(10);

const PAUSE: Duration = Duration::from_micros(50);

/// Threads count what they are in at different places, so that they do not wait for each other's caches.
const SHARDS: usize = 16;

/// The sections that there are, by thread.
static SECTIONS: [Shard; SHARDS] = [const { Shard(AtomicU32::new(0)) }; SHARDS];

#[repr(align(64))]
struct Shard(AtomicU32);

/// How many threads are forking.
static FORKING: AtomicU32 = AtomicU32::new(0);

/// How many forks have begun.
static FORKS: AtomicU32 = AtomicU32::new(0);

/// The value of [`FORKS`] when a section last went on during a fork: no other waits for that one.
static GIVEN_UP: AtomicU32 = AtomicU32::new(0);

/// Returns `true` while sections wait for a fork.
fn is_waited_for() -> bool {
    FORKING.load(Ordering::SeqCst) != 0
        && FORKS.load(Ordering::Relaxed) != GIVEN_UP.load(Ordering::Relaxed)
}

/// How many names are being looked up.
static LOOKING_UP: AtomicU32 = AtomicU32::new(0);

/// The parent was looking up a name when this process was forked.
static NAMES_ARE_LOST: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// How many sections this thread is in, one in another.
    static INSIDE: Cell<u32> = const { Cell::new(0) };
}

/// Work that a fork waits for: a fork does not happen while another thread is inside a section.
///
/// Sections of one thread nest.
#[must_use = "it ends when this is dropped"]
pub(crate) struct Section {
    shard: Option<&'static Shard>,
    /// It ends on the thread that it began on.
    of_thread: PhantomData<*const ()>,
}

impl Section {
    /// Begins a section on this thread. Waits while another thread forks, unless this thread is in a section already.
    pub(crate) fn enter() -> Self {
        let of_thread = PhantomData;
        let first = INSIDE.try_with(|inside| {
            let outer = inside.get();
            inside.set(outer + 1);
            (outer == 0).then(|| shard(inside))
        });
        let shard = first.ok().flatten();
        if let Some(shard) = shard {
            shard.begin();
        }
        Self { shard, of_thread }
    }
}

impl Drop for Section {
    fn drop(&mut self) {
        if let Some(shard) = self.shard {
            // Release: the thread that forks sees the writes of the section.
            shard.0.fetch_sub(1, Ordering::Release);
        }
        let _ = INSIDE.try_with(|inside| inside.set(inside.get().saturating_sub(1)));
    }
}

/// Returns the shard of the thread whose count is at this address.
fn shard(inside: &Cell<u32>) -> &'static Shard {
    let page = std::ptr::from_ref(inside).addr() >> 12;
    &SECTIONS[page % SHARDS]
}

impl Shard {
    /// Begins a section, once no thread forks.
    #[inline]
    fn begin(&self) {
        // Before the load: either the forking thread sees this section, or this thread sees the fork (both SeqCst).
        self.0.fetch_add(1, Ordering::SeqCst);
        if FORKING.load(Ordering::SeqCst) != 0 {
            self.begin_after_fork();
        }
    }

    #[cold]
    fn begin_after_fork(&self) {
        let deadline = Instant::now() + PATIENCE_WITH_FORKS;
        loop {
            self.0.fetch_sub(1, Ordering::Release);
            while is_waited_for() && Instant::now() < deadline {
                thread::sleep(PAUSE);
            }
            self.0.fetch_add(1, Ordering::SeqCst);
            if !is_waited_for() {
                return;
            }
            if Instant::now() >= deadline {
                GIVEN_UP.store(FORKS.load(Ordering::Relaxed), Ordering::Relaxed);
                return;
            }
        }
    }
}

/// Runs code that takes the lock of the crate `backtrace`, perhaps for long. Returns `None` in a process that never gets
/// that lock.
///
/// The crate lets the thread that has its lock take it again. So an allocator that `run` calls must not come here: it
/// would use tables that are being changed. Looking up names heeds [`is_inside`](super::is_inside).
pub(crate) fn look_up<R>(run: impl FnOnce() -> R) -> Option<R> {
    struct LookUp;

    impl Drop for LookUp {
        fn drop(&mut self) {
            LOOKING_UP.fetch_sub(1, Ordering::Release);
        }
    }

    if are_names_lost() {
        return None;
    }
    let _inside = Inside::enter();
    let _section = Section::enter();
    LOOKING_UP.fetch_add(1, Ordering::SeqCst);
    let _look_up = LookUp;
    Some(run())
}

/// Returns `true` if this process was forked while its parent was looking up names, and would wait for ever to look up
/// one of its own.
pub(crate) fn are_names_lost() -> bool {
    NAMES_ARE_LOST.load(Ordering::Relaxed)
}

/// Waits, on the thread that is about to fork, until no other thread is in a section, and keeps new ones out.
pub(crate) fn before() {
    // Before it is seen that a thread forks, so that this fork is not taken for one that was given up.
    FORKS.fetch_add(1, Ordering::Relaxed);
    FORKING.fetch_add(1, Ordering::SeqCst);
    let own = INSIDE.try_with(Cell::get).unwrap_or(0).min(1);
    let sections = || -> u32 {
        let counts = SECTIONS.iter().map(|shard| shard.0.load(Ordering::SeqCst));
        counts.sum()
    };
    let start = Instant::now();
    loop {
        let others = sections().saturating_sub(own);
        let patience = match others <= LOOKING_UP.load(Ordering::SeqCst) {
            true => PATIENCE_WITH_NAMES,
            false => PATIENCE,
        };
        if others == 0 || start.elapsed() >= patience {
            return;
        }
        thread::sleep(PAUSE);
    }
}

/// Lets sections begin again, in the parent after a fork.
pub(crate) fn after_in_parent() {
    FORKING.fetch_sub(1, Ordering::SeqCst);
}

/// Forgets the sections of threads that do not exist in the child of a fork.
pub(crate) fn after_in_child() {
    if LOOKING_UP.swap(0, Ordering::Relaxed) != 0 {
        NAMES_ARE_LOST.store(true, Ordering::Relaxed);
    }
    for shard in &SECTIONS {
        shard.0.store(0, Ordering::Relaxed);
    }
    let _ = INSIDE.try_with(|inside| {
        if inside.get() != 0 {
            shard(inside).0.store(1, Ordering::Relaxed);
        }
    });
    FORKING.store(0, Ordering::SeqCst);
}

/// The value of a cell. If there is none yet, it is made by each thread that needs it, and put there in a section: no thread
/// waits while it is made, because an allocator that is called meanwhile may need it as well.
pub(crate) fn get_or_init<T>(cell: &OnceLock<T>, make: impl FnOnce() -> T) -> &T {
    if let Some(value) = cell.get() {
        return value;
    }
    let made = make();
    let section = Section::enter();
    let unneeded = cell.set(made);
    drop(section);
    drop(unneeded);
    cell.get_or_init(|| unreachable!("it was set above"))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn inside() -> u32 {
        INSIDE.with(Cell::get)
    }

    #[test]
    fn sections_nest() {
        assert_eq!(inside(), 0);
        let outer = Section::enter();
        let inner = Section::enter();
        assert!(outer.shard.is_some() && inner.shard.is_none());
        assert_eq!(inside(), 2);
        drop(inner);
        drop(outer);
        assert_eq!(inside(), 0);
    }

    #[test]
    fn a_fork_waits_for_the_sections_of_others() {
        static IS_OVER: AtomicBool = AtomicBool::new(false);

        let (begin, begun) = mpsc::channel();
        let other = thread::spawn(move || {
            let section = Section::enter();
            begin.send(()).unwrap();
            while FORKING.load(Ordering::SeqCst) == 0 {
                thread::sleep(PAUSE);
            }
            IS_OVER.store(true, Ordering::SeqCst);
            drop(section);
        });
        begun.recv().unwrap();
        // That of this thread is not waited for.
        let _own = Section::enter();
        before();
        after_in_parent();
        assert!(IS_OVER.load(Ordering::SeqCst));
        other.join().unwrap();
    }
}
