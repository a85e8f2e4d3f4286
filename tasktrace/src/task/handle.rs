//! Defines handles to tasks: reading the state of a task, and requesting traces of it.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::awaited::AwaitedTasks;
use super::clock::ExactInstant;
use super::error::{NoAnswer, TraceError};
#[cfg(feature = "inspect")]
use super::future_address::FutureAddress;
use super::header::Header;
use super::observation::{ExecutorId, Observation};
use super::oneshot::{CaptureError, ChannelBatch, Receiver};
use super::scope::{self, Scope};
use super::state::{Running, TaskState};
use super::task_ref::{self, TaskRef};
use super::thread::ThreadIndex;
use super::wait_limit::{self, WaitLimit};
use super::wake_pool::{self, PendingWakes};
use super::{TaskId, snapshot};
use crate::capture::{self, LeafKind, RawTrace};
use crate::origin::Origin;
use crate::os::time::Instant;
use crate::runtime::RuntimeTaskId;
use crate::sync::{self, ReentrancyGuard};
use crate::trace::Trace;

/// A handle to a task, which reads its state and requests traces of it.
///
/// A handle comes from [`traced`](crate::traced()), [`current`] or [`tasks`], or with the feature `tokio` from
/// `JoinHandle::trace_handle` or `JoinSet::trace_handles`. Clones refer to the same task. A handle keeps a small header
/// alive, not the future. Until the future is dropped, the header keeps a waker of the task.
#[derive(Clone)]
pub struct TraceHandle {
    task: TaskRef,
}

/// Returns the task that is being polled on this thread: the innermost, if tasks are nested.
///
/// Returns `None` outside any task. All code that the task calls or awaits sees it, also the branches of a `select!` or
/// a `join!`. The tasks that it spawns do not see it, unless it polls them itself, as with a `LocalSet` or a nested
/// `block_on`.
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
        let poller = scope.task_scope()?.poller()?;
        Some(TraceHandle::new(TaskRef::of(poller)))
    })
}

/// Returns all tasks that have not finished, in the order of their numbers.
///
/// ```
/// let (_future, handle) = tasktrace::traced(async {});
/// assert!(tasktrace::tasks().any(|task| task.id() == handle.id()));
/// ```
pub fn tasks() -> impl Iterator<Item = TraceHandle> {
    task_ref::unfinished().map(TraceHandle::new)
}

impl TraceHandle {
    pub(crate) fn new(task: TaskRef) -> Self {
        Self { task }
    }

    pub(super) fn header(&self) -> &Header {
        &self.task
    }

