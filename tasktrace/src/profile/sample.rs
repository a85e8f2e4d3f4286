//! Profiles for tests, made up.

use std::time::Duration;

use super::tally::Tally;
use super::{Profile, ProfileSource};
use crate::dump::Dump;
use crate::dump::sample::some_time;

/// Of samples, each a second after the one before. Ten more were skipped.
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
        present: tally.present,
        looks: tally.looks,
        groups: tally.finish().into(),
        stacks: Default::default(),
    }
}
