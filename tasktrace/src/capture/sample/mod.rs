//! Samples running tasks: interrupts a thread by a signal and captures its stack.
//!
//! A task in the middle of a poll cannot answer, and its stack is part of the stack of the polling thread. The
//! requester sends that thread a signal. The handler copies the registers at the interruption, the stack from there up
//! to the task, and the list of tasks and frames that are being polled. The requester walks the copy, which may take
//! longer.
//!
//! The handler calls nothing that allocates, locks, blocks or looks up symbols. It reads memory through a system call
//! that fails where no memory is mapped, and it preserves `errno`. It runs on an alternate stack, which the thread got
//! [beforehand](install_handler_stack), because the rest of the thread's own stack may be too small. Before anything
//! else, the handler checks how much of the alternate stack is left. *Measured,* the thread is stopped for 14 µs with a
//! stack of 4 KiB, 20 µs with 64 KiB, and 43 µs with 256 KiB.
//!
//! (A walk in the handler would be equally fast while the unwind tables are in the processor's caches. When they are
//! not, it was *measured* to take 3.5 ms. It also needs 8 KiB of stack, and would read addresses unchecked if the stack
//! was switched in the middle of a poll.)
//!
//! Windows has no signals. On Windows and macOS, the requester suspends the thread and copies its state itself.
//!
//! * [`handshake`]: the protocol between the requester and the handler.
//! * `linux`: the implementation for Linux on x86_64 and aarch64.
//! * `suspend`: the implementation for Windows on x86_64, and for macOS on aarch64.
//! * `unsupported`: replaces both on other systems.
//! * `variable`: the environment variable that turns samples on or off.
//! * [`state`]: the address of the state of a thread, on systems where another thread reads that state.

#[cfg(any(
    tasktrace_loom,
    all(
        target_os = "linux",
        any(target_arch = "x86_64", target_arch = "aarch64")
    )
))]
mod handshake;
#[cfg_attr(
    not(all(
        any(
            all(windows, target_arch = "x86_64"),
            all(target_os = "macos", target_arch = "aarch64")
        ),
        not(tasktrace_loom)
    )),
    path = "no_state.rs"
)]
mod state;
#[cfg_attr(
    all(
        target_os = "linux",
        any(target_arch = "x86_64", target_arch = "aarch64"),
        not(tasktrace_loom)
    ),
    path = "linux/mod.rs"
)]
#[cfg_attr(
    all(
        any(
            all(windows, target_arch = "x86_64"),
            all(target_os = "macos", target_arch = "aarch64")
        ),
        not(tasktrace_loom)
    ),
    path = "suspend/mod.rs"
)]
#[cfg_attr(
    not(all(
        any(
            all(
                target_os = "linux",
                any(target_arch = "x86_64", target_arch = "aarch64")
            ),
            all(windows, target_arch = "x86_64"),
            all(target_os = "macos", target_arch = "aarch64")
        ),
        not(tasktrace_loom)
    )),
    path = "unsupported.rs"
)]
mod system;
#[allow(dead_code, reason = "not every system interrupts threads")]
mod variable;

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::time::Duration;

use super::recording::Recording;
use super::snapshot::{ActiveScope, ActiveScopes, ScopeMarker};
use super::stack_walk::StackRecorder;
use crate::origin::Identity;
use crate::os::signal_stack::SignalStack;
use crate::os::time::Instant;
use crate::unwind::{InterruptedThread, Mark};

pub(crate) use state::StateAddress;
pub use system::set_sample_signal;

/// A poll that the interrupted thread is in the middle of.
#[derive(Debug)]
pub(crate) struct SampledScope {
    pub(crate) mark: Mark,
    /// The number of its task.
    pub(crate) task: u64,
    /// The key of the frame within that task, if the frame is registered: see [`ScopeMarker::key`].
    pub(crate) key: Option<u64>,
    /// `None` for a task, whose identity a signal handler cannot read.
    pub(crate) identity: Option<Identity>,
    pub(crate) own_waker: bool,
    pub(crate) is_also_frame: bool,
}

/// The polls that the interrupted thread is in the middle of, innermost first. The list was allocated beforehand.
pub(crate) struct SampledScopes(Vec<SampledScope>);

