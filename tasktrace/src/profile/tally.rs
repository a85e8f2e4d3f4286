//! Adds up samples: tasks with the same name, state and addresses are one raw stack.
//!
//! So the memory is bounded by the number of different stacks of the program. It does not depend on the number of tasks
//! or on the duration of the profile. If there are very many stacks, only the first ones are distinguished, and the
//! others are added up as one.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;

use crate::capture::RawTrace;
use crate::dump::{Dump, StateKind};
use crate::task::TaskId;
use crate::trace::{Fingerprint, Trace};

/// The number of different stacks that are distinguished.
pub(super) const MAX_STACKS: usize = 10_000;

type RawStackKey = (Cow<'static, str>, StateKind, Fingerprint);

/// The sums of all samples so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// The stacks, in the order in which they were first seen.
    stacks: Vec<RawStack>,
    /// The position of each stack in `stacks`.
    positions: HashMap<RawStackKey, usize>,
    /// The sum of the stacks that are not distinguished.
    others: Option<RawStack>,
    /// The time that the samples stand for.
    sampled: Duration,
    /// The largest number of tasks that existed at the same time.
    pub(super) most_tasks: usize,
    /// The number of tasks that existed in all samples together.
    pub(super) tasks_present: u64,
    /// The number of tasks that were read in all samples together.
    pub(super) tasks_read: u64,
}

impl Tally {
    /// Adds a sample, which stands for the time since the previous sample. `selected` of `all` tasks were selected.
    ///
    /// A task with a stack need not have had it since the previous sample. But for each task that has just come to a
    /// stack, on average another task has left the stack since the previous sample and is not found there. So the sum
    /// is right on average, whether waits are long or short, and at any interval.
    ///
    /// Some of the selected tasks may have ended before they were read. If all tasks were selected, the remaining tasks
    /// do not stand for the ended ones, because an ended task does not wait.
    pub(super) fn add(&mut self, dump: &Dump, interval: Duration, selected: usize, all: usize) {
        self.add_up_to(dump, interval, selected, all, MAX_STACKS);
    }

    /// Adds a sample as [`Self::add`] does, and distinguishes at most `max_stacks` stacks.
    fn add_up_to(
        &mut self,
        dump: &Dump,
        interval: Duration,
        selected: usize,
        all: usize,
        max_stacks: usize,
    ) {
        let (read, all) = match selected < all {
            true => (selected.max(dump.len()), all.max(dump.len())),
            false => (dump.len(), dump.len()),
        };
        self.sampled = self.sampled.saturating_add(interval);
        self.most_tasks = self.most_tasks.max(all);
        self.tasks_present += all as u64;
        self.tasks_read += read as u64;
        // Each task that was read stands for all / read tasks.
        let stands_for = interval.as_nanos() * all as u128 / read.max(1) as u128;
        let time = Duration::from_nanos(stands_for.try_into().unwrap_or(u64::MAX));
        for task in dump {
            let state_kind = StateKind::of(task.state());
            let key = (task.name.clone(), state_kind, task.trace().fingerprint());
            let next = self.stacks.len();
            let stack = match self.positions.get(&key) {
                Some(position) => &mut self.stacks[*position],
                None if next < max_stacks => {
                    let new = RawStack::new(task.name.clone(), state_kind, task.trace().clone());
                    self.stacks.push(new);
                    self.positions.insert(key, next);
                    &mut self.stacks[next]
                }
                None => self.others.get_or_insert_with(|| {
                    let name = "(other stacks: too many to be listed separately)".into();
                    RawStack::new(name, StateKind::Suspended, Trace::new(RawTrace::default()))
                }),
            };
            stack.add_member(task.id());
            stack.seen += 1;
            stack.time = stack.time.saturating_add(time);
        }
    }

    /// Returns the stacks, the longest waits first.
    pub(super) fn finish(self) -> Vec<RawStack> {
        let mut stacks = self.stacks;
        stacks.extend(self.others);
        for stack in &mut stacks {
            stack.time = stack.time.min(stack.longest_time(self.sampled));
        }
        stacks.sort_by(|one, other| {
            let order = |stack: &RawStack| (stack.waited(), stack.time, stack.seen);
            let by_name = || (&one.name, one.state_kind).cmp(&(&other.name, other.state_kind));
            order(other).cmp(&order(one)).then_with(by_name)
        });
        stacks
    }
}

