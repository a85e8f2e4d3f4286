//! Helpers that the tests in `tests/` share.

pub mod by_hand;
pub mod http;
pub mod probe;
pub mod sampled;

use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use tasktrace::{Frame, Trace};
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio::task::LocalSet;

/// A duration that is longer than any test takes.
pub const HOUR: Duration = Duration::from_secs(3600);

/// Returns a runtime with one thread.
///
/// # Panics
///
/// If the system cannot start it.
#[must_use]
pub fn current_thread() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder
        .enable_all()
        .build()
        .expect("a runtime can be built")
}

/// Returns a runtime with two threads.
///
/// # Panics
///
/// If the system cannot start it.
#[must_use]
pub fn multi_thread() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let builder = builder.worker_threads(2).enable_all();
    builder.build().expect("a runtime can be built")
}

/// Returns the processor time of the calling thread, which other threads do not add to. Where the system does not tell it,
/// returns the time since the first call.
#[must_use]
pub fn thread_time() -> Duration {
    #[cfg(unix)]
    {
        let mut time = std::mem::MaybeUninit::<libc::timespec>::uninit();
        // SAFETY: `clock_gettime` writes a `timespec` to a pointer that is valid for writes of one.
        let failed =
            unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, time.as_mut_ptr()) };
        assert_eq!(failed, 0, "the system has clocks of threads");
        // SAFETY: the call succeeded, so `time` is initialised.
        let time = unsafe { time.assume_init() };
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    }
    #[cfg(not(unix))]
    {
        static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
        START.get_or_init(std::time::Instant::now).elapsed()
    }
}

/// Runs `test` on each kind of runtime.
pub fn on_each<F: Future<Output = ()>>(test: impl Fn() -> F) {
    current_thread().block_on(test());
    multi_thread().block_on(test());
    current_thread().block_on(LocalSet::new().run_until(test()));
}

/// The line at which a future is about to wait.
///
/// The future calls [`next`](Self::next) right before it waits, so that a test need not sleep until the future might
/// have come there.
#[derive(Clone, Default)]
pub struct AwaitPoint {
    line: Rc<Cell<u32>>,
    arrived: Rc<Notify>,
}

impl AwaitPoint {
    /// Stores the next line. To be called with `line!()` on the line before the `.await`.
    pub fn next(&self, line: u32) {
        self.line.set(line + 1);
        self.arrived.notify_one();
    }

    /// Returns the line of the `.await`.
    #[must_use]
    pub fn line(&self) -> u32 {
        self.line.get()
    }
}

/// Runs a future on a current-thread runtime until it has called [`AwaitPoint::next`]. Returns a trace of it, and the
/// line of the `.await`.
pub fn trace_of<F: Future + 'static>(body: impl FnOnce(AwaitPoint) -> F) -> (Trace, u32) {
    let (mut traces, line) = traces_of(body, 1);
    (traces.remove(0), line)
}

/// Like [`trace_of`], with several traces taken one after the other.
pub fn traces_of<F: Future + 'static>(
    body: impl FnOnce(AwaitPoint) -> F,
    count: usize,
) -> (Vec<Trace>, u32) {
    let at = AwaitPoint::default();
    let (future, handle) = tasktrace::traced(body(at.clone()));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be built");
    let traces = tokio::task::LocalSet::new().block_on(&runtime, async {
        let task = tokio::task::spawn_local(future);
        at.arrived.notified().await;
        let mut traces = Vec::new();
        for _ in 0..count {
            traces.push(handle.backtrace().await.expect("the task waits"));
        }
        task.abort();
        traces
    });
    // Some leaves occupy threads of the runtime.
    runtime.shutdown_background();
    (traces, at.line())
}

/// Asserts that the trace of `body` has one frame, at the line that `body` noted, with `resource` as its only leaf.
#[track_caller]
pub fn waits_for<F: Future + 'static>(body: impl FnOnce(AwaitPoint) -> F, resource: &str) {
    waits_for_all(body, &[resource]);
}

/// Like [`waits_for`], with several leaves.
#[track_caller]
pub fn waits_for_all<F: Future + 'static>(body: impl FnOnce(AwaitPoint) -> F, resources: &[&str]) {
    let function = name_of(&body);
    let (trace, line) = trace_of(body);
    let [frame] = trace.frames() else {
        panic!("not one root:\n{trace}\n{trace:#}");
    };
    assert_eq!(frame.name(), function, "\n{trace}\n{trace:#}");
    assert_eq!(frame.line(), Some(line), "\n{trace}\n{trace:#}");
    assert!(
        frame.file().is_some_and(|file| !file.starts_with('/')),
        "\n{trace}\n{trace:#}"
    );
    let leaves: Vec<_> = trace.leaves().iter().map(|leaf| leaf.name()).collect();
    assert_eq!(leaves, resources, "\n{trace}\n{trace:#}");
    assert_eq!(frame.children().len(), leaves.len(), "\n{trace}\n{trace:#}");
    for leaf in frame.children() {
        assert!(is_in_dependency(leaf), "\n{trace}\n{trace:#}");
    }
}

/// Returns the path of a function, as traces show it.
pub fn name_of<F>(_function: &F) -> &'static str {
    std::any::type_name::<F>()
}

/// Returns `true` if the frame's file is shown as `package-1.2.3/src/…`.
fn is_in_dependency(frame: &Frame) -> bool {
    let in_package = |file: &str| {
        let (package, rest) = file.split_once('/')?;
        let (_, version) = package.rsplit_once('-')?;
        Some(rest.starts_with("src/") && version.starts_with(|c: char| c.is_ascii_digit()))
    };
    frame.file().and_then(in_package) == Some(true)
}

/// Returns a line for each frame, indented by its depth: `name:line`, without the line for frames of dependencies.
#[must_use]
pub fn outline(trace: &Trace) -> String {
    fn frames(frames: &[Frame], depth: usize, out: &mut String) {
        for frame in frames {
            out.push_str(&"  ".repeat(depth));
            out.push_str(frame.name());
            if let Some(line) = frame.line()
                && !is_in_dependency(frame)
            {
                out.push_str(&format!(":{line}"));
            }
            out.push('\n');
            frames_below(frame, depth, out);
        }
    }
    fn frames_below(frame: &Frame, depth: usize, out: &mut String) {
        frames(frame.children(), depth + 1, out);
    }
    let mut out = String::new();
    frames(trace.frames(), 0, &mut out);
    out
}

/// Tests the code of the README, like that of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;

/// Tests the code of the page about services.
#[cfg(doctest)]
#[doc = include_str!("../../tasktrace/docs/services.md")]
pub struct Services;

/// Tests the code of the attributes' documentation.
#[cfg(doctest)]
pub mod attributes {
    #[doc = include_str!("../../tasktrace-macros/docs/traced.md")]
    pub struct Traced;
    #[doc = include_str!("../../tasktrace-macros/docs/main.md")]
    pub struct Main;
    #[doc = include_str!("../../tasktrace-macros/docs/test.md")]
    pub struct Test;
}
