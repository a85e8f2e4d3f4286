//! Which tests run.

use std::cell::RefCell;
use std::fmt;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::limit::Limit;
use super::timer;
use crate::host::{Host, Runtime};
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
    pub(super) expects: Expects,
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
    /// The texts of its panics, and of the error that it returned.
    said: String,
    /// Its body has returned a failure.
    has_failed: bool,
    /// Its last panic has the message that is expected.
    is_expected: bool,
    is_over: bool,
}

/// How a test ends that passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expects {
    /// Its function returns.
    Return,
    /// It panics: `#[should_panic]`.
    AnyPanic,
    /// It panics with a message that contains this text: `#[should_panic(expected = "…")]`.
    Panic(&'static str),
}

/// Where a panic of a test is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// On its thread.
    Own,
    /// In a task that another thread polls.
    Task,
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

/// The test whose body is polled by the runtime that this thread is in.
pub(super) fn of_runtime() -> Option<Arc<Test>> {
    let runtime = Host::current().as_ref().map(Host::runtime);
    let mut tests = all().into_iter();
    tests.find(|test| runtime.is_some() && test.state().runtime == runtime)
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
        Self::begin(meta, limit, Expects::Return)
    }

    /// A test begins on this thread that is to panic.
    pub fn panicking(meta: &'static FrameMeta, limit: Limit) -> Self {
        Self::begin(meta, limit, Expects::AnyPanic)
    }

    /// A test begins on this thread that is to panic with a message that contains this text.
    pub fn expecting(meta: &'static FrameMeta, limit: Limit, message: &'static str) -> Self {
        Self::begin(meta, limit, Expects::Panic(message))
    }

    fn begin(meta: &'static FrameMeta, limit: Limit, expects: Expects) -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        crate::watch::panic::in_tests();
        crate::watch::signal::in_tests();
        let test = Arc::new(Test {
            number: LAST.fetch_add(1, Ordering::Relaxed),
            origin: Origin::Function(meta),
            expects,
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
        let may_fail = !thread::panicking() && self.test.expects != Expects::AnyPanic;
        let late = match !was_in_time && may_fail {
            true => self.test.report_if_late(),
            false => None,
        };
        match self.test.failure() {
            _ if late.is_some() => {}
            Some(text) => super::failed::add(self.test.name(), text),
            // It passes, by a panic that may be the report. A test that names its message may expect the report.
            None if self.test.expects == Expects::AnyPanic => {
                super::expired::end_if_hung(&self.test);
            }
            None => {}
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

    /// Keeps the text of a panic of the test.
    pub(super) fn note_panic(&self, message: Option<&str>, text: String, whose: Whose) {
        if let Expects::Panic(expected) = self.expects {
            let has = message.is_some_and(|message| message.contains(expected));
            self.change(|state| {
                // The panic of a task is that of the test if it is passed on, which the hook does not see.
                state.is_expected = has || state.is_expected && whose == Whose::Task;
            });
        }
        self.keep(text);
    }

    /// Keeps the text of the failure that the body has returned.
    pub(super) fn note_failure(&self, text: String) {
        self.change(|state| state.has_failed = true);
        self.keep(text);
    }

    /// Adds to what the test has said. The last is what is wanted, if that is too long.
    fn keep(&self, mut text: String) {
        while !text.is_empty() {
            let mut said = self.change(|state| mem::take(&mut state.said));
            if said.len() + text.len() > super::failed::LONGEST {
                said = "…\n".to_owned();
            }
            if !said.is_empty() {
                said.push('\n');
            }
            said.push_str(&text);
            // Another thread may have said something meanwhile.
            text = self.change(|state| mem::replace(&mut state.said, said));
        }
    }

    /// Returns what is to be printed of the test if it has failed. Called on its thread, when its function is left.
    fn failure(&self) -> Option<String> {
        let (mut said, has_failed, is_expected) = self.change(|state| {
            let said = mem::take(&mut state.said);
            (said, state.has_failed, state.is_expected)
        });
        let has_panicked = thread::panicking();
        let why = match self.expects {
            Expects::Return if has_panicked => match said.as_str() {
                // The hook is not called for `resume_unwind`.
                "" => "the test panicked without a message\n".to_owned(),
                _ => String::new(),
            },
            Expects::Return if has_failed => String::new(),
            Expects::AnyPanic | Expects::Panic(_) if !has_panicked => {
                "note: test did not panic as expected\n".to_owned()
            }
            Expects::Panic(expected) if !is_expected => {
                format!("note: panic did not contain expected string: {expected:?}\n")
            }
            _ => return None,
        };
        said.push_str(&why);
        Some(said)
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