/// The capacity of the list. When frames have filled their part, only tasks are added.
const MAX_SCOPES: usize = 2048;

/// The part of the capacity that is reserved for tasks.
const RESERVED_FOR_TASKS: usize = 1024;

impl SampledScopes {
    #[allow(dead_code, reason = "not every system interrupts threads")]
    fn with_capacity() -> Self {
        Self(Vec::with_capacity(MAX_SCOPES))
    }

    /// Adds a scope, if `scope` returns one and the list is not full. Does not allocate.
    pub(crate) fn push(&mut self, is_task: bool, scope: impl FnOnce() -> Option<SampledScope>) {
        let limit = match is_task {
            true => MAX_SCOPES,
            false => MAX_SCOPES - RESERVED_FOR_TASKS,
        };
        if self.0.len() < limit.min(self.0.capacity())
            && let Some(scope) = scope()
        {
            self.0.push(scope);
        }
    }
}

/// Lists the polls that a thread is in the middle of: the suspended thread, or without one the calling thread, which is
/// in a signal handler.
pub(crate) type ReadSampledScopes = fn(Option<SuspendedThread<'_>>, &mut SampledScopes);

/// Proves that a thread is suspended, and gives access to its state.
pub(crate) struct SuspendedThread<'a>(NonNull<()>, PhantomData<&'a ()>);

impl SuspendedThread<'_> {
    /// Wraps the address that a thread has passed to [`StateAddress::set`].
    ///
    /// # Safety
    ///
    /// The thread must be suspended and its state alive, as long as the result is used.
    #[allow(dead_code, reason = "not every system suspends threads")]
    unsafe fn new(state: NonNull<()>) -> Self {
        Self(state, PhantomData)
    }

    /// Returns the address of the thread's state, which is alive and which no thread changes.
    pub(crate) fn state(&self) -> NonNull<()> {
        self.0
    }
}

/// The sample of a thread: its walked stack and the tasks that it was polling.
pub(crate) struct Sample {
    /// The numbers of the tasks that the thread was polling, with the marks of those tasks that were on its stack.
    tasks: BTreeMap<u64, Option<Mark>>,
    scopes: ActiveScopes,
    recorder: StackRecorder,
}

/// A sample in which the tasks are not yet identified.
struct WalkedSample {
    tasks: BTreeMap<u64, Option<Mark>>,
    scopes: Vec<SampledScope>,
    recorder: StackRecorder,
}

/// The reason why a running task has no sample of its stack.
///
/// ```
/// println!("{}", tasktrace::NoSample::SignalBlocked);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoSample {
    /// Sampling is not supported on this system, or is turned off.
    Unsupported,
    /// The program handles all signals that could be used. See [`set_sample_signal`](crate::set_sample_signal).
    NoSignal,
    /// The thread blocks the signal.
    SignalBlocked,
    /// The thread did not handle the signal within this time.
    NoResponse(Duration),
    /// Other requesters were interrupting threads the whole time.
    Busy,
    /// The time for the dump ended before the thread could be interrupted. Very many threads are in the middle of
    /// polls, or the time was short.
    NoTime,
    /// The thread or its poll has ended.
    Over,
    /// The poll is suspended on the stack of a coroutine, and its thread does something else.
    OtherStack,
    /// The system does not permit interrupting the thread or reading its stack.
    Refused,
    /// The thread has no alternate stack for a signal handler, or too little of it is left. See
    /// [`set_sample_signal`](crate::set_sample_signal).
    NoRoom,
}

impl fmt::Display for NoSample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsupported => {
                f.write_str("interrupting threads is not supported here, or is turned off: see `set_sample_signal`")
            }
            Self::NoSignal => f.write_str(
                "the program handles all signals that could interrupt its thread: see \
                 `set_sample_signal`",
            ),
            Self::SignalBlocked => f.write_str("its thread blocks the signal"),
            Self::NoResponse(waited) => {
                write!(f, "its thread did not handle a signal within {waited:.1?}")
            }
            Self::Busy => f.write_str("other threads were interrupted the whole time"),
            Self::NoTime => f.write_str("the time for the dump ran out before its thread was interrupted"),
            Self::Over => f.write_str("its poll has ended"),
            Self::OtherStack => f.write_str("its poll is suspended, on the stack of a coroutine"),
            Self::Refused => f.write_str(
                "the system does not let a process interrupt its threads, or read its own stacks",
            ),
            Self::NoRoom => f.write_str(
                "its thread has too little room for a signal handler: see `set_sample_signal`",
            ),
        }
    }
}

