//! Asking a task for a trace.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::answer::{Answer, Answers, End};
use super::awaited::Awaited;
use super::clock::Moment;
use super::error::{NoAnswer, TraceError};
use super::limited::{self, Limited};
use super::record::Record;
use super::reference::{self, RecordRef};
use super::scope::{self, Scope};
use super::sight::{Executor, Sight};
use super::state::{Running, TaskState};
use super::thread::Token;
use super::waking::{self, Waking};
use super::{TaskId, live};
use crate::capture::{self, LeafKind, RawTrace};
use crate::host::Job;
use crate::origin::Origin;
use crate::sync::{self, Inside};
use crate::trace::Trace;

/// Asks a task where it is waiting.
///
/// A handle comes from [`traced`](crate::traced()) or from [`current`]. Clones ask the same task.
/// It keeps a small record alive, not the future. Until the future is dropped, the record keeps a
/// waker of the task.
#[derive(Clone)]
pub struct TraceHandle {
    task: RecordRef,
}

/// The task that is being polled on this thread: the innermost, if tasks are nested.
///
/// `None` outside of any. It is found in everything that a task calls or awaits, also in the
/// branches of a `select!` or a `join!`, but not in the tasks that it spawns, unless it polls them
/// itself, as with a `LocalSet` or a nested `block_on`.
///
/// ```
/// #[tasktrace::traced]
/// async fn serve() {
///     let me = tasktrace::current().expect("called in a task");
///     assert!(me.name().ends_with("serve"));
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// assert!(tasktrace::current().is_none());
/// serve().await;
/// # }
/// ```
#[must_use]
pub fn current() -> Option<TraceHandle> {
    Scope::with_current(|scope| {
        let poller = scope.of_task()?.poller()?;
        Some(TraceHandle::new(RecordRef::of(poller)))
    })
}

/// All tasks that have not finished, in the order of their numbers.
///
/// ```
/// let (_future, handle) = tasktrace::traced(async {});
/// assert!(tasktrace::tasks().any(|task| task.id() == handle.id()));
/// ```
pub fn tasks() -> impl Iterator<Item = TraceHandle> {
    reference::unfinished().map(TraceHandle::new)
}

impl TraceHandle {
    pub(crate) fn new(task: RecordRef) -> Self {
        Self { task }
    }

    pub(super) fn record(&self) -> &Record {
        &self.task
    }

    /// Where the task waits at its next poll, for which it is woken.
    ///
    /// `None` if the future has resolved or was dropped, also if that happens while it is asked.
    /// Waits for as long as the task is not polled: see
    /// [`backtrace_timeout`](Self::backtrace_timeout) where that could be for ever.
    ///
    /// The tasks that it awaits by their handles (`tasktrace::spawn`, `tasktrace::JoinSet`) are asked
    /// as well, if they are not very many, and shown below.
    ///
    /// All that ask at the same time are served by a single poll. A task may ask for its own
    /// trace. The request is made when the future returned is first polled.
    ///
    /// # Cancel safety
    ///
    /// The future can be dropped at any time; the request is taken back.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let (future, handle) = tasktrace::traced(std::future::pending::<()>());
    /// let task = tokio::spawn(future);
    /// println!("{}", handle.backtrace().await.unwrap());
    ///
    /// task.abort();
    /// assert!(handle.backtrace().await.is_none());
    /// # }
    /// ```
    pub async fn backtrace(&self) -> Option<Trace> {
        let awaited = Awaited::ask(&self.task);
        awaited.wait_a_moment();
        let asked = Backtrace {
            task: &self.task,
            asked: None,
            _waking: None,
        };
        let raw = asked.await.ok()?;
        Some(Trace::new(raw).with_awaited(awaited.wait_elsewhere().await))
    }

    /// Where the task waits at its next poll, for which it is woken. Blocks the calling thread for
    /// at most `timeout`.
    ///
    /// For watchdogs, tests and any thread outside of a runtime. In async code use
    /// [`backtrace`](Self::backtrace): a thread that an executor needs to poll the task must not
    /// be blocked.
    ///
    /// # Errors
    ///
    /// If the task has finished, does not answer in time, or is the one that calls: see
    /// [`TraceError`].
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// # let runtime = tokio::runtime::Runtime::new().unwrap();
    /// let (future, handle) = tasktrace::traced(std::future::pending::<()>());
    /// runtime.spawn(future);
    ///
    /// match handle.backtrace_timeout(Duration::from_secs(5)) {
    ///     Ok(trace) => println!("{trace}"),
    ///     Err(error) => println!("task {}: {error}", handle.id()),
    /// }
    /// ```
    pub fn backtrace_timeout(&self, timeout: Duration) -> Result<Trace, TraceError> {
        // A time too far to be told is no deadline.
        let deadline = Instant::now().checked_add(timeout);
        let awaited = Awaited::ask(&self.task);
        let asked = self.ask()?;
        let _waking = Waking::start(std::iter::once(self.task.clone()));
        asked.wait_until(deadline);
        let trace = asked.finish(timeout)?;
        Ok(trace.with_awaited(awaited.wait()))
    }

