//! Lists the functions of a task that have a wait limit.

use std::sync::Arc;
use std::time::Duration;

use super::clock::CoarseInstant;
use super::header::Header;
use super::observation::Observation;
use super::slot::FrameKey;
use crate::origin::Origin;

/// A live function with a limit on the time that it may be suspended.
#[derive(Clone, Debug)]
pub(crate) struct WaitLimit {
    /// Identifies the function among all frames that are or have been in the task. 0 is the task itself.
    pub(crate) key: u64,
    pub(crate) origin: Origin,
    pub(crate) label: Option<Arc<str>>,
    pub(crate) limit: Duration,
    /// The start of the last poll, leaving aside polls that only answered requests.
    pub(crate) polled: CoarseInstant,
}

/// Returns the functions with a wait limit of a suspended task. Returns `None` if the task is not suspended, or was
/// polled meanwhile. Then no time is known, because the poll may turn out to only answer a request.
pub(super) fn wait_limits(header: &Header) -> Option<Vec<WaitLimit>> {
    // The times of the frames are those of the poll observed here, or of a later one, which is detected below.
    let Observation::Suspended { poll, since } = header.observe() else {
        return None;
    };
    let origin = header.origin();
    let mut limits = Vec::new();
    if let Some(limit) = origin.wait_limit() {
        limits.push(WaitLimit {
            key: FrameKey::TASK.to_bits(),
            origin,
            label: header.label().cloned(),
            limit,
            polled: since,
        });
    }
    for frame in header.copy_frames()? {
        let Some(limit) = frame.identity.wait_limit() else {
            continue;
        };
        if frame.last_poll.is_after(poll) {
            return None;
        }
        limits.push(WaitLimit {
            key: frame.key.to_bits(),
            origin: frame.identity.origin(),
            label: frame.identity.own_label(),
            limit,
            polled: frame.last_poll.began_at(),
        });
    }
    // Another poll may have begun that has not reached these frames yet.
    let is_at_rest =
        matches!(header.observe(), Observation::Suspended { poll: now, .. } if now == poll);
    is_at_rest.then_some(limits)
}