/// Gives the calling thread an alternate stack, so that it can be interrupted as long as the result is kept. Returns
/// `None` if there is no such stack.
pub(crate) fn install_handler_stack() -> Option<SignalStack> {
    system::install_handler_stack()
}

/// Interrupts the thread with this system number and walks its stack.
///
/// `has_handler_stack` says whether the thread has called [`install_handler_stack`] with success. `state` is the
/// address that the thread has registered. `identify` returns the identity of a task by its number.
pub(crate) fn sample(
    thread: u64,
    has_handler_stack: bool,
    state: &StateAddress,
    read_scopes: ReadSampledScopes,
    identify: impl Fn(u64) -> Option<Identity>,
    deadline: Instant,
) -> Result<Sample, NoSample> {
    let WalkedSample {
        tasks,
        scopes,
        recorder,
    } = system::sample(thread, has_handler_stack, state, read_scopes, deadline)?;
    let scopes = scopes.into_iter();
    Ok(Sample {
        tasks,
        scopes: scopes
            .filter_map(|scope| scope.identified(&identify))
            .collect(),
        recorder,
    })
}

impl WalkedSample {
    #[allow(dead_code, reason = "not every system interrupts threads")]
    fn new(thread: &InterruptedThread<'_>, mut scopes: Vec<SampledScope>) -> Self {
        // One walk serves all tasks on the stack.
        let mut recorder = StackRecorder::new();
        let outermost = thread.outermost(scopes.iter().map(|scope| scope.mark));
        recorder.walk_interrupted(thread, outermost);

        let tasks = scopes
            .iter()
            .filter_map(|scope| Some((scope.own_task()?, None)));
        let mut tasks: BTreeMap<_, _> = tasks.collect();
        recorder.retain_walked(&mut scopes, |scope| scope.mark);
        let walked = scopes.iter();
        tasks.extend(walked.filter_map(|scope| Some((scope.own_task()?, Some(scope.mark)))));
        Self {
            tasks,
            scopes,
            recorder,
        }
    }
}

impl Sample {
    /// Returns the part of the stack that belongs to a task.
    pub(crate) fn recording(&self, task: u64) -> Result<Box<Recording>, NoSample> {
        let mark = self.tasks.get(&task).ok_or(NoSample::Over)?;
        let mark = mark.ok_or(NoSample::OtherStack)?;
        Ok(self.recorder.interrupted(mark, &self.scopes))
    }
}

impl SampledScope {
    /// Returns the number of the task if this is the poll of a task, and `None` if it is the poll of a frame.
    fn own_task(&self) -> Option<u64> {
        self.identity.is_none().then_some(self.task)
    }

    /// Adds the identity. Returns `None` if `identify` does not find the task.
    fn identified(self, identify: impl Fn(u64) -> Option<Identity>) -> Option<ActiveScope> {
        let identity = self.identity.as_ref().map(Identity::now);
        Some(ActiveScope {
            mark: self.mark,
            marker: ScopeMarker {
                task: self.task,
                key: self.key,
                identity: identity.or_else(|| identify(self.task))?,
                own_waker: self.own_waker,
            },
            is_also_frame: self.is_also_frame,
            capture: None,
        })
    }
}

/// The recommended signals, for messages.
const RECOMMENDED_SIGNALS: &str = "SIGURG or SIGWINCH";

/// The error of [`set_sample_signal`](crate::set_sample_signal): tasktrace cannot use the signal. The message
/// recommends others.
///
/// ```
/// # #[cfg(target_os = "linux")]
/// # {
/// let error = tasktrace::set_sample_signal(Some(15)).unwrap_err();
/// assert!(error.to_string().starts_with("SIGTERM cannot be used"));
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SampleSignalError {
    /// The number of the signal.
    pub signal: i32,
}

impl fmt::Display for SampleSignalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} cannot be used to sample tasks, because it does not exist or has another purpose: use \
             {RECOMMENDED_SIGNALS}",
            crate::os::signal::name(self.signal)
        )
    }
}

impl std::error::Error for SampleSignalError {}
