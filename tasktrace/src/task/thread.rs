//! Which thread polls: a number in the task's record, from which a reader gets the thread's name.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::fork;
use super::local::Local;
use super::turn::{MOST_THREADS, NEVER, Turn};
use crate::capture;
use crate::os;
use crate::os::signal_stack::SignalStack;
use crate::sync::Map;

/// Identifies a thread that has polled a task, as long as it runs. Not 0. It is not that of another thread
/// before sixteen millions have had one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Token(pub(crate) u32);

/// What is told of a thread.
#[derive(Clone, Debug)]
pub(crate) struct Info {
    pub(crate) name: Option<Arc<str>>,
    /// The number that the operating system gave it, where we can ask.
    pub(crate) id: u64,
    /// The thread has room for a signal handler, so it can be interrupted.
    pub(crate) has_room: bool,
}

/// The number of tokens that were given.
static LAST: AtomicU32 = AtomicU32::new(0);

/// In a child of `fork`, the system's number of the thread that forked.
static FORKED_ID: AtomicU64 = AtomicU64::new(0);

/// The threads that have polled a task and still run.
static THREADS: Map<u32, Info> = Map::new();

/// Forgets the thread when it ends.
struct Registered {
    token: u32,
    /// The stack of the signal handler. It is unmapped after the thread was forgotten.
    _room: Option<SignalStack>,
}

impl Drop for Registered {
    fn drop(&mut self) {
        drop(THREADS.remove(&self.token));
        Local::with((), |local| local.usual.set(NEVER));
    }
}

thread_local! {
    static REGISTERED: Registered = register();
}

impl Token {
    /// Of the thread that calls. `None` when it is being taken down.
    #[inline]
    pub(crate) fn current() -> Option<Self> {
        Self::of(Local::get()?)
    }

    /// Of the thread that calls, which has this.
    #[inline]
    pub(super) fn of(local: &Local) -> Option<Self> {
        match local.usual.get() {
            NEVER => Self::first(local),
            usual => Some(Self(Turn::thread_in(usual))),
        }
    }

    #[cold]
    fn first(local: &Local) -> Option<Self> {
        let token = REGISTERED.try_with(|registered| registered.token).ok()?;
        local.usual.set(Turn::usual(token));
        Some(Self(token))
    }

    pub(crate) fn info(self) -> Option<Info> {
        if fork::is_left_behind(self.0) {
            return None;
        }
        let info = THREADS.get(&self.0)?;
        Some(Info {
            id: number(self.0, &info),
            ..info
        })
    }
}

/// The number that the system knows the thread by. The one that forked has another one in the child.
fn number(token: u32, info: &Info) -> u64 {
    match fork::is_forked(token) {
        true => FORKED_ID.load(Ordering::Relaxed),
        false => info.id,
    }
}

/// The last token that was given to a thread. 0 if none was.
pub(super) fn last() -> u32 {
    match LAST.load(Ordering::Relaxed) {
        0 => 0,
        next => (next - 1) % MOST_THREADS + 1,
    }
}

/// This process is a child, and this is the thread that forked. Called before there is another.
pub(super) fn forked() {
    FORKED_ID.store(os::thread::id().unwrap_or(0), Ordering::Relaxed);
}

fn register() -> Registered {
    let name: Option<Arc<str>> = std::thread::current().name().map(Arc::from);
    let room = capture::make_room();
    loop {
        let last = LAST.fetch_add(1, Ordering::Relaxed);
        let token = last % MOST_THREADS + 1;
        let info = Info {
            name: name.clone(),
            id: os::thread::id().unwrap_or(u64::from(token)),
            has_room: room.is_some(),
        };
        // Unless a thread has it still.
        if THREADS.insert(token, info).is_ok() {
            return Registered { token, _room: room };
        }
    }
}
