//! An executor of tokio's that has one thread, and no others.

use std::future::Future;
use std::os::unix::thread::JoinHandleExt as _;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use crate::stopwatch;

/// Runs until it is dropped.
pub struct Executor {
    handle: Handle,
    clock: libc::clockid_t,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Executor {
    /// Starts it.
    ///
    /// # Panics
    ///
    /// If there can be no such thread.
    pub fn start() -> Self {
        let runtime = Builder::new_current_thread().build();
        let runtime = runtime.expect("a runtime without drivers needs nothing");
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            let _ = runtime.block_on(stopped);
        });
        let mut clock = 0;
        // SAFETY: the thread has not been joined, and `clock` is a place for the answer.
        let failed = unsafe { libc::pthread_getcpuclockid(thread.as_pthread_t(), &raw mut clock) };
        assert_eq!(failed, 0, "threads have clocks");
        Self {
            handle,
            clock,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// Spawns tasks, and returns when all have been polled.
    pub fn fill<F>(&self, tasks: impl Iterator<Item = F>) -> Tasks<'_>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let tasks = tasks.map(|task| self.handle.spawn(task).abort_handle());
        let tasks = tasks.collect();
        self.settle();
        Tasks(self, tasks)
    }

    /// Runs something as a task, and waits for what it returns.
    ///
    /// # Panics
    ///
    /// If it does.
    pub fn run<T: Send + 'static>(&self, task: impl Future<Output = T> + Send + 'static) -> T {
        let (send, receive) = mpsc::channel();
        self.handle.spawn(async move { send.send(task.await) });
        receive.recv().expect("it does not panic")
    }

    /// Waits until everything that has been woken by now has been polled.
    pub fn settle(&self) {
        // Tasks wait in two queues, for those that were woken here and elsewhere.
        self.run(async {
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
        });
    }

    /// How long the thread has been running on a processor.
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

/// Tasks that end when this is dropped.
pub struct Tasks<'a>(&'a Executor, Vec<AbortHandle>);

impl Drop for Tasks<'_> {
    fn drop(&mut self) {
        self.1.iter().for_each(AbortHandle::abort);
        self.0.settle();
    }
}
