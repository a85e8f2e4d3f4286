//! The functions in a task that may not be suspended for as long as they like.

use std::sync::Arc;
use std::time::Duration;

use super::clock::Tick;
use super::record::Record;
use super::sight::Sight;
use super::slot::Key;
use crate::origin::Origin;

/// A function with a limit that is live in a task.
#[derive(Clone, Debug)]
pub(crate) struct Limited {
    /// Tells it from all others that are or have been in the task. 0 is the task itself.
    pub(crate) key: u64,
    pub(crate) origin: Origin,
    pub(crate) label: Option<Arc<str>>,
    pub(crate) limit: Duration,
    /// When it was last polled, polls for the sake of somebody who asks left aside.
    pub(crate) polled: Tick,
}

/// Those in a task that is at rest. `None` if it is not, or was polled meanwhile: then no time can
/// be told, because a poll may turn out to have been for the sake of somebody who asks.
pub(super) fn of(record: &Record) -> Option<Vec<Limited>> {
    // The times of the frames are those that the poll which was settled last has left them with, or
    // of a later poll, which shows.
    let Sight::Resting { poll, since } = record.sight() else {
        return None;
    };
    let origin = record.origin();
    let mut limited = Vec::new();
    if let Some(limit) = origin.wait_limit() {
        limited.push(Limited {
            key: Key::TASK.to_bits(),
            origin,
            label: record.label().cloned(),
            limit,
            polled: since,
        });
    }
    for frame in record.copy_frames()? {
        let Some(limit) = frame.identity.wait_limit() else {
            continue;
        };
        if frame.stamp.is_after(poll) {
            return None;
        }
        limited.push(Limited {
            key: frame.key.to_bits(),
            origin: frame.identity.origin(),
            label: frame.identity.own_label(),
            limit,
            polled: frame.stamp.tick(),
        });
    }
    // It may have begun another poll, which has not come to them yet.
    let is_at_rest = matches!(record.sight(), Sight::Resting { poll: now, .. } if now == poll);
    is_at_rest.then_some(limited)
}
