//! Makes up profiles for tests.

use std::time::Duration;

use super::tally::Tally;
use super::{Profile, ProfileSource};
use crate::dump::Dump;
use crate::dump::fixture::some_time;

/// Returns a profile of samples that were taken once a second. Ten more samples were skipped.
pub(crate) fn profile(samples: impl IntoIterator<Item = Dump>) -> Profile {
    let mut tally = Tally::default();
    let mut count = 0;
    for dump in samples {
        tally.add(&dump, Duration::from_secs(1), dump.len(), dump.len());
        count += 1;
    }
    Profile {
        began: some_time(),
        lasted: Duration::from_secs(count),
        sampled: Duration::from_secs(count),
        every: Duration::from_secs(1),
        source: ProfileSource::Snapshots,
        samples: count,
        skipped: 10,
        cost: Duration::from_millis(4 * count),
        most_tasks: tally.most_tasks,
        tasks_present: tally.tasks_present,
        tasks_read: tally.tasks_read,
        raw_stacks: tally.finish().into(),
        stacks: Default::default(),
    }
}
