//! Which thread polls: a number in the task's record, from which a reader gets the thread's name.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError};

use super::local::Local;
use super::turn::{MOST_THREADS, NEVER, Turn};
use crate::os;
use crate::sync::{StaticMutex as Mutex, StaticMutexGuard as MutexGuard};

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
}

/// The threads that have polled a task and still run.
static THREADS: Mutex<BTreeMap<u32, Info>> = Mutex::new(BTreeMap::new());

fn threads() -> MutexGuard<'static, BTreeMap<u32, Info>> {
    THREADS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Forgets the thread when it ends.
struct Registered(u32);

impl Drop for Registered {
    fn drop(&mut self) {
        threads().remove(&self.0);
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
        let token = REGISTERED.try_with(|registered| registered.0).ok()?;
        local.usual.set(Turn::usual(token));
        Some(Self(token))
    }

    pub(crate) fn info(self) -> Option<Info> {
        threads().get(&self.0).cloned()
    }
}

fn register() -> Registered {
    static LAST: AtomicU32 = AtomicU32::new(0);
    let name = std::thread::current().name().map(Arc::from);
    let mut threads = threads();
    let token = loop {
        let last = LAST.fetch_add(1, Ordering::Relaxed);
        let token = last % MOST_THREADS + 1;
        if !threads.contains_key(&token) {
            break token;
        }
    };
    let id = os::thread::id().unwrap_or(u64::from(token));
    threads.insert(token, Info { name, id });
    Registered(token)
}
