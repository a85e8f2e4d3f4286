//! Registers the running tests.

use std::cell::RefCell;
use std::fmt;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::Duration;

use super::limit::Limit;
use super::timer;
use crate::origin::{FrameMeta, Origin};
use crate::os;
use crate::os::time::Instant;
use crate::runtime::{RuntimeHandle, RuntimeId};
use crate::sync::{
    LockedMap, StaticCondvar as Condvar, StaticMutex as Mutex, StaticMutexGuard as MutexGuard,
};
use crate::task::{ThreadIndex, TraceHandle};

/// A test that is running.
pub(crate) struct Test {
    number: u64,
    pub(super) origin: Origin,
    pub(super) expects: Expects,
    /// The system's id of the thread that called the function of the test, or 0 if it is unknown.
    pub(super) thread_id: u64,
    /// The index of that thread, which the tasks that it polls record. 0 if it is unknown.
    pub(super) thread_index: u32,
    pub(super) begun: Instant,
    pub(super) limit: Option<Duration>,
    /// `true` if there is a report for the body to panic with.
    has_report: AtomicBool,
    state: Mutex<TestState>,
    changed: Condvar,
}

#[derive(Default)]
pub(super) struct TestState {
    /// The task of the body, once it was polled.
    pub(super) body: Option<TraceHandle>,
    pub(super) runtime: Option<RuntimeId>,
    pub(super) body_has_ended: bool,
    /// `true` if the function of the test returns after its limit.
    pub(super) is_late: bool,
    /// Panics with a message, at the location of the test.
    pub(super) fail: Option<fn(String) -> !>,
    /// The report that the body will panic with. The body takes it when it does.
    report: Option<String>,
    /// `true` if the panic hook has printed the report to stderr, past the test runner.
    pub(super) is_report_printed: bool,
    /// The messages of its panics, and the error that it returned.
    output: String,
    /// `true` if the body has returned a failure.
    has_failed: bool,
    /// `true` if the last panic has the expected message.
    is_expected: bool,
    is_over: bool,
}

/// The way in which a test must end to pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expects {
    /// The function returns.
    Return,
    /// The function panics: `#[should_panic]`.
    AnyPanic,
    /// The function panics with a message that contains this text: `#[should_panic(expected = "…")]`.
    Panic(&'static str),
}

/// The thread that panicked in a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PanicThread {
    /// The thread of the test.
    Own,
    /// Another thread, which polls a task of the test.
    Task,
}

/// The running tests, by number.
static TESTS: LockedMap<u64, Arc<Test>> = LockedMap::new();

thread_local! {
    /// The test whose function runs on this thread.
    static CURRENT: RefCell<Option<Arc<Test>>> = const { RefCell::new(None) };
}

/// Returns the running tests, in the order in which they began.
pub(super) fn all() -> Vec<Arc<Test>> {
    let mut tests = TESTS.values();
    tests.sort_unstable_by_key(|test| test.number);
    tests
}

/// Returns the test whose body is polled by the current runtime of this thread.
pub(super) fn of_current_runtime() -> Option<Arc<Test>> {
    let runtime = RuntimeHandle::current().as_ref().map(RuntimeHandle::id);
    let mut tests = all().into_iter();
    tests.find(|test| runtime.is_some() && test.state().runtime == runtime)
}

/// The registration of a test, from the call of its function until the function returns. This includes the time to
/// build the runtime and to shut it down.
#[must_use = "the test is over when this is dropped"]
pub struct RunningTest {
    test: Arc<Test>,
    outer: Option<Arc<Test>>,
}

impl RunningTest {
    /// Registers a test on this thread.
    pub fn new(meta: &'static FrameMeta, limit: Limit) -> Self {
        Self::begin(meta, limit, Expects::Return)
    }

    /// Registers a test on this thread that must panic.
    pub fn panicking(meta: &'static FrameMeta, limit: Limit) -> Self {
        Self::begin(meta, limit, Expects::AnyPanic)
    }

    /// Registers a test on this thread that must panic with a message that contains `message`.
    pub fn expecting(meta: &'static FrameMeta, limit: Limit, message: &'static str) -> Self {
        Self::begin(meta, limit, Expects::Panic(message))
    }

    fn begin(meta: &'static FrameMeta, limit: Limit, expects: Expects) -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        crate::watch::panic::install_for_tests();
        crate::watch::signal::start_for_tests();
        let test = Arc::new(Test {
            number: LAST.fetch_add(1, Ordering::Relaxed),
            origin: Origin::Function(meta),
            expects,
            thread_id: os::thread::id().unwrap_or(0),
            thread_index: ThreadIndex::current().map_or(0, |thread_index| thread_index.0),
            begun: Instant::now(),
            limit: limit.duration(),
            has_report: AtomicBool::new(false),
            state: Mutex::new(TestState::default()),
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
            outer: set.unwrap_or_default(),
        }
    }
}

impl Drop for RunningTest {
    fn drop(&mut self) {
        let outer = self.outer.take();
        let _ = CURRENT.try_with(|current| current.replace(outer));
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
            // The test passes by panicking, and the panic may be the hang report. (If the test names the expected
            // message, it may expect the report.)
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
            // The report has the location of the test, so the message needs no stack.
            crate::watch::panic::without_stack(|| match fail {
                Some(fail) => fail(report),
                None => panic!("{report}"),
            });
        }
    }
}

