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
use crate::dump::{Dump, StateKind};
use crate::task::TaskId;
use crate::trace::{Kind, Trace};

/// So many different stacks are told apart.
pub(super) const MOST: usize = 10_000;

/// The tasks of the same name that were seen in the same state with the same stack.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) name: Cow<'static, str>,
    pub(super) state_kind: StateKind,
    /// Of the first of them.
    pub(super) trace: Trace,
    /// The tasks that were seen, unless they are many.
    pub(super) members: Option<Vec<TaskId>>,
    /// How often one was seen.
    pub(super) seen: u64,
    /// For how long they were there, all together.
    pub(super) time: Duration,
}

type Key = (Cow<'static, str>, StateKind, Kind);

#[derive(Debug, Default)]
pub(super) struct Tally {
    groups: HashMap<Key, Group>,
    /// Those that are not told apart.
    others: Option<Group>,
    /// The time that the samples stand for.
    sampled: Duration,
    /// The most tasks that there were at a time.
    pub(super) most_tasks: usize,
    /// How many tasks were there in all samples.
    pub(super) present: u64,
    /// How many of them were looked at.
    pub(super) looks: u64,
}

impl Tally {
    /// Adds a sample that stands for the time since the last one, of some of so many tasks.
    ///
    /// A task that is found waiting need not have waited here since the last sample. But for each that is
    /// found where it has just come to, there is another that was there before, and is not found: so the
    /// sum is right, whether waits are long or short, and however far samples are apart.
    ///
    /// Some of those that were `picked` may have ended before they were looked at. The others do not stand for
    /// these: what is not there does not wait.
    pub(super) fn add(&mut self, dump: &Dump, interval: Duration, picked: usize, all: usize) {
        self.add_up_to(dump, interval, picked, all, MOST);
    }

    fn add_up_to(
        &mut self,
        dump: &Dump,
        interval: Duration,
        picked: usize,
        all: usize,
        most: usize,
    ) {
        let (picked, all) = match picked < all {
            true => (picked.max(dump.len()), all.max(dump.len())),
            false => (dump.len(), dump.len()),
        };
        self.sampled = self.sampled.saturating_add(interval);
        self.most_tasks = self.most_tasks.max(all);
        self.present += all as u64;
        self.looks += picked as u64;
        // Each task stands for others.
        let stands_for = interval.as_nanos() * all as u128 / picked.max(1) as u128;
        let time = Duration::from_nanos(stands_for.try_into().unwrap_or(u64::MAX));
        for task in dump {
            let state_kind = StateKind::of(task.state());
            let key = (task.name.clone(), state_kind, task.trace().kind());
            let has_room = self.groups.len() < most;
            let group = match self.groups.entry(key) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) if has_room => {
                    let name = entry.key().0.clone();
                    entry.insert(Group::new(name, state_kind, task.trace().clone()))
                }
                Entry::Vacant(_) => self.others.get_or_insert_with(|| {
                    let name = "(stacks that are too many to be told apart)".into();
                    Group::new(name, StateKind::Suspended, Trace::new(RawTrace::default()))
                }),
            };
            group.note(task.id());
            group.seen += 1;
            group.time = group.time.saturating_add(time);
        }
    }

    /// Those where most time was waited first.
    pub(super) fn finish(self) -> Vec<Group> {
        let groups = self.groups.into_values().chain(self.others);
        let mut groups: Vec<Group> = groups.collect();
        for group in &mut groups {
            group.time = group.time.min(group.most(self.sampled));
        }
        groups.sort_by(|one, other| {
            let order = |group: &Group| (group.waited(), group.time, group.seen);
            let by_name = || (&one.name, one.state_kind).cmp(&(&other.name, other.state_kind));
            order(other).cmp(&order(one)).then_with(by_name)
        });
        groups
    }
}

/// The largest number of tasks of a group that are told apart.
const MOST_MEMBERS: usize = 16;

/// If all of them were seen so often on average, there are no others.
const OFTEN: u64 = 4;

