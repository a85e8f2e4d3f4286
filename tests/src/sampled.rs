//! Tasks that are in the middle of a poll when they are dumped.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};

use tasktrace::{Dump, Frame, Source, TaskDump, TaskId, TaskState, Trace, TraceError};

pub use crate::by_hand::LONG;

/// Enough for a dump of tasks that answer or can be interrupted, also on a busy machine.
pub const BUDGET: Duration = Duration::from_secs(2);

/// A dump with this budget waits for a millisecond before it interrupts.
pub const SHORT: Duration = Duration::from_millis(8);

/// Whether a test has failed: then nothing is to block any longer, for the test to come to its end.
static HAS_FAILED: AtomicBool = AtomicBool::new(false);

/// Keeps others out, so that a test has the process to itself, and dumps have nothing but its tasks.
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

/// Where a function is about to block, and whether it may go on.
#[derive(Clone, Default)]
pub struct Site {
    line: Arc<AtomicU32>,
    is_over: Arc<AtomicBool>,
}

impl Site {
    /// To be called with `line!()` on the line before the one that blocks.
    pub fn next(&self, line: u32) {
        self.line.store(line + 1, Ordering::SeqCst);
    }

    /// The line that blocks. 0 before anybody has come there.
    #[must_use]
    pub fn line(&self) -> u32 {
        self.line.load(Ordering::SeqCst)
    }

    /// For what blocks in a loop: whether it is to end.
    #[inline(always)]
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed) || HAS_FAILED.load(Ordering::Relaxed)
    }

    /// Lets it end.
    pub fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// Dumps until the task is seen as it should be.
///
/// What is about to block cannot say that it has. So there may be dumps of what was before.
///
/// # Panics
///
/// If it is not seen within minutes.
#[track_caller]
pub fn dump_until(id: TaskId, is_so: impl Fn(&TaskDump) -> bool) -> Dump {
    let start = Instant::now();
    loop {
        let dump = tasktrace::dump_blocking(BUDGET);
        if dump.get(id).is_some_and(&is_so) {
            return dump;
        }
        assert!(start.elapsed() < LONG, "not as it should be:\n{dump:#}");
    }
}

/// As [`dump_until`] there is a sample of it, which has a leaf that is so.
#[track_caller]
pub fn sample_until(id: TaskId, is_so: impl Fn(&Frame) -> bool) -> TaskDump {
    let is_so = |task: &TaskDump| is_sample(task) && task.trace().leaves().into_iter().any(&is_so);
    dump_until(id, is_so).get(id).expect("it was found").clone()
}

/// Whether it was interrupted for its stack.
#[must_use]
pub fn is_sample(task: &TaskDump) -> bool {
    *task.source() == Source::Sample && matches!(task.state(), TaskState::Running(_))
}

/// Why there is no stack.
#[must_use]
pub fn error(task: &TaskDump) -> Option<&TraceError> {
    match task.source() {
        Source::Snapshot { error } => error.as_ref(),
        _ => None,
    }
}

/// The frames of a trace with a single leaf, from the outside in.
///
/// # Panics
///
/// If it has several.
#[track_caller]
#[must_use]
pub fn path(trace: &Trace) -> Vec<&Frame> {
    let mut path = Vec::new();
    let mut frames = trace.frames();
    while let [frame] = frames {
        path.push(frame);
        frames = frame.children();
    }
    assert!(frames.is_empty(), "it branches:\n{trace}\n{trace:#}");
    path
}

/// The last segments of the names, with the labels: `serve "one" > (read | write > send)`.
#[must_use]
pub fn short(trace: &Trace) -> String {
    // The tests have shallow trees.
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

/// The number that the system knows the calling thread by.
///
/// # Panics
///
/// Never.
#[must_use]
pub fn thread_id() -> u64 {
    // SAFETY: it takes nothing and always succeeds.
    u64::try_from(unsafe { libc::gettid() }).expect("numbers of threads are positive")
}
