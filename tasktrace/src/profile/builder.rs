//! Configures and runs a profile.

use std::fmt;
use std::future::Future;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use super::sampler::Sampler;
use super::{Profile, ProfileSource, Progress};
use crate::os;
use crate::sync::{Arc, Mutex, lock};
use crate::task::oneshot;

/// The shortest interval between two samples.
const SHORTEST: Duration = Duration::from_millis(1);

/// The smallest share of a core that a caller can set. It is not zero, so that samples are still taken.
const LEAST_CPU: f64 = 0.0001;

/// Configures a [`profile`].
///
/// ```
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let (future, _handle) = tasktrace::traced(std::future::pending::<()>());
/// tokio::spawn(future);
///
/// let profile = tasktrace::profile()
///     .every(Duration::from_millis(10))
///     .lasting(Duration::from_millis(100))
///     .run()
///     .await;
/// println!("{profile}");
/// # }
/// ```
///
/// | setting | default |
/// |---|---|
/// | [`every`](Self::every): the interval between samples | 10 ms |
/// | [`lasting`](Self::lasting): the duration of the profile | 10 seconds |
/// | [`snapshots`](Self::snapshots) or [`captures`](Self::captures): the kind of samples | snapshots |
/// | [`max_cpu`](Self::max_cpu): the largest share of a core | 0.01 |
#[must_use = "nothing is sampled until it is run"]
pub struct ProfileBuilder {
    every: Duration,
    lasting: Duration,
    source: ProfileSource,
    max_cpu: f64,
    on_sample: Option<SampleCallback>,
}

pub(super) type SampleCallback = Box<dyn FnMut(&Progress) + Send>;

/// Returns a builder that samples all tasks and adds up where they *wait*.
///
/// A CPU profiler shows the functions that run. In an async program, a slow request is usually slow because of a
/// function that does not run: it waits for a lock, for a connection from a pool, or for an answer. Each sample reads
/// where each task is, and adds the time since the previous sample to the stack of the task.
///
/// [`ProfileBuilder`] has the settings, and [`Profile`] is the result.
///
/// ```
/// use std::time::Duration;
/// use tasktrace::Weight;
///
/// let profile = tasktrace::profile()
///     .lasting(Duration::from_millis(100))
///     .run_blocking();
/// println!("{}", profile.folded(Weight::Waited));
/// ```
pub fn profile() -> ProfileBuilder {
    ProfileBuilder {
        every: Duration::from_millis(10),
        lasting: Duration::from_secs(10),
        source: ProfileSource::Snapshots,
        max_cpu: 0.01,
        on_sample: None,
    }
}

impl ProfileBuilder {
    /// Sets the interval between samples, which is at least one millisecond and at most the duration of the profile.
    /// The default is 10 milliseconds.
    ///
    /// Samples are skipped if they would cost too much: see [`max_cpu`](Self::max_cpu).
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let builder = tasktrace::profile().every(Duration::from_millis(50));
    /// # let _ = builder;
    /// ```
    pub fn every(mut self, interval: Duration) -> Self {
        self.every = interval.max(SHORTEST);
        self
    }

    /// Sets the duration of the profile, which is at least one millisecond. The default is 10 seconds.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let builder = tasktrace::profile().lasting(Duration::from_secs(30));
    /// # let _ = builder;
    /// ```
    pub fn lasting(mut self, duration: Duration) -> Self {
        self.lasting = duration;
        self
    }

    /// Reads the live frames, which are the `#[traced]` functions of each task, as a [`snapshot`](crate::snapshot)
    /// does. No task is polled. This is the default.
    ///
    /// ```
    /// let builder = tasktrace::profile().snapshots();
    /// # let _ = builder;
    /// ```
    pub fn snapshots(mut self) -> Self {
        self.source = ProfileSource::Snapshots;
        self
    }

    /// Captures the trace of each task, as a [`dump`](crate::dump()) does. The profile then has lines, the resources
    /// that tasks wait for, and functions that are not `#[traced]`.
    ///
    /// Each sample polls each task, which is work for the executor. Sample less often, such as ten times a second.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let builder = tasktrace::profile().captures().every(Duration::from_millis(100));
    /// # let _ = builder;
    /// ```
    pub fn captures(mut self) -> Self {
        self.source = ProfileSource::Captures;
        self
    }

