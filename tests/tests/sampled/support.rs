//! Threads that poll one task, and repeated samples of them.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use tasktrace::{TaskDump, TaskId, TraceHandle};
use tasktrace_tests::sampled::{BUDGET, LONG, SHORT, Site, is_sample};

/// A thread that polls one task until it is finished.
pub(crate) struct Poller<T> {
    pub(crate) handle: TraceHandle,
    thread: JoinHandle<T>,
}

impl<T: Send + 'static> Poller<T> {
    pub(crate) fn new<F>(future: F) -> Self
    where
        F: Future<Output = T> + Send + 'static,
    {
        Self::with_stack(2 << 20, future)
    }

    /// Creates a thread with a stack of `stack` bytes.
    pub(crate) fn with_stack<F>(stack: usize, future: F) -> Self
    where
        F: Future<Output = T> + Send + 'static,
    {
        let (task, handle) = tasktrace::traced(future);
        let thread = std::thread::Builder::new()
            .name("poller".into())
            .stack_size(stack)
            .spawn(|| futures::executor::block_on(task))
            .expect("the thread can be started");
        Self { handle, thread }
    }

    pub(crate) fn id(&self) -> TaskId {
        self.handle.id()
    }

    #[track_caller]
    pub(crate) fn join(self) -> T {
        match self.thread.join() {
            Ok(output) => output,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

/// Sleeps repeatedly until the site is over.
pub(crate) fn sleep(site: &Site) {
    while !site.is_over() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// Returns `times`, or fewer in an emulator, where a sample takes a tenth of a second.
#[cfg_attr(windows, allow(dead_code, reason = "for tests of signals"))]
pub(crate) fn affordable(times: usize) -> usize {
    if !is_slow() {
        return times;
    }
    let fewer = times / 20;
    println!("{fewer} samples instead of {times}, because they take long here");
    fewer
}

/// Returns `true` if the system is Linux and lacks `process_vm_readv`, as emulators do.
pub(crate) fn is_slow() -> bool {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: without ranges, the call reads and writes nothing.
        let result = unsafe {
            libc::process_vm_readv(libc::getpid(), std::ptr::null(), 0, std::ptr::null(), 0, 0)
        };
        result != 0
    }
    #[cfg(not(target_os = "linux"))]
    false
}

/// Samples a task on several threads until `matches` was `true` for that many samples.
///
/// All samples together take as long as the machine needs. Only each thread's wait for the next sample is limited.
#[track_caller]
#[cfg_attr(windows, expect(dead_code, reason = "for tests of signals"))]
pub(crate) fn sample_often(id: TaskId, times: usize, matches: impl Fn(&TaskDump) -> bool + Sync) {
    let seen = AtomicUsize::new(0);
    // In an emulator, the shorter budget is over before any thread was interrupted.
    let budget = if is_slow() { BUDGET } else { SHORT };
    let sample = || {
        let mut known = seen.load(Ordering::Relaxed);
        let mut last = Instant::now();
        while known < times {
            let dump = tasktrace::dump_blocking(budget);
            let task = dump.get(id).expect("the task is alive");
            if is_sample(task) && matches(task) {
                seen.fetch_add(1, Ordering::Relaxed);
            }
            let now = seen.load(Ordering::Relaxed);
            if now != known {
                (known, last) = (now, Instant::now());
            }
            assert!(last.elapsed() < LONG, "{known} times:\n{dump:#}");
        }
    };
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(sample);
        }
    });
}
