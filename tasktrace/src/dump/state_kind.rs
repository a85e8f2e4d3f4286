//! Names the kinds of task states, without the data of a state.

use crate::task::TaskState;

/// The kind of a [`TaskState`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum StateKind {
    NeverPolled,
    Running,
    Suspended,
    Woken,
    Finished,
}

impl StateKind {
    /// Returns the kind of a state.
    pub(crate) fn of(state: &TaskState) -> Self {
        match state {
            TaskState::NeverPolled => Self::NeverPolled,
            TaskState::Running(_) => Self::Running,
            TaskState::Suspended => Self::Suspended,
            TaskState::Woken => Self::Woken,
            TaskState::Finished => Self::Finished,
        }
    }

    /// Returns the name in JSON.
    pub(crate) fn json_name(self) -> &'static str {
        match self {
            Self::NeverPolled => "never_polled",
            Self::Running => "running",
            Self::Suspended => "suspended",
            Self::Woken => "woken",
            Self::Finished => "finished",
        }
    }

    /// Returns `true` if the task waits to be woken or to be polled.
    pub(crate) fn waits(self) -> bool {
        matches!(self, Self::NeverPolled | Self::Suspended | Self::Woken)
    }
}