    /// Sets the largest share of one core that the samples may cost. The default is 0.01, one hundredth.
    ///
    /// The cost is the measured CPU time of taking the samples and of recording the stacks of captured tasks. It does
    /// not include the rest of the polls of these tasks. If samples cost too much, some are skipped, and
    /// [`Profile::skipped`] counts them. If there are very many tasks, a sample reads only some of them, and
    /// [`Profile::portion`] returns their fraction.
    ///
    /// ```
    /// let builder = tasktrace::profile().max_cpu(0.1);
    /// # let _ = builder;
    /// ```
    pub fn max_cpu(mut self, cores: f64) -> Self {
        self.max_cpu = if cores.is_nan() { LEAST_CPU } else { cores };
        self.max_cpu = self.max_cpu.clamp(LEAST_CPU, 1e6);
        self
    }

    /// Sets a function that is called after each sample, on the thread that takes the samples. Its time does not count
    /// as cost. If it panics, [`run`](Self::run) and [`run_blocking`](Self::run_blocking) panic too.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// tasktrace::profile()
    ///     .lasting(Duration::from_millis(100))
    ///     .on_sample(|progress| println!("{:.0?} of {:.0?}", progress.elapsed(), progress.lasting()))
    ///     .run_blocking();
    /// ```
    pub fn on_sample(mut self, callback: impl FnMut(&Progress) + Send + 'static) -> Self {
        self.on_sample = Some(Box::new(callback));
        self
    }

    /// Takes the samples on the calling thread, and returns the profile when its time is over.
    ///
    /// In async code use [`run`](Self::run), because this blocks the thread.
    ///
    /// # Panics
    ///
    /// Panics if the function of [`on_sample`](Self::on_sample) panics.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let profile = tasktrace::profile()
    ///     .lasting(Duration::from_millis(50))
    ///     .run_blocking();
    /// println!("{} samples", profile.samples());
    /// ```
    pub fn run_blocking(self) -> Profile {
        self.into_sampler().run(|time| {
            thread::sleep(time);
            ControlFlow::Continue(())
        })
    }

    /// Takes the samples on a separate thread, and returns the profile when its time is over. It works on any executor.
    ///
    /// If the system refuses a thread, all samples are skipped.
    ///
    /// # Panics
    ///
    /// Panics if the function of [`on_sample`](Self::on_sample) panics.
    ///
    /// # Cancel safety
    ///
    /// This method is cancel safe. If the future is dropped, the thread ends.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let profile = tasktrace::profile()
    ///     .lasting(Duration::from_millis(50))
    ///     .run()
    ///     .await;
    /// println!("{} samples", profile.samples());
    /// # }
    /// ```
    pub fn run(self) -> impl Future<Output = Profile> + Send {
        let sampler = self.into_sampler();
        async move {
            let without_thread = sampler.empty_profile();
            // If this future is dropped, it drops the sender, and the disconnected channel stops the thread.
            let (_stop_on_drop, stopped) = mpsc::channel::<()>();
            let (sender, answer) = oneshot::channel();
            let result = Arc::new(Mutex::new(None));
            let spawned = os::thread::spawn("tasktrace-profile", {
                let result = Arc::clone(&result);
                move || {
                    let run = || {
                        sampler.run(|time| match stopped.recv_timeout(time) {
                            Err(RecvTimeoutError::Timeout) => ControlFlow::Continue(()),
                            Ok(()) | Err(RecvTimeoutError::Disconnected) => ControlFlow::Break(()),
                        })
                    };
                    let outcome = catch_unwind(AssertUnwindSafe(run));
                    *lock(&result) = Some(outcome);
                    sender.send(Ok(()));
                }
            });
            if spawned.is_err() {
                return without_thread;
            }
            // The waker is cloned at each poll, so that a capture records this wait as a leaf of the calling task.
            let _ = std::future::poll_fn(|cx| answer.poll(cx.waker().clone())).await;
            let outcome = lock(&result).take();
            match outcome {
                Some(Ok(profile)) => profile,
                Some(Err(panic)) => resume_unwind(panic),
                None => without_thread,
            }
        }
    }

    fn into_sampler(self) -> Sampler {
        // The interval is at most the duration, so that at least one sample is due.
        let every = self.every.min(self.lasting.max(SHORTEST));
        Sampler {
            every,
            lasting: self.lasting.max(SHORTEST),
            source: self.source,
            max_cpu: self.max_cpu,
            on_sample: self.on_sample,
        }
    }
}

impl fmt::Debug for ProfileBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProfileBuilder")
            .field("every", &self.every)
            .field("lasting", &self.lasting)
            .field("source", &self.source)
            .field("max_cpu", &self.max_cpu)
            .finish_non_exhaustive()
    }
}