    /// Asks, and neither wakes the task nor waits for the answer.
    fn ask(&self) -> Result<Asked<'_>, TraceError> {
        self.ask_in(&mut Answers::new(1))
    }

    /// Asks as one of many.
    pub(crate) fn ask_in(&self, answers: &mut Answers<RawTrace>) -> Result<Asked<'_>, TraceError> {
        if scope::is_inside(&self.task) {
            return Err(TraceError::InsideOwnPoll);
        }
        // To wake it is to call into an executor whose threads are not there.
        if self.task.is_left_behind() {
            return Err(TraceError::Finished);
        }
        let answer = self.task.ask_in(answers)?;
        Ok(Asked {
            task: &self.task,
            answer,
        })
    }

    /// The number, of ours, of the thread that has polled it last. 0 if none has.
    pub(crate) fn last_thread(&self) -> u32 {
        self.task.last_thread()
    }

    /// The task of the executor that it is in. `None` if that is not known, or if it is in one that
    /// is traced itself, or in none.
    pub(crate) fn job(&self) -> Option<Job> {
        self.task.job()
    }

    /// Says in which task of the executor it is, unless that is known.
    #[cfg(feature = "tokio")]
    pub(crate) fn note_job(&self, job: Option<Job>) {
        self.task.note_job(|| job);
    }

    /// What the task is doing, and since when.
    pub(crate) fn sight(&self) -> Sight {
        self.task.sight()
    }

    /// What polls it, as far as it is known.
    pub(crate) fn executor(&self) -> Executor {
        self.task.executor()
    }

    /// Whether it was last polled by another task.
    pub(crate) fn is_nested(&self) -> bool {
        self.task.is_nested()
    }

    /// As [`Glance::address`](super::glance::Glance::address).
    pub(crate) fn address(&self) -> usize {
        std::ptr::from_ref::<Record>(&self.task).addr()
    }

    /// Wakes the task, for nothing but to see whether its executor polls it: then the count of polls
    /// goes up. Whatever the waker does, the caller goes on.
    pub(crate) fn probe(&self) {
        waking::probe(self.task.clone());
    }

    /// Another reference to the record.
    pub(crate) fn reference(&self) -> RecordRef {
        self.task.clone()
    }

    /// The functions in it that may not be suspended for as long as they like, the task itself among
    /// them. `None` if it is being polled, and so cannot be told now.
    pub(crate) fn limited(&self) -> Option<Vec<Limited>> {
        limited::of(&self.task)
    }

    /// The number of the task.
    ///
    /// ```
    /// let (_one, first) = tasktrace::traced(async {});
    /// let (_two, second) = tasktrace::traced(async {});
    /// assert!(first.id() < second.id());
    /// ```
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.task.id()
    }

    /// The name that its `#[traced(name = "…")]` gives, or else the path of its function. What a task
    /// is called at run time is its [`label`](Self::label).
    ///
    /// ```
    /// async fn serve() {}
    /// let (_future, handle) = tasktrace::traced(serve());
    /// assert!(handle.name().ends_with("::serve"));
    /// ```
    #[must_use]
    pub fn name(&self) -> &str {
        self.static_name()
    }

    pub(crate) fn static_name(&self) -> &'static str {
        self.origin().name()
    }

    /// What has made it.
    pub(crate) fn origin(&self) -> Origin {
        self.task.origin()
    }

    /// The label of the task, if it was given one.
    ///
    /// ```
    /// let (_future, handle) = tasktrace::traced(async {});
    /// assert_eq!(handle.label(), None);
    /// ```
    #[must_use]
    pub fn label(&self) -> Option<&str> {
        let label = self.task.label().map(|label| &**label);
        label.or_else(|| self.origin().given_name())
    }

    /// What the task is doing, without asking it.
    ///
    /// ```
    /// use tasktrace::TaskState;
    ///
    /// let (future, handle) = tasktrace::traced(async {});
    /// assert_eq!(handle.state(), TaskState::NeverPolled);
    /// drop(future);
    /// assert_eq!(handle.state(), TaskState::Finished);
    /// ```
    #[must_use]
    pub fn state(&self) -> TaskState {
        self.state_at(Moment::now())
    }

    pub(crate) fn state_at(&self, moment: Moment) -> TaskState {
        let task = &self.task;
        match task.sight() {
            Sight::Finished => TaskState::Finished,
            Sight::New { .. } => TaskState::NeverPolled,
            Sight::Running { since, .. } => {
                let info = Token(task.executor().thread).info();
                TaskState::Running(Running {
                    thread_id: info.as_ref().map_or(0, |info| info.id),
                    thread_name: info.and_then(|info| info.name),
                    for_: since.max(task.made()).until(moment),
                    computes: None,
                })
            }
            Sight::Resting { .. } | Sight::Moving if task.is_asked() => TaskState::Woken,
            Sight::Resting { .. } | Sight::Moving => TaskState::Suspended,
        }
    }

    /// Where the task was made: the call of [`traced`](crate::traced()) or of a function that
    /// spawns it. `None` for a task that its first poll has made, as it is for a `#[traced]`
    /// function that is called outside of any task.
    ///
    /// ```
    /// let (_future, handle) = tasktrace::traced(async {});
    /// assert!(handle.spawned_at().unwrap().line() > 0);
    /// ```
    #[must_use]
    pub fn spawned_at(&self) -> Option<&'static Location<'static>> {
        self.task.spawned_at()
    }

    /// The task in which this one was made, if it was in one.
    ///
    /// ```
    /// #[tasktrace::traced]
    /// async fn serve() {
    ///     let (_future, handle) = tasktrace::traced(async {});
    ///     assert_eq!(handle.parent(), tasktrace::current().map(|task| task.id()));
    /// }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() { serve().await }
    /// ```
    #[must_use]
    pub fn parent(&self) -> Option<TaskId> {
        self.task.parent()
    }

    /// How long ago the task was made. Like all times here it is up to a hundredth of a second too
    /// long, or more on a machine that is very busy, and not too short.
    ///
    /// ```
    /// let (_future, handle) = tasktrace::traced(async {});
    /// assert!(handle.age() < std::time::Duration::from_secs(3600));
    /// ```
    #[must_use]
    pub fn age(&self) -> Duration {
        self.age_at(Moment::now())
    }

    pub(crate) fn age_at(&self, moment: Moment) -> Duration {
        self.task.made().until(moment)
    }

    /// How long ago the last poll of the task began. `None` if there was none.
    ///
    /// ```
    /// let (_future, handle) = tasktrace::traced(async {});
    /// assert_eq!(handle.last_polled(), None);
    /// ```
    #[must_use]
    pub fn last_polled(&self) -> Option<Duration> {
        self.last_polled_at(Moment::now())
    }

    pub(crate) fn last_polled_at(&self, moment: Moment) -> Option<Duration> {
        // The time may be told a step late to one thread, and no task was polled before it was made.
        let polled = self.task.stamp().tick().max(self.task.made());
        (self.all_polls() > 0).then(|| polled.until(moment))
    }

    /// Returns how many polls of the task have begun. A poll that only answered a request for a trace, and in
    /// which the task has not gone on, is not counted, unless several requests were made at the same time: then one may be.
    ///
    /// ```
    /// let (_future, handle) = tasktrace::traced(async {});
    /// assert_eq!(handle.polls(), 0);
    /// ```
    #[must_use]
    pub fn polls(&self) -> u64 {
        self.task.own_polls()
    }

    /// Returns how many polls of the task have begun, for any purpose.
    pub(crate) fn all_polls(&self) -> u64 {
        self.task.polls()
    }

    /// Where the task is as far as its live frames tell: the tasks and the `#[traced]` functions
    /// in it that have been suspended. Nothing is polled, so this works whatever the executor does.
    ///
    /// ```
    /// let (_future, handle) = tasktrace::traced(async {});
    /// println!("{}", handle.snapshot());
    /// ```
    #[must_use]
    pub fn snapshot(&self) -> Trace {
        self.snapshot_at(Moment::now(), &mut None)
    }

    /// As [`snapshot`](Self::snapshot), with the times as they are now. `plain` is one that others without
    /// live frames may be the same as.
    pub(crate) fn snapshot_at(&self, now: Moment, plain: &mut Option<Trace>) -> Trace {
        Trace::new_or_same(live::snapshot(&self.task, now), plain)
    }

    /// Whether the future of the task has resolved or was dropped.
    ///
    /// ```
    /// let (future, handle) = tasktrace::traced(async {});
    /// assert!(!handle.is_finished());
    /// drop(future);
    /// assert!(handle.is_finished());
    /// ```
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.task.is_finished()
    }
}

