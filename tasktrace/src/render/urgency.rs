//! What deserves to be looked at first.

use std::fmt;
use std::time::Duration;

use super::walk::walk;
use crate::dump::TaskDump;
use crate::task::TaskState;
use crate::trace::{Frame, Tree, Wait};

/// A task that waits for longer is marked: long for work in progress, though usual for what serves
/// requests that don't come.
const LONG: Duration = Duration::from_secs(10);

/// A poll that takes longer, or does not come for longer, is marked: other tasks wait for it in
/// vain. The usual advice is to stay below 100 µs.
const LONG_FOR_A_POLL: Duration = Duration::from_secs(1);

/// How a task does, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    /// It awaits a task that awaits it.
    InCycle,
    /// It is in a poll that does not end.
    Blocking,
    /// Something that it waits for cannot wake it.
    NoWaker,
    /// It holds a future, and what that holds in turn, without polling it.
    Holding,
    /// It should be polled, and is not.
    Starved,
    /// It is being polled.
    Running,
    /// It is to be polled soon.
    Ready,
    /// It has waited for long.
    Long,
    /// It waits.
    Suspended,
    /// It is done.
    Finished,
}

/// How the frames of a tree wait, as far as it may be wrong.
#[derive(Clone, Copy)]
pub(super) struct Waits {
    no_waker: bool,
    not_polled: bool,
}

impl Waits {
    pub(super) fn of(tree: &Tree) -> Self {
        let any = |wait| walk(&tree.frames).any(|step| step.frame.wait() == Some(wait));
        Self {
            no_waker: any(Wait::NoWaker),
            not_polled: any(Wait::NotPolled),
        }
    }
}

impl Urgency {
    /// `tree` is needed only to know for how long something was not polled.
    pub(super) fn of<'a>(
        task: &TaskDump,
        waits: Waits,
        tree: impl FnOnce() -> &'a Tree,
        in_cycle: bool,
    ) -> Self {
        let is_over = |limit| task.in_state().is_some_and(|time| time >= limit);
        match task.state() {
            TaskState::Finished => Self::Finished,
            TaskState::Running(_) if is_over(LONG_FOR_A_POLL) => Self::Blocking,
            TaskState::Running(_) => Self::Running,
            _ if in_cycle => Self::InCycle,
            _ if waits.no_waker => Self::NoWaker,
            _ if waits.not_polled && walk(&tree().frames).any(|step| is_held(step.frame)) => {
                Self::Holding
            }
            TaskState::NeverPolled | TaskState::Woken if is_over(LONG_FOR_A_POLL) => Self::Starved,
            TaskState::NeverPolled | TaskState::Woken => Self::Ready,
            TaskState::Suspended if is_over(LONG) => Self::Long,
            TaskState::Suspended => Self::Suspended,
        }
    }

    /// Whether something may be wrong.
    pub(super) fn is_marked(self) -> bool {
        self == Self::InCycle || self.complaint().is_some()
    }

    /// What may be wrong, and goes on for [`limit`](Self::limit). Of cycles there is more to say.
    pub(super) fn complaint(self) -> Option<&'static str> {
        match self {
            Self::Blocking => Some("blocking a thread, in a single poll,"),
            Self::NoWaker => Some("waiting with no waker registered, which nothing can end"),
            Self::Holding => Some("holding a future without polling it"),
            Self::Starved => Some("ready, but not polled by the executor"),
            Self::Long => Some("suspended"),
            Self::InCycle | Self::Running | Self::Ready | Self::Suspended | Self::Finished => None,
        }
    }

    /// How long it takes to be that urgent.
    pub(super) fn limit(self) -> Option<AtLeast> {
        match self {
            Self::Blocking | Self::Starved | Self::Holding => Some(AtLeast(LONG_FOR_A_POLL)),
            Self::Long => Some(AtLeast(LONG)),
            _ => None,
        }
    }

    /// By what tasks are ordered. What only waits for long comes in its turn: it may be idle.
    pub(super) fn order(self) -> Self {
        match self {
            Self::Long => Self::Suspended,
            other => other,
        }
    }
}

/// `for 10s or longer`.
pub(super) struct AtLeast(Duration);

impl fmt::Display for AtLeast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "for {}s or longer", self.0.as_secs())
    }
}

/// A moment is nothing: a `select!` holds the futures that it does not poll while it handles what
/// another has returned.
fn is_held(frame: &Frame) -> bool {
    let is_long = |time| time >= LONG_FOR_A_POLL;
    frame.wait() == Some(Wait::NotPolled) && frame.not_polled_for().is_some_and(is_long)
}
