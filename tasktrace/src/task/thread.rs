//! Assigns indices to the threads that poll tasks. A task header stores the index, from which a reader gets the name of
//! the thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::left_behind;
use super::poll_state::{MAX_THREADS, NO_FAST_PATH, PollState};
use super::thread_state::ThreadState;
use crate::capture::{self, StateAddress};
use crate::os;
use crate::os::signal_stack::SignalStack;
use crate::sync::LockedMap;

/// Identifies a running thread that has polled a task. Never 0; reused after sixteen million threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ThreadIndex(pub(crate) u32);

/// The name and the id of a thread that has polled a task.
#[derive(Clone, Debug)]
pub(crate) struct ThreadInfo {
    pub(crate) name: Option<Arc<str>>,
    /// The id that the operating system gave the thread, or the index where that is not available.
    pub(crate) id: u64,
    /// `true` if the thread has a stack for a signal handler, so it can be interrupted.
    pub(crate) has_signal_stack: bool,
    /// The address of the [`ThreadState`] of the thread.
    pub(super) state: StateAddress,
}

/// The number of indices that were assigned.
static ASSIGNED: AtomicU32 = AtomicU32::new(0);

/// In a child of `fork`, the id that the operating system gave the thread that forked.
static FORKED_ID: AtomicU64 = AtomicU64::new(0);

/// The threads that have polled a task and have not ended, by their indices.
static THREADS: LockedMap<u32, ThreadInfo> = LockedMap::new();

/// The entry of a thread in [`THREADS`], which is removed when the thread ends.
struct RegisteredThread {
    index: u32,
    state: StateAddress,
    /// The stack of the signal handler. It is unmapped after the entry was removed.
    _signal_stack: Option<SignalStack>,
}

impl Drop for RegisteredThread {
    fn drop(&mut self) {
        // Until here, another thread may read the state while it suspends this one, and the state is alive: a native
        // thread-local without a destructor lives until the thread has ended. A thread-local with a key, as on
        // `windows-gnu`, is destroyed after those with younger keys. The key of `REGISTERED` is younger than that of
        // the state, because `assign` is called with the state and only then uses `REGISTERED`.
        self.state.clear();
        drop(THREADS.remove(&self.index));
        ThreadState::with((), |thread_state| thread_state.fast_path.set(NO_FAST_PATH));
    }
}

thread_local! {
    static REGISTERED: RegisteredThread = register();
}

impl ThreadIndex {
    /// Returns the index of the calling thread. `None` while the thread ends.
    #[inline]
    pub(crate) fn current() -> Option<Self> {
        Self::of(ThreadState::get()?)
    }

    /// Returns the index of the calling thread, whose state is `thread_state`. `None` while the thread ends.
    #[inline]
    pub(super) fn of(thread_state: &ThreadState) -> Option<Self> {
        match thread_state.fast_path.get() {
            NO_FAST_PATH => Self::assign(thread_state),
            fast_path => Some(Self(PollState::thread_of(fast_path))),
        }
    }

    /// Assigns an index to the calling thread.
    #[cold]
    fn assign(thread_state: &ThreadState) -> Option<Self> {
        let register = |registered: &RegisteredThread| {
            registered
                .state
                .set(std::ptr::from_ref(thread_state).cast());
            registered.index
        };
        let index = REGISTERED.try_with(register).ok()?;
        thread_state.fast_path.set(PollState::fast_path(index));
        Some(Self(index))
    }

    /// Returns the name and the id of the thread. `None` if it has ended, or exists only in the parent process.
    pub(crate) fn info(self) -> Option<ThreadInfo> {
        if left_behind::is_left_behind(self.0) {
            return None;
        }
        let info = THREADS.get(&self.0)?;
        Some(ThreadInfo {
            id: os_id(self.0, &info),
            ..info
        })
    }
}

/// Returns the id that the operating system gave the thread. The thread that forked has another id in the child.
fn os_id(index: u32, info: &ThreadInfo) -> u64 {
    match left_behind::is_forked(index) {
        true => FORKED_ID.load(Ordering::Relaxed),
        false => info.id,
    }
}

/// Returns the last index that was assigned, or 0 if none was.
pub(super) fn last() -> u32 {
    match ASSIGNED.load(Ordering::Relaxed) {
        0 => 0,
        next => (next - 1) % MAX_THREADS + 1,
    }
}

/// Notes the new id of the thread that forked, in the child, before the child has a second thread.
pub(super) fn reset_in_child() {
    FORKED_ID.store(os::thread::id().unwrap_or(0), Ordering::Relaxed);
}

/// Registers the calling thread.
fn register() -> RegisteredThread {
    let name: Option<Arc<str>> = os::thread::name().map(Arc::from);
    let signal_stack = capture::install_handler_stack();
    let state = StateAddress::default();
    loop {
        let last = ASSIGNED.fetch_add(1, Ordering::Relaxed);
        let index = last % MAX_THREADS + 1;
        let info = ThreadInfo {
            name: name.clone(),
            id: os::thread::id().unwrap_or(u64::from(index)),
            has_signal_stack: signal_stack.is_some(),
            state: state.clone(),
        };
        // This fails if a thread still has this index, sixteen million threads later.
        if THREADS.insert(index, info).is_ok() {
            return RegisteredThread {
                index,
                state,
                _signal_stack: signal_stack,
            };
        }
    }
}