impl fmt::Debug for TraceHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TraceHandle")
            .field("id", &self.id().get())
            .field("name", &self.name())
            .field("state", &self.state())
            .finish()
    }
}

impl Trace {
    /// The stack of the caller, up to the task that is being polled: now, without another poll.
    ///
    /// `None` outside of any task, and for an allocator that is called from the middle of this crate's own code. For log lines and panic hooks; it is never longer than the way
    /// to here, because what else the task waits for cannot be seen from inside.
    ///
    /// On a thread with too little room left on its stack, it is the live frames of the task:
    /// see [`TraceError::NoRoom`].
    ///
    /// ```
    /// #[tasktrace::traced]
    /// async fn serve() {
    ///     let trace = tasktrace::Trace::here().expect("called in a task");
    ///     assert!(trace.contains("serve"));
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// assert!(tasktrace::Trace::here().is_none());
    /// serve().await;
    /// # }
    /// ```
    #[must_use]
    #[inline(never)]
    pub fn here() -> Option<Self> {
        if sync::is_inside() {
            return None;
        }
        if !capture::has_room() {
            return Some(current()?.snapshot());
        }
        let raw = Scope::with_current(|scope| {
            let _inside = Inside::enter();
            let mut surroundings = Vec::new();
            scope::surroundings(&mut surroundings);
            Some(capture::here(scope.of_task()?.mark(), &surroundings))
        });
        raw.map(Self::new)
    }
}

