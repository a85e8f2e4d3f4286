//! Which thread polls: a number in the task's record, from which a reader gets the thread's name.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError};

use super::local::Local;
use crate::os;
use crate::sync::{StaticMutex as Mutex, StaticMutexGuard as MutexGuard};

/// Identifies a thread that has polled a task, for the life of the process. Not 0.
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
        Local::with((), |local| local.token.set(0));
    }
}

thread_local! {
    static REGISTERED: Registered = register();
}

impl Token {
    /// Of the thread that calls. `None` when it is being taken down.
    #[inline]
    pub(crate) fn current() -> Option<Self> {
        match Local::with(0, |local| local.token.get()) {
            0 => Self::first(),
            token => Some(Self(token)),
        }
    }

    /// The number of the thread that calls, 0 if it has none yet.
    #[inline]
    pub(super) fn number() -> u32 {
        Local::with(0, |local| local.token.get())
    }

    #[cold]
    fn first() -> Option<Self> {
        let token = REGISTERED.try_with(|registered| registered.0).ok()?;
        Local::with((), |local| local.token.set(token));
        Some(Self(token))
    }

    pub(crate) fn info(self) -> Option<Info> {
        threads().get(&self.0).cloned()
    }
}

fn register() -> Registered {
    static LAST: AtomicU32 = AtomicU32::new(0);
    let token = LAST.fetch_add(1, Ordering::Relaxed).wrapping_add(1).max(1);
    let info = Info {
        name: std::thread::current().name().map(Arc::from),
        id: os::thread::id().unwrap_or(u64::from(token)),
    };
    threads().insert(token, info);
    Registered(token)
}
