//! Interrupting a thread to see what it is doing.
//!
//! A task that is in the middle of a poll cannot answer, and its stack is that of the thread that
//! polls it. The thread is sent a signal. The handler copies what there is to be known: the registers
//! at the interruption, the stack from there up to the task, and which tasks and frames are being
//! polled. It calls nothing that allocates, locks, blocks or looks up symbols, reads memory through a
//! system call that fails where there is none, and leaves `errno` as it was. It runs on an alternate stack that
//! the thread was given [beforehand](make_room), because how much is left of its own is not known; and
//! it looks how much is left of that before it does anything. *Measured,* the thread is
//! stopped for 14 µs with a stack of 4 KiB, 20 µs with 64 KiB, and 43 µs with 256 KiB. It is the asker
//! who walks the copy, however long that takes.
//!
//! (To walk in the handler would be as good when the unwind tables are in the caches. When they are
//! not, it was *measured* to take 3.5 ms, and it needs 8 KiB of stack; and what the
//! tables say of a stack that is switched in the middle of a poll would be read blindly.)
//!
//! * [`handshake`]: the protocol between the asker and the handler.
//! * `linux`: the signal, on x86_64 and aarch64. `unsupported` stands in for it elsewhere.

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
        target_os = "linux",
        any(target_arch = "x86_64", target_arch = "aarch64"),
        not(tasktrace_loom)
    )),
    path = "unsupported.rs"
)]
mod linux;

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use super::live::{Around, Marker, Surroundings};
use super::record::Recorder;
use super::recording::Recording;
use crate::origin::Identity;
use crate::os::signal_stack::SignalStack;
use crate::unwind::{Interrupted, Mark};

pub use linux::set_sample_signal;

/// One of the polls that a thread is in.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) mark: Mark,
    /// The number of its task.
    pub(crate) task: u64,
    /// Which frame of that task, if it is filed: see [`Marker::key`].
    pub(crate) key: Option<u64>,
    /// `None` if it is a task: what that is known by is not to be had in a signal handler.
    pub(crate) identity: Option<Identity>,
    pub(crate) own_waker: bool,
    pub(crate) is_also_frame: bool,
}

/// The polls that a thread is in, from the inside out. Room for them was made beforehand.
pub(crate) struct Scopes(Vec<Seen>);

/// So many polls in each other are told. Of those that are further out, only the tasks are.
const MOST_SCOPES: usize = 2048;

/// Of those, so many are kept free for tasks.
const ROOM_FOR_TASKS: usize = 1024;

impl Scopes {
    #[cfg_attr(
        not(target_os = "linux"),
        expect(dead_code, reason = "nobody is interrupted")
    )]
    fn with_room() -> Self {
        Self(Vec::with_capacity(MOST_SCOPES))
    }

    /// Adds one, if there is one, and room for it. Does not allocate.
    pub(crate) fn push(&mut self, is_task: bool, seen: impl FnOnce() -> Option<Seen>) {
        let room = match is_task {
            true => MOST_SCOPES,
            false => MOST_SCOPES - ROOM_FOR_TASKS,
        };
        if self.0.len() < room.min(self.0.capacity())
            && let Some(seen) = seen()
        {
            self.0.push(seen);
        }
    }
}

/// Tells the polls that the thread is in. Called in a signal handler.
pub(crate) type Collect = fn(&mut Scopes);

/// What a thread was doing.
pub(crate) struct Sample {
    /// The tasks that it was polling, by their numbers, and which of them were on its stack.
    tasks: BTreeMap<u64, Option<Mark>>,
    surroundings: Surroundings,
    recorder: Recorder,
}

/// The same, as long as it is not known what the tasks are called.
struct Walked {
    tasks: BTreeMap<u64, Option<Mark>>,
    scopes: Vec<Seen>,
    recorder: Recorder,
}

/// Why it is not known what a thread was doing.
///
/// ```
/// println!("{}", tasktrace::NoSample::SignalBlocked);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoSample {
    /// It cannot be done on this system, or it was turned off.
    Unsupported,
    /// All signals that could be used have handlers of the program. See
    /// [`set_sample_signal`](crate::set_sample_signal).
    NoSignal,
    /// The thread blocks the signal.
    SignalBlocked,
    /// The thread did not get around to handling the signal in the time given.
    NoResponse(Duration),
    /// Threads were being interrupted for somebody else all the time.
    Busy,
    /// The time for the dump was over before it was the turn of the thread. There are very many threads in the
    /// middle of polls, or there was little time.
    NoTime,
    /// The thread has ended, or its poll has.
    Over,
    /// The poll is suspended on a stack of its own, that of a coroutine, while its thread does other
    /// things.
    OtherStack,
    /// The system refuses what it takes.
    Refused,
    /// The thread has no room for a signal handler: no alternate stack, or too little left of it. See
    /// [`set_sample_signal`](crate::set_sample_signal).
    NoRoom,
}