    /// Captures where the task waits, in its next poll, for which the task is woken.
    ///
    /// Returns `None` if the future has resolved or was dropped, also if that happens during the request. Waits for as
    /// long as the task is not polled, which may be forever: see [`backtrace_timeout`](Self::backtrace_timeout).
    ///
    /// The tasks that the task awaits by their handles (`tasktrace::spawn`, `tasktrace::JoinSet`) are captured as
    /// well, up to a limit, and shown below it.
    ///
    /// A single poll serves all requests made at the same time. A task may request its own trace. The request is made
    /// when the returned future is first polled.
    ///
    /// # Cancel safety
    ///
    /// The future can be dropped at any time, which withdraws the request.
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
        let awaited = AwaitedTasks::request(&self.task);
        awaited.wait_briefly();
        let request = BacktraceFuture {
            task: &self.task,
            request: None,
            _wakes: None,
        };
        let raw = request.await.ok()?;
        Some(Trace::new(raw).with_awaited(awaited.wait_async().await))
    }

    /// Captures where the task waits, in its next poll, for which the task is woken. Blocks the calling thread for at
    /// most `timeout`, and up to a tenth of a second longer for the tasks that the task awaits.
    ///
    /// For watchdogs, tests and any other thread outside a runtime. In async code use [`backtrace`](Self::backtrace):
    /// a thread that the executor needs to poll the task must not be blocked.
    ///
    /// # Errors
    ///
    /// Returns an error if the task has finished, does not answer in time, or is being polled by the caller: see
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
        // A time too far away to be represented is no deadline.
        let deadline = Instant::now().checked_add(timeout);
        let awaited = AwaitedTasks::request(&self.task);
        let request = self.request()?;
        let _wakes = PendingWakes::start(std::iter::once(self.task.clone()));
        request.wait_until(deadline);
        let trace = request.finish(timeout)?;
        Ok(trace.with_awaited(awaited.wait()))
    }

    /// Creates a request. Neither wakes the task nor waits for the answer.
    fn request(&self) -> Result<TraceRequest<'_>, TraceError> {
        self.request_in(&mut ChannelBatch::new(1))
    }

    /// Creates a request whose answer goes through a channel of `answers`.
    pub(crate) fn request_in(
        &self,
        answers: &mut ChannelBatch<RawTrace>,
    ) -> Result<TraceRequest<'_>, TraceError> {
        if scope::is_polling(&self.task) {
            return Err(TraceError::InsideOwnPoll);
        }
        // To wake such a task is to call into an executor whose threads do not exist in this process.
        if self.task.is_left_behind() {
            return Err(TraceError::Finished);
        }
        let receiver = self.task.request_capture_in(answers)?;
        Ok(TraceRequest {
            task: &self.task,
            receiver,
        })
    }

    /// Returns the [`ThreadIndex`] of the thread that has polled the task last. 0 if none has.
    pub(crate) fn last_thread(&self) -> u32 {
        self.task.last_thread()
    }

    /// Returns the runtime task that contains this task, or `None` if there is none or it is unknown.
    pub(crate) fn runtime_task(&self) -> Option<RuntimeTaskId> {
        self.task.runtime_task()
    }

    /// Stores the runtime task that contains this task, unless it is already known.
    #[cfg(feature = "tokio")]
    pub(crate) fn note_runtime_task(&self, runtime_task: Option<RuntimeTaskId>) {
        self.task.note_runtime_task(|| runtime_task);
    }

    /// Returns the present state of the task, and the time of its last poll.
    pub(crate) fn observe(&self) -> Observation {
        self.task.observe()
    }

    /// Returns the runtime and the thread that poll the task, as far as they are known.
    pub(crate) fn executor(&self) -> ExecutorId {
        self.task.executor()
    }

    /// Returns `true` if the last poll of the task was inside a poll of another task.
    pub(crate) fn is_nested(&self) -> bool {
        self.task.is_nested()
    }

    /// Returns where the future of the task is in memory, if its first poll has ended. The future may be polled or
    /// dropped at any time, so only the system may read there.
    #[cfg(feature = "inspect")]
    pub(crate) fn root(&self) -> Option<FutureAddress> {
        let header = self.header();
        header
            .future_address
            .get(std::ptr::from_ref(&header.last_poll).addr())
    }

    /// Returns the address of the header, as [`TaskView::address`](super::task_view::TaskView::address) does.
    pub(crate) fn address(&self) -> usize {
        std::ptr::from_ref::<Header>(&self.task).addr()
    }

    /// Wakes the task to test its executor: if the executor polls the task, the number of polls rises. Returns at once,
    /// whatever the waker does.
    pub(crate) fn probe(&self) {
        wake_pool::probe(self.task.clone());
    }

    /// Returns another reference to the header.
    pub(crate) fn reference(&self) -> TaskRef {
        self.task.clone()
    }

    /// Returns the functions of the task that have a wait limit, which may include the task's own. Returns `None` if
    /// the task is not suspended, because the times of its frames are not known then.
    pub(crate) fn wait_limits(&self) -> Option<Vec<WaitLimit>> {
        wait_limit::wait_limits(&self.task)
    }

    /// Returns the number of the task.
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

    /// Returns the name of the task: that of its `#[traced(name = "…")]`, or else the path of its function. A name
    /// that was given at run time is the [`label`](Self::label).
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

    /// Returns the origin of the task.
    pub(crate) fn origin(&self) -> Origin {
        self.task.origin()
    }

    /// Returns the label of the task, if it was given one.
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

    /// Returns the state of the task. Does not poll it.
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
        self.state_at(ExactInstant::now())
    }

    pub(crate) fn state_at(&self, moment: ExactInstant) -> TaskState {
        let task = &self.task;
        match task.observe() {
            Observation::Finished => TaskState::Finished,
            Observation::New { .. } => TaskState::NeverPolled,
            Observation::Running { since, .. } => {
                let info = ThreadIndex(task.executor().thread).info();
                TaskState::Running(Running {
                    thread_id: info.as_ref().map_or(0, |info| info.id),
                    thread_name: info.and_then(|info| info.name),
                    for_: since.max(task.created_at()).until(moment),
                    computes: None,
                })
            }
            Observation::Suspended { .. } | Observation::Panicked if task.is_capture_pending() => {
                TaskState::Woken
            }
            Observation::Suspended { .. } | Observation::Panicked => TaskState::Suspended,
        }
    }

    /// Returns where the task was made: at a call of [`traced`](crate::traced()), or of a function that spawns it.
    /// Returns `None` for a task that was made by its first poll, as for a `#[traced]` function that is called
    /// outside any task.
    ///
    /// ```
    /// let (_future, handle) = tasktrace::traced(async {});
    /// assert!(handle.spawned_at().unwrap().line() > 0);
    /// ```
    #[must_use]
    pub fn spawned_at(&self) -> Option<&'static Location<'static>> {
        self.task.spawned_at()
    }

    /// Returns the task in which this one was made, if it was made in one.
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

    /// Returns how long ago the task was made. Like all times of tasks, it is not too short, and too long by up to a
    /// hundredth of a second, or more on a very busy machine.
    ///
    /// ```
    /// let (_future, handle) = tasktrace::traced(async {});
    /// assert!(handle.age() < std::time::Duration::from_secs(3600));
    /// ```
    #[must_use]
    pub fn age(&self) -> Duration {
        self.age_at(ExactInstant::now())
    }

    pub(crate) fn age_at(&self, moment: ExactInstant) -> Duration {
        self.task.created_at().until(moment)
    }

    /// Returns how long ago the last poll of the task began. Returns `None` if there was none.
    ///
    /// ```
    /// let (_future, handle) = tasktrace::traced(async {});
    /// assert_eq!(handle.last_polled(), None);
    /// ```
    #[must_use]
    pub fn last_polled(&self) -> Option<Duration> {
        self.last_polled_at(ExactInstant::now())
    }

    pub(crate) fn last_polled_at(&self, moment: ExactInstant) -> Option<Duration> {
        // A thread may see the coarse time change late, and no task was polled before it was made.
        let polled = self.task.last_poll().began_at().max(self.task.created_at());
        (self.all_polls() > 0).then(|| polled.until(moment))
    }

    /// Returns how many polls of the task have begun, without those that only answered a request and made no
    /// progress. If several requests are made at the same time, one such poll may be counted.
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

    /// Returns where the task is, as far as its live frames tell: the tasks and the `#[traced]` functions in it that
    /// have been suspended. Nothing is polled, so this works whatever the executor does.
    ///
    /// ```
    /// let (_future, handle) = tasktrace::traced(async {});
    /// println!("{}", handle.snapshot());
    /// ```
    #[must_use]
    pub fn snapshot(&self) -> Trace {
        self.snapshot_at(ExactInstant::now(), &mut None)
    }

    /// Takes a snapshot, with ages as of `now`. Returns the snapshot in `before` if it is equal, and stores the new one
    /// there otherwise.
    pub(crate) fn snapshot_at(&self, now: ExactInstant, before: &mut Option<Trace>) -> Trace {
        Trace::new_or_same(snapshot::take(&self.task, now), before)
    }

    /// Returns `true` if the future of the task has resolved or was dropped.
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
    /// Returns the stack of the caller, up to the task that is being polled. Needs no other poll.
    ///
    /// For log lines and panic hooks. The trace is the call path to the caller only, because the other futures that
    /// the task waits for cannot be seen from inside. On a thread with too little room left on its stack, it consists
    /// of the live frames of the task instead: see [`TraceError::NoRoom`].
    ///
    /// Returns `None` outside any task, and in an allocator that this crate's own code has called.
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
        if sync::is_reentrant() {
            return None;
        }
        if !capture::has_stack_room() {
            return Some(current()?.snapshot());
        }
        let raw = Scope::with_current(|scope| {
            let _guard = ReentrancyGuard::enter();
            let mut active_scopes = Vec::new();
            scope::active_scopes(&mut active_scopes);
            Some(capture::here(scope.task_scope()?.mark(), &active_scopes))
        });
        raw.map(Self::new)
    }
}