/// A request that a thread can wait for.
pub(crate) struct Asked<'a> {
    task: &'a RecordRef,
    answer: Answer<RawTrace>,
}

impl Asked<'_> {
    pub(crate) fn is_answered(&self) -> bool {
        self.answer.is_given()
    }

    /// Blocks until there is an answer, or until `deadline`.
    pub(crate) fn wait_until(&self, deadline: Option<Instant>) {
        waking::wait(&self.answer, deadline);
    }

    /// The answer, if there is one. It is taken once.
    pub(crate) fn take(&self) -> Option<Result<Trace, TraceError>> {
        let answer = self.answer.take()?;
        Some(answer.map(Trace::new).map_err(Into::into))
    }

    /// The answer, if there is one now, after `timeout`.
    pub(crate) fn finish(self, timeout: Duration) -> Result<Trace, TraceError> {
        if let Some(answer) = self.take() {
            return answer;
        }
        let Self { task, answer } = self;
        task.withdraw(&answer);
        // The answer may have been given while the question was being taken back.
        if let Some(answer) = answer.take() {
            return Ok(Trace::new(answer?));
        }
        let reason = match task.sight() {
            Sight::New { .. } => return Err(TraceError::NeverPolled),
            Sight::Running { .. } => NoAnswer::Running,
            Sight::Resting { .. } | Sight::Moving if waking::is_without_thread() => {
                NoAnswer::NotWoken
            }
            Sight::Resting { .. } | Sight::Moving => NoAnswer::NotPolled,
            Sight::Finished => return Err(TraceError::Finished),
        };
        Err(TraceError::NoAnswer {
            waited: timeout,
            reason,
        })
    }
}

/// Wakes a task that has been asked by one with this waker. Returns what is to be kept until there is an
/// answer.
fn wake_from_async(task: &RecordRef, waker: &Waker) -> Option<Waking> {
    let loan = task.lend_for_capture()?;
    // An executor of the same kind is what polls the caller. So the others are not waited for.
    if std::ptr::eq(loan.waker().vtable(), waker.vtable()) {
        loan.wake();
        return None;
    }
    drop(loan);
    let waking = Waking::start(std::iter::once(task.clone()));
    waking.wait_a_moment();
    Some(waking)
}

/// A request that is being waited for.
struct Backtrace<'a> {
    task: &'a RecordRef,
    asked: Option<Answer<RawTrace>>,
    _waking: Option<Waking>,
}

impl Future for Backtrace<'_> {
    type Output = Result<RawTrace, End>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let task = self.task;
        let this = &mut *self;
        let answer = match &mut this.asked {
            Some(answer) => answer,
            none => {
                let answer = none.insert(task.ask()?);
                this._waking = wake_from_async(task, cx.waker());
                answer
            }
        };
        // Cloned at each poll: so it is a leaf of the task that waits, should that be asked too.
        answer.poll(capture::register(cx.waker(), LeafKind::AwaitsTrace))
    }
}

impl Drop for Backtrace<'_> {
    fn drop(&mut self) {
        if let Some(answer) = &self.asked {
            self.task.withdraw(answer);
        }
    }
}