/// The tasks of the same name that were seen in the same state with the same addresses.
#[derive(Clone, Debug)]
pub(super) struct RawStack {
    pub(super) name: Cow<'static, str>,
    pub(super) state_kind: StateKind,
    /// The trace of the first task that was seen.
    pub(super) trace: Trace,
    /// The tasks that were seen. `None` if they are more than [`MAX_MEMBERS`].
    pub(super) members: Option<Vec<TaskId>>,
    /// The number of times that a task was seen.
    pub(super) seen: u64,
    /// The total time that tasks had this stack.
    pub(super) time: Duration,
}

/// The number of tasks of a stack that are distinguished.
const MAX_MEMBERS: usize = 16;

/// The average number of times that the members must have been seen, to conclude that the stack has no other members.
const MIN_SIGHTINGS: u64 = 4;

impl RawStack {
    /// Adds a task to the members.
    fn add_member(&mut self, task: TaskId) {
        if let Some(members) = &mut self.members
            && !members.contains(&task)
        {
            match members.len() < MAX_MEMBERS {
                true => members.push(task),
                false => self.members = None,
            }
        }
    }

    /// Returns the longest time that tasks can have had this stack: the whole time for each of its members.
    ///
    /// If a sample reads only some tasks, a task may be selected more often than its share by chance, and the
    /// extrapolated time is too long. If the stack had more members than the known ones, the samples would have found
    /// another by now.
    fn longest_time(&self, sampled: Duration) -> Duration {
        let members = self.members.as_ref().map(Vec::len);
        let members = members.filter(|members| self.seen >= MIN_SIGHTINGS * *members as u64);
        let longest = members.and_then(|members| sampled.checked_mul(members.try_into().ok()?));
        longest.unwrap_or(Duration::MAX)
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

    /// Returns the total time that tasks waited with this stack.
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
    use crate::capture::{ScopeMarker, SnapshotTime};
    use crate::dump::TaskDump;
    use crate::dump::fixture::{dump, id, secs, task};
    use crate::origin::{FrameMeta, Identity};

    fn tally(samples: &[(Vec<TaskDump>, f64)], most: usize) -> Vec<RawStack> {
        let mut tally = Tally::default();
        for (tasks, interval) in samples {
            let all = tasks.len();
            tally.add_up_to(&dump(tasks.clone()), secs(*interval), all, all, most);
        }
        tally.finish()
    }

    fn rows(stacks: &[RawStack]) -> Vec<(&str, StateKind, u64, f64)> {
        let stacks = stacks.iter();
        stacks
            .map(|it| (&*it.name, it.state_kind, it.seen, it.waited().as_secs_f64()))
            .collect()
    }

    #[test]
    fn a_sample_stands_for_the_time_since_the_previous_one() {
        let waiting = |time| vec![task(1, "app::a").suspended_for(time)];
        // The last sample stands for a whole second, although the task has waited there only for half a second.
        let samples = [
            (waiting(60.0), 1.0),
            (waiting(61.0), 2.0),
            (waiting(0.5), 1.0),
        ];
        let stacks = tally(&samples, MAX_STACKS);
        assert_eq!(rows(&stacks), [("app::a", StateKind::Suspended, 3, 4.0)]);
    }

    #[test]
    fn states_are_separate_stacks_and_running_tasks_do_not_wait() {
        let all = vec![
            task(1, "app::a").suspended_for(9.0),
            task(2, "app::a").running_for(9.0),
            task(3, "app::a").never_polled(),
            task(4, "app::b").suspended_for(9.0),
            task(5, "app::a").suspended_for(9.0),
        ];
        let stacks = tally(&[(all, 1.0)], MAX_STACKS);
        let expected = [
            ("app::a", StateKind::Suspended, 2, 2.0),
            ("app::a", StateKind::NeverPolled, 1, 1.0),
            ("app::b", StateKind::Suspended, 1, 1.0),
            ("app::a", StateKind::Running, 1, 0.0),
        ];
        assert_eq!(rows(&stacks), expected);
    }

    #[test]
    fn the_tasks_that_were_read_stand_for_all_tasks() {
        let mut tally = Tally::default();
        let some = || dump([task(1, "app::a"), task(2, "app::b").running_for(1.0)]);
        tally.add(&some(), secs(1.0), 2, 10);
        tally.add(&some(), secs(1.0), 2, 2);
        assert_eq!(
            (tally.tasks_present, tally.tasks_read, tally.most_tasks),
            (12, 4, 10)
        );
        let stacks = tally.finish();
        let expected = [
            ("app::a", StateKind::Suspended, 2, 6.0),
            ("app::b", StateKind::Running, 2, 0.0),
        ];
        assert_eq!(rows(&stacks), expected);
        assert_eq!(stacks[1].time, secs(6.0));
    }

    #[test]
    fn stacks_above_the_limit_are_added_up_as_one() {
        let names: Vec<String> = (0..10).map(|number| format!("app::{number}")).collect();
        let all = || {
            let tasks = (1..).zip(&names);
            let tasks = tasks.map(|(id, name)| task(id, name).suspended_for(9.0));
            tasks.collect::<Vec<_>>()
        };
        let stacks = tally(&[(all(), 1.0), (all(), 1.0)], 4);
        assert_eq!(stacks.len(), 5);
        assert_eq!(stacks.iter().map(|it| it.seen).sum::<u64>(), 20);
        assert_eq!(stacks[0].seen, 12, "{stacks:?}");
        assert!(stacks[0].name.contains("too many"), "{stacks:?}");
    }

    /// Returns a trace without leaves. Traces of different functions have different fingerprints.
    fn trace_of(function: &'static FrameMeta) -> Trace {
        let marker = ScopeMarker {
            task: 1,
            key: None,
            identity: Identity::Static(function),
            own_waker: false,
        };
        Trace::new(RawTrace::snapshot(marker, &[], SnapshotTime(0)))
    }

    #[test]
    fn equal_stacks_are_in_the_order_in_which_they_were_seen() {
        static FUNCTIONS: [FrameMeta; 8] =
            [const { FrameMeta::new(None, || "app::a::", "src/main.rs", 1, 1) }; 8];
        let tasks = (1..).zip(&FUNCTIONS).map(|(number, function)| TaskDump {
            trace: trace_of(function),
            ..task(number, "app::a")
        });
        let stacks = tally(&[(tasks.collect(), 1.0)], MAX_STACKS);
        let members = stacks.into_iter().filter_map(|stack| stack.members);
        let expected: Vec<_> = (1..=8).map(|number| vec![id(number)]).collect();
        assert_eq!(members.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn remaining_tasks_do_not_stand_for_ended_ones() {
        let mut tally = Tally::default();
        // Two tasks were selected each time, and one of them ended before it was read.
        for _ in 0..3 {
            tally.add(
                &dump([task(1, "app::a").suspended_for(9.0)]),
                secs(1.0),
                2,
                2,
            );
        }
        assert_eq!(
            (tally.tasks_present, tally.tasks_read, tally.most_tasks),
            (3, 3, 1)
        );
        let stacks = tally.finish();
        assert_eq!(rows(&stacks), [("app::a", StateKind::Suspended, 3, 3.0)]);
    }

    #[test]
    fn a_task_waits_no_longer_than_the_profile_lasts() {
        let mut tally = Tally::default();
        // One of ten tasks is selected each time. By chance it is the same task four times.
        for id in [1, 1, 1, 1, 2, 3] {
            let name = format!("app::{}", id.min(2));
            let dump = dump([task(id, &name).suspended_for(9.0)]);
            tally.add(&dump, secs(1.0), 1, 10);
        }
        let stacks = tally.finish();
        let expected = [
            ("app::2", StateKind::Suspended, 2, 20.0),
            ("app::1", StateKind::Suspended, 4, 6.0),
        ];
        assert_eq!(rows(&stacks), expected);
    }
}