/// A request that a thread can wait for.
pub(crate) struct TraceRequest<'a> {
    task: &'a TaskRef,
    receiver: Receiver<RawTrace>,
}

impl TraceRequest<'_> {
    pub(crate) fn is_answered(&self) -> bool {
        self.receiver.is_ready()
    }

    /// Blocks until there is an answer, or until `deadline`.
    pub(crate) fn wait_until(&self, deadline: Option<Instant>) {
        wake_pool::wait(&self.receiver, deadline);
    }

    /// Returns the answer, if there is one. It can be taken once.
    pub(crate) fn take(&self) -> Option<Result<Trace, TraceError>> {
        let answer = self.receiver.take()?;
        Some(answer.map(Trace::new).map_err(Into::into))
    }

    /// Ends the request, which has waited for `timeout`. Returns the answer, or the reason why there is none.
    pub(crate) fn finish(self, timeout: Duration) -> Result<Trace, TraceError> {
        if let Some(answer) = self.take() {
            return answer;
        }
        let Self { task, receiver } = self;
        task.withdraw(&receiver);
        // The answer may have been sent while the request was being withdrawn.
        if let Some(answer) = receiver.take() {
            return Ok(Trace::new(answer?));
        }
        let reason = match task.observe() {
            Observation::New { .. } => return Err(TraceError::NeverPolled),
            Observation::Running { .. } => NoAnswer::Running,
            Observation::Suspended { .. } | Observation::Panicked
                if wake_pool::is_without_thread() =>
            {
                NoAnswer::NotWoken
            }
            Observation::Suspended { .. } | Observation::Panicked => NoAnswer::NotPolled,
            Observation::Finished => return Err(TraceError::Finished),
        };
        Err(TraceError::NoAnswer {
            waited: timeout,
            reason,
        })
    }
}

