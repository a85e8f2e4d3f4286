//! Which tests run.

use std::cell::RefCell;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::limit::Limit;
use super::timer;
use crate::host::Runtime;
use crate::origin::{FrameMeta, Origin};
use crate::os;
use crate::sync::{
    Map, StaticCondvar as Condvar, StaticMutex as Mutex, StaticMutexGuard as MutexGuard,
};
use crate::task::{Token, TraceHandle};

/// A test that is running.
pub(crate) struct Test {
    number: u64,
    pub(super) origin: Origin,
    /// What is to fail if it panics: then a panic would make the test pass.
    pub(super) should_panic: bool,
    /// What the system calls the thread that its function was called on. 0 if that is not known.
    pub(super) thread_id: u64,
    /// What tasks that it polls have noted of it. 0 if that is not known.
    pub(super) token: u32,
    pub(super) begun: Instant,
    pub(super) limit: Option<Duration>,
    /// Whether there is a report to fail with.
    has_report: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
pub(super) struct State {
    /// The task that its body is, once that has been polled.
    pub(super) body: Option<TraceHandle>,
    pub(super) runtime: Option<Runtime>,
    pub(super) body_has_ended: bool,
    /// Its function returns after its limit.
    pub(super) is_late: bool,
    /// Panics with a message, at the place of the test.
    pub(super) fail: Option<fn(String) -> !>,
    /// What the test is to fail with. Taken when it does.
    report: Option<String>,
    is_over: bool,
}

/// The tests that are running, by their numbers.
static TESTS: Map<u64, Arc<Test>> = Map::new();

thread_local! {
    /// The test whose function was called on this thread.
    static CURRENT: RefCell<Option<Arc<Test>>> = const { RefCell::new(None) };
}

/// The tests that are running, in the order in which they began.
pub(super) fn all() -> Vec<Arc<Test>> {
    let mut tests = TESTS.values();
    tests.sort_unstable_by_key(|test| test.number);
    tests
}

/// A test, from when its function is called to when that returns: with the time that it takes to make
/// its runtime, and to shut that down.
#[must_use = "the test is over when this is dropped"]
pub struct Running {
    test: Arc<Test>,
    around: Option<Arc<Test>>,
}

impl Running {
    /// A test begins on this thread.
    pub fn new(meta: &'static FrameMeta, limit: Limit) -> Self {
        Self::begin(meta, limit, false)
    }

    /// A test begins on this thread that is to panic.
    pub fn panicking(meta: &'static FrameMeta, limit: Limit) -> Self {
        Self::begin(meta, limit, true)
    }

    fn begin(meta: &'static FrameMeta, limit: Limit, should_panic: bool) -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        crate::watch::panic::in_tests();
        crate::watch::signal::in_tests();
        let test = Arc::new(Test {
            number: LAST.fetch_add(1, Ordering::Relaxed),
            origin: Origin::Function(meta),
            should_panic,
            thread_id: os::thread::id().unwrap_or(0),
            token: Token::current().map_or(0, |token| token.0),
            begun: Instant::now(),
            limit: limit.duration(),
            has_report: AtomicBool::new(false),
            state: Mutex::new(State::default()),
            changed: Condvar::new(),
        });
        let before = TESTS.replace(test.number, Arc::clone(&test));
        debug_assert!(before.is_none(), "each has a number of its own");
        if let Some(limit) = test.limit {
            timer::add(Arc::clone(&test), limit);
        }
        let set = CURRENT.try_with(|current| current.replace(Some(Arc::clone(&test))));
        Self {
            test,
            around: set.unwrap_or_default(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let around = self.around.take();
        let _ = CURRENT.try_with(|current| current.replace(around));
        drop(TESTS.remove(&self.test.number));
        let was_in_time = timer::remove(&self.test);
        let late = match was_in_time || thread::panicking() || self.test.should_panic {
            true => None,
            false => self.test.report_if_late(),
        };
        if thread::panicking() {
            if self.test.should_panic {
                super::expired::end_if_hung(&self.test);
            } else if let Some(text) = crate::watch::panic::take_kept() {
                super::failed::add(self.test.name(), text);
            }
        }
        let fail = self.test.change(|state| {
            state.is_over = true;
            state.fail
        });
        if let Some(report) = late {
            // It says where the test is, and more.
            crate::watch::panic::without_stack(|| match fail {
                Some(fail) => fail(report),
                None => panic!("{report}"),
            });
        }
    }
}

/// The test that is running on a thread, if there is one.
#[derive(Clone)]
pub struct Current(pub(super) Option<Arc<Test>>);

impl Current {
    /// The one on this thread.
    #[must_use]
    pub fn get() -> Self {
        let current = CURRENT.try_with(|current| current.borrow().clone());
        Self(current.unwrap_or_default())
    }
}

impl Test {
    pub(super) fn name(&self) -> &'static str {
        self.origin.path()
    }

    /// Tells tests apart that run at the same time.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes it while it is locked: nothing may be allocated or freed for that. What it replaces is returned.
    pub(super) fn change<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let before = change(&mut self.state());
        self.changed.notify_all();
        before
    }

    /// Waits for something to be so. Whether it is.
    fn wait_until(&self, is_so: impl Fn(&State) -> bool, longest: Duration) -> bool {
        let deadline = os::deadline(longest);
        let mut state = self.state();
        loop {
            if is_so(&state) {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let wait = self.changed.wait_timeout(state, left);
            state = wait.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Has the test fail with a report, at the next poll of its body.
    pub(super) fn fail_with(&self, report: String) {
        drop(self.change(|state| state.report.replace(report)));
        self.has_report.store(true, Ordering::Release);
        let body = self.state().body.clone();
        if let Some(body) = body {
            body.probe();
        }
    }

    /// What the test is to fail with.
    #[inline]
    pub(super) fn take_report(&self) -> Option<String> {
        if !self.has_report.load(Ordering::Acquire) {
            return None;
        }
        self.change(|state| state.report.take())
    }

    /// What a test is to fail with that ends without a panic, if it took longer than its limit: the thread that looks at
    /// its tasks is waited for.
    fn report_if_late(&self) -> Option<String> {
        let limit = self.limit.filter(|limit| self.begun.elapsed() >= *limit)?;
        self.change(|state| state.is_late = true);
        self.wait_until(|state| state.report.is_some(), super::expired::TO_REPORT);
        let report = self.change(|state| state.report.take());
        Some(report.unwrap_or_else(|| {
            format!(
                "test {} took longer than its limit of {limit:?}",
                self.name()
            )
        }))
    }

    /// Whether it has had a report to fail with.
    pub(super) fn has_hung(&self) -> bool {
        self.has_report.load(Ordering::Acquire)
    }

    /// Waits until the report has been taken. Whether it has.
    pub(super) fn wait_until_taken(&self, longest: Duration) -> bool {
        self.wait_until(|state| state.report.is_none() || state.is_over, longest)
    }

    /// Waits until the function of the test returns after its limit, or has returned.
    pub(super) fn wait_until_late(&self, longest: Duration) {
        self.wait_until(|state| state.is_late || state.is_over, longest);
    }

    /// Waits until the function of the test has returned. Whether it has.
    pub(super) fn wait_until_over(&self, longest: Duration) -> bool {
        self.wait_until(|state| state.is_over, longest)
    }

    pub(super) fn is_over(&self) -> bool {
        self.state().is_over
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.test.origin.fmt(f)
    }
}

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map(|test| test.origin).fmt(f)
    }
}