impl fmt::Display for NoSample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsupported => {
                f.write_str("threads are not interrupted here: see `set_sample_signal`")
            }
            Self::NoSignal => f.write_str(
                "the program handles all signals that could interrupt its thread: see \
                 `set_sample_signal`",
            ),
            Self::SignalBlocked => f.write_str("its thread blocks the signal"),
            Self::NoResponse(waited) => {
                write!(f, "its thread did not handle a signal within {waited:.1?}")
            }
            Self::Busy => f.write_str("other threads were being interrupted all the time"),
            Self::NoTime => f.write_str("the time for the dump was over before its turn"),
            Self::Over => f.write_str("its poll has ended"),
            Self::OtherStack => f.write_str("its poll is suspended, on a stack of its own"),
            Self::Refused => f.write_str(
                "the system does not let a process interrupt its threads, or read its own stacks",
            ),
            Self::NoRoom => f.write_str(
                "its thread has too little room for a signal handler: see `set_sample_signal`",
            ),
        }
    }
}

/// Gives the calling thread room to be interrupted, for as long as that is kept. `None` if there is none.
pub(crate) fn make_room() -> Option<SignalStack> {
    linux::make_room()
}

/// Interrupts a thread, by the number that the system knows it by, if it [has room](make_room). `identify` tells what a task is
/// known by.
pub(crate) fn sample(
    thread: u64,
    has_room: bool,
    collect: Collect,
    identify: impl Fn(u64) -> Option<Identity>,
    deadline: Instant,
) -> Result<Sample, NoSample> {
    let Walked {
        tasks,
        scopes,
        recorder,
    } = linux::sample(thread, has_room, collect, deadline)?;
    let scopes = scopes.into_iter();
    Ok(Sample {
        tasks,
        surroundings: scopes.filter_map(|seen| seen.around(&identify)).collect(),
        recorder,
    })
}

impl Walked {
    #[cfg_attr(
        not(target_os = "linux"),
        expect(dead_code, reason = "nobody is interrupted")
    )]
    fn new(thread: &Interrupted<'_>, mut scopes: Vec<Seen>) -> Self {
        // One walk serves all of them.
        let mut recorder = Recorder::new();
        let outermost = thread.outermost(scopes.iter().map(|seen| seen.mark));
        recorder.walk_interrupted(thread, outermost);

        let tasks = scopes
            .iter()
            .filter_map(|seen| Some((seen.own_task()?, None)));
        let mut tasks: BTreeMap<_, _> = tasks.collect();
        recorder.retain_walked(&mut scopes, |seen| seen.mark);
        let walked = scopes.iter();
        tasks.extend(walked.filter_map(|seen| Some((seen.own_task()?, Some(seen.mark)))));
        Self {
            tasks,
            scopes,
            recorder,
        }
    }
}

impl Sample {
    /// The stack as it belongs to a task.
    pub(crate) fn recording(&self, task: u64) -> Result<Box<Recording>, NoSample> {
        let mark = self.tasks.get(&task).ok_or(NoSample::Over)?;
        let mark = mark.ok_or(NoSample::OtherStack)?;
        Ok(self.recorder.interrupted(mark, &self.surroundings))
    }
}

impl Seen {
    /// The task, unless it is a frame of one.
    fn own_task(&self) -> Option<u64> {
        self.identity.is_none().then_some(self.task)
    }

    /// `None` if it is not known what it is.
    fn around(self, identify: impl Fn(u64) -> Option<Identity>) -> Option<Around> {
        let identity = self.identity.map(Identity::now);
        Some(Around {
            mark: self.mark,
            marker: Marker {
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
/// The signals that are recommended.
const USABLE: &str = "SIGURG or SIGWINCH";

/// Why [`set_sample_signal`](crate::set_sample_signal) refuses a signal, and what to use instead.
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
            "{} cannot be used to sample tasks, because it does not exist or means something to the program: use \
             {USABLE}",
            crate::os::signal::name(self.signal)
        )
    }
}

impl std::error::Error for SampleSignalError {}