/// Wakes a task for a requester that is polled with `waker`. If another thread wakes the task, returns a value that the
/// requester keeps until there is an answer.
fn wake_inline_or_pooled(task: &TaskRef, waker: &Waker) -> Option<PendingWakes> {
    let borrowed = task.borrow_waker_for_capture()?;
    // If the task's waker has the caller's vtable, it belongs to a running executor of the same kind, and is called
    // inline. A waker of another kind might not return: a thread of the pool calls it, which is waited for briefly.
    if std::ptr::eq(borrowed.waker().vtable(), waker.vtable()) {
        borrowed.wake();
        return None;
    }
    drop(borrowed);
    let wakes = PendingWakes::start(std::iter::once(task.clone()));
    wakes.wait_briefly();
    Some(wakes)
}

/// A request that async code waits for.
struct BacktraceFuture<'a> {
    task: &'a TaskRef,
    request: Option<Receiver<RawTrace>>,
    _wakes: Option<PendingWakes>,
}

impl Future for BacktraceFuture<'_> {
    type Output = Result<RawTrace, CaptureError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let task = self.task;
        let this = &mut *self;
        let receiver = match &mut this.request {
            Some(receiver) => receiver,
            not_requested => {
                let receiver = not_requested.insert(task.request_capture()?);
                this._wakes = wake_inline_or_pooled(task, cx.waker());
                receiver
            }
        };
        // The waker is cloned at each poll, so that it is a leaf of the waiting task if that is captured too.
        receiver.poll(capture::register(cx.waker(), LeafKind::AwaitsTrace))
    }
}

impl Drop for BacktraceFuture<'_> {
    fn drop(&mut self) {
        if let Some(receiver) = &self.request {
            self.task.withdraw(receiver);
        }
    }
}
