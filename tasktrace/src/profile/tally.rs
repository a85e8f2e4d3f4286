//! What was seen so far: stacks that are the same are added up, by their addresses.
//!
//! So what it takes is bounded by how many different stacks there are, which is a matter of the
//! program, not of how many tasks there are or for how long they are sampled. Should there be very
//! many all the same, those that are not among the first are added up as one.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::Duration;

use crate::capture::RawTrace;
use crate::dump::{Dump, Standing};
use crate::trace::{Kind, Trace};

/// So many different stacks are told apart.
pub(super) const MOST: usize = 10_000;

/// The tasks of the same name that were seen in the same state with the same stack.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) name: Cow<'static, str>,
    pub(super) standing: Standing,
    /// Of the first of them.
    pub(super) trace: Trace,
    /// How often one was seen.
    pub(super) seen: u64,
    /// For how long they have waited, all together.
    pub(super) waited: Duration,
}

type Key = (Cow<'static, str>, Standing, Kind);

#[derive(Debug, Default)]
pub(super) struct Tally {
    groups: HashMap<Key, Group>,
    /// Those that are not told apart.
    others: Option<Group>,
    /// The most tasks that there were at a time.
    pub(super) most_tasks: usize,
}

impl Tally {
    /// Adds a sample that stands for the time since the last one.
    pub(super) fn add(&mut self, dump: &Dump, interval: Duration) {
        self.add_up_to(dump, interval, MOST);
    }

    fn add_up_to(&mut self, dump: &Dump, interval: Duration, most: usize) {
        self.most_tasks = self.most_tasks.max(dump.len());
        for task in dump {
            let standing = Standing::of(task.state());
            // It need not have waited here since the last sample. But for each that is found at a place
            // to which it has just come, there is another that was there before, and is not found: so
            // the sum is right, whether waits are long or short, and however far samples are apart.
            let waited = match standing.waits() {
                true => interval,
                false => Duration::ZERO,
            };
            let key = (task.name.clone(), standing, task.trace().kind());
            let has_room = self.groups.len() < most;
            let group = match self.groups.entry(key) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) if has_room => {
                    let name = entry.key().0.clone();
                    entry.insert(Group::new(name, standing, task.trace().clone()))
                }
                Entry::Vacant(_) => self.others.get_or_insert_with(|| {
                    let name = "(stacks that are too many to be told apart)".into();
                    Group::new(name, Standing::Suspended, Trace::new(RawTrace::default()))
                }),
            };
            group.seen += 1;
            group.waited = group.waited.saturating_add(waited);
        }
    }

    /// Those where most time was waited first.
    pub(super) fn finish(self) -> Vec<Group> {
        let groups = self.groups.into_values().chain(self.others);
        let mut groups: Vec<Group> = groups.collect();
        groups.sort_by(|one, other| {
            let order = |group: &Group| (group.waited, group.seen);
            let by_name = || (&one.name, one.standing).cmp(&(&other.name, other.standing));
            order(other).cmp(&order(one)).then_with(by_name)
        });
        groups
    }
}

impl Group {
    fn new(name: Cow<'static, str>, standing: Standing, trace: Trace) -> Self {
        Self {
            name,
            standing,
            trace,
            seen: 0,
            waited: Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dump::TaskDump;
    use crate::dump::sample::{dump, secs, task};

    fn tally(samples: &[(Vec<TaskDump>, f64)], most: usize) -> Vec<Group> {
        let mut tally = Tally::default();
        for (tasks, interval) in samples {
            tally.add_up_to(&dump(tasks.clone()), secs(*interval), most);
        }
        tally.finish()
    }

    fn told(groups: &[Group]) -> Vec<(&str, Standing, u64, f64)> {
        let groups = groups.iter();
        groups
            .map(|it| (&*it.name, it.standing, it.seen, it.waited.as_secs_f64()))
            .collect()
    }

    #[test]
    fn a_sample_stands_for_the_time_since_the_last_one() {
        let waiting = |time| vec![task(1, "app::a").suspended_for(time)];
        // Also the last time, though it had gone on half a second ago.
        let samples = [
            (waiting(60.0), 1.0),
            (waiting(61.0), 2.0),
            (waiting(0.5), 1.0),
        ];
        let groups = tally(&samples, MOST);
        assert_eq!(told(&groups), [("app::a", Standing::Suspended, 3, 4.0)]);
    }

    #[test]
    fn states_are_apart_and_who_runs_does_not_wait() {
        let all = vec![
            task(1, "app::a").suspended_for(9.0),
            task(2, "app::a").running_for(9.0),
            task(3, "app::a").never_polled(),
            task(4, "app::b").suspended_for(9.0),
            task(5, "app::a").suspended_for(9.0),
        ];
        let groups = tally(&[(all, 1.0)], MOST);
        let expected = [
            ("app::a", Standing::Suspended, 2, 2.0),
            ("app::a", Standing::NeverPolled, 1, 1.0),
            ("app::b", Standing::Suspended, 1, 1.0),
            ("app::a", Standing::Running, 1, 0.0),
        ];
        assert_eq!(told(&groups), expected);
    }

    #[test]
    fn those_that_are_too_many_are_added_up() {
        let names: Vec<String> = (0..10).map(|number| format!("app::{number}")).collect();
        let all = || {
            let tasks = (1..).zip(&names);
            let tasks = tasks.map(|(id, name)| task(id, name).suspended_for(9.0));
            tasks.collect::<Vec<_>>()
        };
        let groups = tally(&[(all(), 1.0), (all(), 1.0)], 4);
        assert_eq!(groups.len(), 5);
        assert_eq!(groups.iter().map(|it| it.seen).sum::<u64>(), 20);
        assert_eq!(groups[0].seen, 12, "{groups:?}");
        assert!(groups[0].name.contains("too many"), "{groups:?}");
    }
}
