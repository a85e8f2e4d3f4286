//! What the scenarios in `tests/` share.

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

/// Longer than any test takes.
pub const HOUR: Duration = Duration::from_secs(3600);

/// A runtime with one thread.
///
/// # Panics
///
/// If the system refuses it.
#[must_use]
pub fn current_thread() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().expect("it can be built")
}

/// A runtime with two threads.
///
/// # Panics
///
/// If the system refuses it.
#[must_use]
pub fn multi_thread() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let builder = builder.worker_threads(2).enable_all();
    builder.build().expect("it can be built")
}

/// Runs it on every kind of runtime.
pub fn on_each<F: Future<Output = ()>>(test: impl Fn() -> F) {
    current_thread().block_on(test());
    multi_thread().block_on(test());
    current_thread().block_on(LocalSet::new().run_until(test()));
}

/// Where a future is about to wait.
///
/// A future says so right before it does, so nobody has to sleep until it might have come there.
#[derive(Clone, Default)]
pub struct At {
    line: Rc<Cell<u32>>,
    come: Rc<Notify>,
}

impl At {
    /// To be called with `line!()` on the line before the one with the `.await`.
    pub fn next(&self, line: u32) {
        self.line.set(line + 1);
        self.come.notify_one();
    }

    /// The line of the `.await`.
    #[must_use]
    pub fn line(&self) -> u32 {
        self.line.get()
    }
}

/// Runs a future on a current-thread runtime until it waits where it said, and returns a trace of
/// it and the line.
pub fn trace_of<F: Future + 'static>(body: impl FnOnce(At) -> F) -> (Trace, u32) {
    let (mut traces, line) = traces_of(body, 1);
    (traces.remove(0), line)
}

/// As [`trace_of`], with several traces taken one after the other.
pub fn traces_of<F: Future + 'static>(
    body: impl FnOnce(At) -> F,
    count: usize,
) -> (Vec<Trace>, u32) {
    let at = At::default();
    let (future, handle) = tasktrace::traced(body(at.clone()));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be built");
    let traces = tokio::task::LocalSet::new().block_on(&runtime, async {
        let task = tokio::task::spawn_local(future);
        at.come.notified().await;
        let mut traces = Vec::new();
        for _ in 0..count {
            traces.push(handle.backtrace().await.expect("the task waits"));
        }
        task.abort();
        traces
    });
    // Some of what is waited for occupies threads of the runtime.
    runtime.shutdown_background();
    (traces, at.line())
}

/// Asserts that the function waits at the line it said, and for just that.
#[track_caller]
pub fn waits_for<F: Future + 'static>(body: impl FnOnce(At) -> F, resource: &str) {
    waits_for_all(body, &[resource]);
}

/// As [`waits_for`], for several things at once.
#[track_caller]
pub fn waits_for_all<F: Future + 'static>(body: impl FnOnce(At) -> F, resources: &[&str]) {
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

/// The path of a function, as a trace has it.
pub fn name_of<F>(_function: &F) -> &'static str {
    std::any::type_name::<F>()
}

/// Whether it is shown as `package-1.2.3/src/…`.
fn is_in_dependency(frame: &Frame) -> bool {
    let in_package = |file: &str| {
        let (package, rest) = file.split_once('/')?;
        let (_, version) = package.rsplit_once('-')?;
        Some(rest.starts_with("src/") && version.starts_with(|c: char| c.is_ascii_digit()))
    };
    frame.file().and_then(in_package) == Some(true)
}

/// One line for each frame, indented by its depth: `name:line`, without the line for what is not
/// in this package.
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

/// The code in the README is tested like that in the documentation.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;

/// The code in the page about services likewise.
#[cfg(doctest)]
#[doc = include_str!("../../tasktrace/docs/services.md")]
pub struct Services;
