//! What a task was doing, without what differs from one to another.

use crate::task::TaskState;

/// The kind of a [`TaskState`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Standing {
    NeverPolled,
    Running,
    Suspended,
    Woken,
    Finished,
}

impl Standing {
    pub(crate) fn of(state: &TaskState) -> Self {
        match state {
            TaskState::NeverPolled => Self::NeverPolled,
            TaskState::Running(_) => Self::Running,
            TaskState::Suspended => Self::Suspended,
            TaskState::Woken => Self::Woken,
            TaskState::Finished => Self::Finished,
        }
    }

    /// What it is called for machines.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::NeverPolled => "never_polled",
            Self::Running => "running",
            Self::Suspended => "suspended",
            Self::Woken => "woken",
            Self::Finished => "finished",
        }
    }

    /// Whether its time passes with waiting: to be woken, or to be polled.
    pub(crate) fn waits(self) -> bool {
        matches!(self, Self::NeverPolled | Self::Suspended | Self::Woken)
    }
}
