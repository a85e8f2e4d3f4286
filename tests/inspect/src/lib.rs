//! Code that the tests of the feature `inspect` share.

#[path = "../../src/schema.rs"]
pub mod schema;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tasktrace::Dump;
use tasktrace::inspect::{Frame, Inspection, Task};
use tokio::runtime::{Builder, Runtime};

/// A long time.
pub const HOUR: Duration = Duration::from_secs(3600);

/// Returns a runtime with one worker.
#[must_use]
pub fn runtime() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().unwrap()
}

/// Returns a lock for tests that see all tasks of the process, and therefore run one at a time.
pub fn one_at_a_time() -> MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::new(());
    LOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the number of the line that ends with a mark, in the text of a source file.
#[must_use]
pub fn line(source: &str, mark: &str) -> u64 {
    let mark = format!("// {mark}");
    let line = source.lines().position(|line| line.ends_with(&mark));
    1 + line.unwrap_or_else(|| panic!("no line with {mark}")) as u64
}

/// Takes dumps until the debug info has been read, and a condition holds for what was read from memory.
#[must_use]
pub fn dump_until(condition: impl Fn(&Inspection) -> bool) -> Dump {
    let begun = Instant::now();
    loop {
        let dump = tasktrace::dump_blocking(Duration::from_secs(10));
        if dump.inspected().is_some_and(&condition) {
            return dump;
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "{dump}");
    }
}

/// Returns the names and lines of a tree, one for each frame: `  shop::restock @ 31`.
#[must_use]
pub fn tree(task: &Task) -> Vec<String> {
    fn add(frames: &[Frame], indent: &str, out: &mut Vec<String>) {
        for frame in frames {
            let is_own = frame
                .file
                .as_deref()
                .is_some_and(|file| !file.contains("tokio-"));
            out.push(match frame.line.filter(|_| is_own) {
                Some(line) => format!("{indent}{} @ {line}", frame.name),
                None => format!("{indent}{}", frame.name),
            });
            add(&frame.children, &format!("{indent}  "), out);
        }
    }
    let mut lines = Vec::new();
    add(&task.frames, "", &mut lines);
    lines
}
