//! Asking a task for a trace.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::error::{NoAnswer, TraceError};
use super::exchange::{End, Phase, Waiter};
use super::{Task, TaskId, drive};
use crate::capture::{self, Scope};
use crate::sync;
use crate::trace::Trace;

/// Asks a task where it is waiting.
///
/// A handle comes from [`traced`](crate::traced()) or from [`current`]. Clones ask the same task.
/// It keeps a small record alive, not the future. Until the future is dropped, the record keeps a
/// waker of the task.
#[derive(Clone)]
pub struct TraceHandle {
    task: Arc<Task>,
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
    Scope::with_current(drive::record).map(TraceHandle::new)
}

impl TraceHandle {
    pub(crate) fn new(task: Arc<Task>) -> Self {
        Self { task }
    }

    /// Where the task waits at its next poll, for which it is woken.
    ///
    /// `None` if the future has resolved or was dropped, also if that happens while it is asked.
    /// Waits for as long as the task is not polled: see
    /// [`backtrace_timeout`](Self::backtrace_timeout) where that could be for ever.
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
        Backtrace {
            task: &self.task,
            asked: None,
        }
        .await
        .ok()
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
        let exchange = &self.task.exchange;
        let inside = Scope::with_current(|scope| drive::is_inside(scope, &self.task).then_some(()));
        if inside.is_some() {
            return Err(TraceError::InsideOwnPoll);
        }
        // A time too far to be told is no deadline.
        let deadline = Instant::now().checked_add(timeout);
        let waiter = exchange.ask()?;
        if let Some(answer) = waiter.wait(deadline) {
            return Ok(answer?);
        }
        exchange.withdraw(&waiter);
        // The answer may have been given while the question was being taken back.
        if let Some(answer) = waiter.wait(Some(Instant::now())) {
            return Ok(answer?);
        }
        let reason = match exchange.phase() {
            Phase::NeverPolled => return Err(TraceError::NeverPolled),
            Phase::Polling => NoAnswer::Running,
            Phase::Suspended => NoAnswer::NotPolled,
            Phase::Finished => return Err(TraceError::Finished),
        };
        Err(TraceError::NoAnswer {
            waited: timeout,
            reason,
        })
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
        self.task.id
    }

    /// The name given to the task, or else the path of its function.
    ///
    /// ```
    /// async fn serve() {}
    /// let (_future, handle) = tasktrace::traced(serve());
    /// assert!(handle.name().ends_with("::serve"));
    /// ```
    #[must_use]
    pub fn name(&self) -> &str {
        self.task.origin.name()
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
        self.task.exchange.phase() == Phase::Finished
    }
}

impl fmt::Debug for TraceHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TraceHandle")
            .field("id", &self.task.id.get())
            .field("name", &self.name())
            .field("state", &self.task.exchange.phase())
            .finish()
    }
}

impl Trace {
    /// The stack of the caller, up to the task that is being polled: now, without another poll.
    ///
    /// `None` outside of any task. For log lines and panic hooks; it is never longer than the way
    /// to here, because what else the task waits for cannot be seen from inside.
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
        capture::here().map(Self::new)
    }
}

/// A request that is being waited for.
struct Backtrace<'a> {
    task: &'a Task,
    asked: Option<sync::Arc<Waiter<Trace>>>,
}

impl Future for Backtrace<'_> {
    type Output = Result<Trace, End>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let task = self.task;
        let waiter = match &mut self.asked {
            Some(waiter) => waiter,
            none => none.insert(task.exchange.ask()?),
        };
        // Cloned at each poll: so it is a leaf of the task that waits, should that be asked too.
        waiter.poll(cx.waker().clone())
    }
}

impl Drop for Backtrace<'_> {
    fn drop(&mut self) {
        if let Some(waiter) = &self.asked {
            self.task.exchange.withdraw(waiter);
        }
    }
}
