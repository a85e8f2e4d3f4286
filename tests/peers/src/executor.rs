//! Provides a tokio executor that has exactly one thread.

use std::future::Future;
use std::os::unix::thread::JoinHandleExt as _;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use crate::stopwatch;

/// An executor that runs until it is dropped.
pub struct Executor {
    handle: Handle,
    clock: libc::clockid_t,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Executor {
    /// Starts an executor.
    ///
    /// # Panics
    ///
    /// If the system refuses the thread.
    pub fn start() -> Self {
        let runtime = Builder::new_current_thread().build();
        let runtime = runtime.expect("a runtime without drivers needs nothing");
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            let _ = runtime.block_on(stopped);
        });
        let mut clock = 0;
        // SAFETY: the thread has not been joined, so its handle is valid, and `clock` is a local that is valid for
        // writes.
        let failed = unsafe { libc::pthread_getcpuclockid(thread.as_pthread_t(), &raw mut clock) };
        assert_eq!(failed, 0, "threads have clocks");
        Self {
            handle,
            clock,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// Spawns tasks, and returns when all of them have been polled.
    pub fn fill<F>(&self, tasks: impl Iterator<Item = F>) -> Tasks<'_>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let tasks = tasks.map(|task| self.handle.spawn(task).abort_handle());
        let tasks = tasks.collect();
        self.settle();
        Tasks(self, tasks)
    }

    /// Runs a future as a task, and returns its output.
    ///
    /// # Panics
    ///
    /// If the task panics.
    pub fn run<T: Send + 'static>(&self, task: impl Future<Output = T> + Send + 'static) -> T {
        let (send, receive) = mpsc::channel();
        self.handle.spawn(async move { send.send(task.await) });
        receive.recv().expect("it does not panic")
    }

    /// Waits until all tasks that are awake now have been polled.
    pub fn settle(&self) {
        // Tasks that were woken on this thread and on others wait in separate queues.
        self.run(async {
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
        });
    }

    /// Returns the processor time of the executor's thread.
    pub fn busy(&self) -> Duration {
        stopwatch::read(self.clock)
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A set of tasks, which ends its tasks when it is dropped.
pub struct Tasks<'a>(&'a Executor, Vec<AbortHandle>);

impl Drop for Tasks<'_> {
    fn drop(&mut self) {
        self.1.iter().for_each(AbortHandle::abort);
        self.0.settle();
    }
}
