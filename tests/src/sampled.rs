//! Helpers for tests of tasks that are in the middle of a poll when they are dumped.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};

use tasktrace::{Dump, Frame, Source, TaskDump, TaskId, TaskState, Trace, TraceError};

pub use crate::by_hand::LONG;

/// A budget for dumps of tasks that answer or can be interrupted, also on a busy machine.
pub const BUDGET: Duration = Duration::from_secs(2);

/// A budget of a dump that interrupts threads after one millisecond.
pub const SHORT: Duration = Duration::from_millis(8);

/// The output of a scenario that cannot be run, because the system does not suspend the parent of a `vfork`.
pub const NOT_SUSPENDED: &str =
    "not run: here, the child of a `vfork` does not run in place of its parent";

/// Set when a test has failed. Then no function blocks any longer, so that the test can end.
static HAS_FAILED: AtomicBool = AtomicBool::new(false);

/// Returns a lock that keeps other tests out, so that dumps have only the tasks of the calling test.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            report(panic);
            HAS_FAILED.store(true, Ordering::Relaxed);
        }));
    });
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    HAS_FAILED.store(false, Ordering::Relaxed);
    alone
}

/// The line at which a function is about to block, and a flag that ends its loop.
#[derive(Clone, Default)]
pub struct Site {
    line: Arc<AtomicU32>,
    is_over: Arc<AtomicBool>,
}

impl Site {
    /// Stores the next line. To be called with `line!()` on the line before the one that blocks.
    pub fn next(&self, line: u32) {
        self.line.store(line + 1, Ordering::SeqCst);
    }

    /// Returns the line that blocks, or 0 before the first call of [`next`](Self::next).
    #[must_use]
    pub fn line(&self) -> u32 {
        self.line.load(Ordering::SeqCst)
    }

    /// Returns `true` if a loop that blocks has to end.
    #[inline(always)]
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed) || HAS_FAILED.load(Ordering::Relaxed)
    }

    /// Ends the loops.
    pub fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// Takes dumps until `matches` returns `true` for the task.
///
/// A function can only announce that it is about to block, so the first dumps may be too early.
///
/// # Panics
///
/// If no dump matches within minutes.
#[track_caller]
pub fn dump_until(id: TaskId, matches: impl Fn(&TaskDump) -> bool) -> Dump {
    let start = Instant::now();
    loop {
        let dump = tasktrace::dump_blocking(BUDGET);
        if dump.get(id).is_some_and(&matches) {
            return dump;
        }
        assert!(start.elapsed() < LONG, "no dump matches:\n{dump:#}");
    }
}

/// Takes dumps until one has a sample of the task with a leaf that matches, and returns that sample.
#[track_caller]
pub fn sample_until(id: TaskId, matches: impl Fn(&Frame) -> bool) -> TaskDump {
    let matches =
        |task: &TaskDump| is_sample(task) && task.trace().leaves().into_iter().any(&matches);
    dump_until(id, matches)
        .get(id)
        .expect("the dump lists the task")
        .clone()
}

/// Returns `true` if the task was interrupted for its stack.
#[must_use]
pub fn is_sample(task: &TaskDump) -> bool {
    *task.source() == Source::Sample && matches!(task.state(), TaskState::Running(_))
}

/// Returns the reason why the task has no stack.
#[must_use]
pub fn error(task: &TaskDump) -> Option<&TraceError> {
    match task.source() {
        Source::Snapshot { error } => error.as_ref(),
        _ => None,
    }
}

/// Returns the frames of a trace with a single leaf, from the outside in.
///
/// # Panics
///
/// If the trace has several leaves.
#[track_caller]
#[must_use]
pub fn path(trace: &Trace) -> Vec<&Frame> {
    let mut path = Vec::new();
    let mut frames = trace.frames();
    while let [frame] = frames {
        path.push(frame);
        frames = frame.children();
    }
    assert!(frames.is_empty(), "the trace branches:\n{trace}\n{trace:#}");
    path
}

/// Returns the last segments of the names, with the labels: `serve "one" > (read
///
/// write > send)`.
#[must_use]
pub fn short(trace: &Trace) -> String {
    // The trees are shallow, so recursion is safe.
    fn all(frames: &[Frame]) -> String {
        let one = |frame: &Frame| {
            let mut text = frame
                .name()
                .rsplit("::")
                .next()
                .unwrap_or_default()
                .to_owned();
            if let Some(label) = frame.label() {
                text.push_str(&format!(" {label:?}"));
            }
            if !frame.children().is_empty() {
                text.push_str(" > ");
                text.push_str(&all(frame.children()));
            }
            text
        };
        match frames {
            [frame] => one(frame),
            frames => format!(
                "({})",
                frames.iter().map(one).collect::<Vec<_>>().join(" | ")
            ),
        }
    }
    all(trace.frames())
}

/// Returns the number by which the system knows the calling thread.
///
/// # Panics
///
/// On systems other than Linux and Windows.
#[must_use]
pub fn thread_id() -> u64 {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: `gettid` takes no arguments and always succeeds.
        u64::try_from(unsafe { libc::gettid() }).expect("thread numbers are positive")
    }
    #[cfg(windows)]
    {
        #[link(name = "kernel32")]
        unsafe extern "system" {
            safe fn GetCurrentThreadId() -> u32;
        }

        GetCurrentThreadId().into()
    }
    #[cfg(not(any(target_os = "linux", windows)))]
    panic!("the system has no such number")
}