/// The test that runs on a thread, if there is one.
#[derive(Clone)]
pub struct CurrentTest(pub(super) Option<Arc<Test>>);

impl CurrentTest {
    /// Returns the test that runs on this thread.
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

    /// Returns the number that distinguishes the test from all others of the process.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn state(&self) -> MutexGuard<'_, TestState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state under the lock and wakes the waiting threads. `change` must not allocate or free memory, so it
    /// returns replaced values to the caller.
    pub(super) fn change<R>(&self, change: impl FnOnce(&mut TestState) -> R) -> R {
        let before = change(&mut self.state());
        self.changed.notify_all();
        before
    }

    /// Waits until a condition holds, for at most `longest`. Returns `true` if it holds.
    fn wait_until(&self, condition: impl Fn(&TestState) -> bool, longest: Duration) -> bool {
        let deadline = os::deadline(longest);
        let mut state = self.state();
        loop {
            if condition(&state) {
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

    /// Makes the test fail with a report at the next poll of its body, and wakes the body.
    pub(super) fn fail_with(&self, report: String) {
        drop(self.change(|state| state.report.replace(report)));
        self.has_report.store(true, Ordering::Release);
        let body = self.state().body.clone();
        if let Some(body) = body {
            body.probe();
        }
    }

    /// Takes the report that the body must panic with, if there is one.
    #[inline]
    pub(super) fn take_report(&self) -> Option<String> {
        if !self.has_report.load(Ordering::Acquire) {
            return None;
        }
        self.change(|state| state.report.take())
    }

    /// Keeps the text of a panic of the test.
    ///
    /// The panic hook calls this after it has printed the message.
    pub(super) fn note_panic(&self, message: Option<&str>, text: String, thread: PanicThread) {
        if thread == PanicThread::Own && self.has_hung() && super::failed::is_printed() {
            self.change(|state| state.is_report_printed = state.report.is_none());
        }
        if let Expects::Panic(expected) = self.expects {
            let has = message.is_some_and(|message| message.contains(expected));
            self.change(|state| {
                // If the panic of a task is passed on, it is the panic of the test, and the hook does not see that. So
                // a panic of a task does not reset the flag.
                state.is_expected = has || state.is_expected && thread == PanicThread::Task;
            });
        }
        self.keep(text);
    }

    /// Keeps the text of the failure that the body has returned.
    pub(super) fn note_failure(&self, text: String) {
        self.change(|state| state.has_failed = true);
        self.keep(text);
    }

    /// Appends to the output of the test. If the output becomes too long, only the new text is kept.
    fn keep(&self, mut text: String) {
        while !text.is_empty() {
            let mut output = self.change(|state| mem::take(&mut state.output));
            if output.len() + text.len() > super::failed::MAX_LENGTH {
                output = "…\n".to_owned();
            }
            if !output.is_empty() {
                output.push('\n');
            }
            output.push_str(&text);
            // If another thread added text meanwhile, the loop appends that text as well.
            text = self.change(|state| mem::replace(&mut state.output, output));
        }
    }

    /// Returns the output of the test if the test has failed. Called on the thread of the test when its function ends.
    fn failure(&self) -> Option<String> {
        let (mut output, has_failed, is_expected) = self.change(|state| {
            let output = mem::take(&mut state.output);
            (output, state.has_failed, state.is_expected)
        });
        let has_panicked = thread::panicking();
        let why = match self.expects {
            Expects::Return if has_panicked => match output.as_str() {
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
        output.push_str(&why);
        Some(output)
    }

    /// Returns the report of a test that ends without a panic after its limit. Waits for the thread that makes the
    /// report.
    fn report_if_late(&self) -> Option<String> {
        let limit = self.limit.filter(|limit| self.begun.elapsed() >= *limit)?;
        self.change(|state| state.is_late = true);
        self.wait_until(
            |state| state.report.is_some(),
            super::expired::TIME_TO_REPORT,
        );
        let report = self.change(|state| state.report.take());
        Some(report.unwrap_or_else(|| {
            format!(
                "test {} took longer than its limit of {limit:?}",
                self.name()
            )
        }))
    }

    /// Returns `true` if the test was given a report, which means that it has hung.
    pub(super) fn has_hung(&self) -> bool {
        self.has_report.load(Ordering::Acquire)
    }

    /// Waits until the report was taken or the test has ended. Returns `true` if one of them happened within `longest`.
    pub(super) fn wait_until_taken(&self, longest: Duration) -> bool {
        self.wait_until(|state| state.report.is_none() || state.is_over, longest)
    }

    /// Waits until the function of the test returns after its limit, or has returned.
    pub(super) fn wait_until_late(&self, longest: Duration) {
        self.wait_until(|state| state.is_late || state.is_over, longest);
    }

    /// Waits until the function of the test has returned. Returns `true` if it returned within `longest`.
    pub(super) fn wait_until_over(&self, longest: Duration) -> bool {
        self.wait_until(|state| state.is_over, longest)
    }

    pub(super) fn is_over(&self) -> bool {
        self.state().is_over
    }
}

impl fmt::Debug for RunningTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.test.origin.fmt(f)
    }
}

impl fmt::Debug for CurrentTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map(|test| test.origin).fmt(f)
    }
}
