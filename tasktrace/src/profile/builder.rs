//! What to profile, and for how long.

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use super::sampler::{Outcome, Sampler};
use super::{Profile, ProfileSource, Progress};
use crate::os;
use crate::sync::{Arc, Mutex, lock};
use crate::task::promise;

/// Less often than this nobody could be told from who waits for a moment.
const SHORTEST: Duration = Duration::from_millis(1);

/// The least share of a core: samples have to be taken at some time.
const LEAST_CPU: f64 = 0.0001;

/// Samples all tasks for a while, and adds up where time is waited: a builder.
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
/// | it does | unless told otherwise |
/// |---|---|
/// | take a sample | [`every`](Self::every) 10 ms |
/// | take samples | for 10 seconds: [`lasting`](Self::lasting) |
/// | look at the live frames, and poll nothing | [`captures`](Self::captures) |
/// | take no more than 1 % of a core | [`max_cpu`](Self::max_cpu) |
#[must_use = "nothing is sampled until it is run"]
pub struct ProfileBuilder {
    every: Duration,
    lasting: Duration,
    source: ProfileSource,
    max_cpu: f64,
    on_sample: Option<Callback>,
}

pub(super) type Callback = Box<dyn FnMut(&Progress) + Send>;

/// Samples all tasks for a while, and adds up where time is *waited*: the profile of what a program does
/// when it does nothing.
///
/// Profilers of the processor see the functions that run. What makes a request slow in an async program
/// is most often what does not run: it waits for a lock, for a connection out of a pool, for somebody
/// else's answer. Each sample looks at where each task is, and adds the time since the last sample to the
/// stack that the task waits with.
///
/// See [`ProfileBuilder`] for what can be set, and [`Profile`] for what comes of it.
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
    /// How often to take a sample: not more often than a thousand times a second.
    ///
    /// It is done less often where it would cost too much: see [`max_cpu`](Self::max_cpu).
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

    /// For how long to take samples.
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

    /// Looks at the live frames, as a [`snapshot`](crate::snapshot) does: the tasks and the `#[traced]`
    /// functions in them. Nothing is polled. This is what is done if nothing is said.
    ///
    /// ```
    /// let builder = tasktrace::profile().snapshots();
    /// # let _ = builder;
    /// ```
    pub fn snapshots(mut self) -> Self {
        self.source = ProfileSource::Snapshots;
        self
    }

    /// Asks each task, as a [`dump`](crate::dump()) does, which leads to the lines and the resources that
    /// are waited for, also through functions that are not `#[traced]`.
    ///
    /// That polls each task at each sample. It does no harm, but it is work for the executor: take
    /// samples less often, such as ten times a second.
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

    /// How much of one core the samples may cost: 0.01, a hundredth, unless it is said here.
    ///
    /// The cost is measured: the time that the processor spends on taking samples, and on recording the
    /// stacks of the tasks that are asked. Where samples cost more, some of those that are due are
    /// skipped, and [`Profile::skipped`] says how many. Where there are very many tasks, a sample looks at
    /// some of them, and [`Profile::portion`] says how many. The polls of tasks that are asked do not count:
    /// what these do is up to them.
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

    /// Calls this after each sample, on the thread that takes them. The time it takes does not count as
    /// a cost. If it panics, so does [`run`](Self::run).
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

    /// Takes the samples on the calling thread, and returns when the time is over.
    ///
    /// Not for threads that an executor needs: these use [`run`](Self::run).
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
            Outcome::GoOn
        })
    }

    /// Takes the samples on a thread of its own, so it does not matter on which executor it is awaited.
    ///
    /// Should the system have no more threads, no sample is taken, and all are skipped.
    ///
    /// # Cancel safety
    ///
    /// The future can be dropped at any time. The thread then ends.
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
            let without_thread = sampler.nothing();
            // It is dropped with this future, which the thread sees.
            let (_is_awaited, hangs_up) = mpsc::channel::<()>();
            let (giver, answer) = promise();
            let result = Arc::new(Mutex::new(None));
            let spawned = os::thread::spawn("tasktrace-profile", {
                let result = Arc::clone(&result);
                move || {
                    let run = || {
                        sampler.run(|time| match hangs_up.recv_timeout(time) {
                            Err(RecvTimeoutError::Timeout) => Outcome::GoOn,
                            Ok(()) | Err(RecvTimeoutError::Disconnected) => Outcome::Stop,
                        })
                    };
                    let outcome = catch_unwind(AssertUnwindSafe(run));
                    *lock(&result) = Some(outcome);
                    giver.give(Ok(()));
                }
            });
            if spawned.is_err() {
                return without_thread;
            }
            // Cloned at each poll: so it is a leaf of the task that waits.
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
        // One sample at least.
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