impl Group {
    /// Notes which task was seen.
    fn note(&mut self, task: TaskId) {
        if let Some(members) = &mut self.members
            && !members.contains(&task)
        {
            match members.len() < MOST_MEMBERS {
                true => members.push(task),
                false => self.members = None,
            }
        }
    }

    /// The most that its tasks can have waited: where some stand for all, chance has it that a task is seen more
    /// often than is its share. If there were more tasks than those, others would have been seen by now.
    fn most(&self, sampled: Duration) -> Duration {
        let members = self.members.as_ref().map(Vec::len);
        let members = members.filter(|members| self.seen >= OFTEN * *members as u64);
        let most = members.and_then(|members| sampled.checked_mul(members.try_into().ok()?));
        most.unwrap_or(Duration::MAX)
    }

    fn new(name: Cow<'static, str>, state_kind: StateKind, trace: Trace) -> Self {
        Self {
            name,
            state_kind,
            trace,
            members: Some(Vec::new()),
            seen: 0,
            time: Duration::ZERO,
        }
    }

    /// For how long they have waited, all together.
    pub(super) fn waited(&self) -> Duration {
        match self.state_kind.waits() {
            true => self.time,
            false => Duration::ZERO,
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
            let all = tasks.len();
            tally.add_up_to(&dump(tasks.clone()), secs(*interval), all, all, most);
        }
        tally.finish()
    }

    fn told(groups: &[Group]) -> Vec<(&str, StateKind, u64, f64)> {
        let groups = groups.iter();
        groups
            .map(|it| (&*it.name, it.state_kind, it.seen, it.waited().as_secs_f64()))
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
        assert_eq!(told(&groups), [("app::a", StateKind::Suspended, 3, 4.0)]);
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
            ("app::a", StateKind::Suspended, 2, 2.0),
            ("app::a", StateKind::NeverPolled, 1, 1.0),
            ("app::b", StateKind::Suspended, 1, 1.0),
            ("app::a", StateKind::Running, 1, 0.0),
        ];
        assert_eq!(told(&groups), expected);
    }

    #[test]
    fn some_stand_for_all() {
        let mut tally = Tally::default();
        let some = || dump([task(1, "app::a"), task(2, "app::b").running_for(1.0)]);
        tally.add(&some(), secs(1.0), 2, 10);
        tally.add(&some(), secs(1.0), 2, 2);
        assert_eq!((tally.present, tally.looks, tally.most_tasks), (12, 4, 10));
        let groups = tally.finish();
        let expected = [
            ("app::a", StateKind::Suspended, 2, 6.0),
            ("app::b", StateKind::Running, 2, 0.0),
        ];
        assert_eq!(told(&groups), expected);
        assert_eq!(groups[1].time, secs(6.0));
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

    #[test]
    fn tasks_that_have_ended_are_not_counted_for_others() {
        let mut tally = Tally::default();
        // Two were chosen each time, and one of them had ended by then.
        for _ in 0..3 {
            tally.add(
                &dump([task(1, "app::a").suspended_for(9.0)]),
                secs(1.0),
                2,
                2,
            );
        }
        assert_eq!((tally.present, tally.looks, tally.most_tasks), (3, 3, 1));
        let groups = tally.finish();
        assert_eq!(told(&groups), [("app::a", StateKind::Suspended, 3, 3.0)]);
    }

    #[test]
    fn a_task_waits_no_longer_than_the_samples_last() {
        let mut tally = Tally::default();
        // One of ten is chosen, and by chance it is the same four times.
        for id in [1, 1, 1, 1, 2, 3] {
            let name = format!("app::{}", id.min(2));
            let dump = dump([task(id, &name).suspended_for(9.0)]);
            tally.add(&dump, secs(1.0), 1, 10);
        }
        let groups = tally.finish();
        let expected = [
            ("app::2", StateKind::Suspended, 2, 20.0),
            ("app::1", StateKind::Suspended, 4, 6.0),
        ];
        assert_eq!(told(&groups), expected);
    }
}
