//! Finds the problems of the tasks of a dump, the most urgent first.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::cause::{certainty_of_cycle, certainty_of_no_waker, certainty_of_starved};
use super::wait_point::{LeafContext, leaves};
use super::{Certainty, WaitRank};
use crate::dump::{Forest, TaskDump};
use crate::task::TaskState;
use crate::trace::walk::{WalkStep, walk};
use crate::trace::{Frame, InternedTree, Trace, Tree, Wait};

/// A wait for a lock is marked once it has lasted this long. Long waits for anything else are normal for tasks that
/// serve requests.
const LONG_LOCK_WAIT: Duration = Duration::from_secs(10);

/// A task is marked once its poll has lasted this long, or once it has been ready this long without being polled. Such
/// a poll delays all tasks of its thread. The usual advice is to stay below 100 µs.
pub(super) const LONG_POLL: Duration = Duration::from_secs(1);

/// Several tasks that wait for locks are marked once they all have waited this long without progress.
const LONG_SHARED_WAIT: Duration = Duration::from_secs(1);

/// The urgency of the state of a task, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    /// The task awaits a task that awaits it.
    InCycle,
    /// The task is in a long poll, and its thread is blocked.
    Blocking,
    /// The task is in a long poll, and its thread computes.
    Computing,
    /// The task holds a future without polling it, and so holds everything that the future holds.
    Holding,
    /// The task is ready, and its executor does not poll it although it could.
    Starved,
    /// The task wakes itself all the time.
    Spinning,
    /// The task waits for a lock, as other tasks do, and none of them makes progress.
    Stuck,
    /// The task has waited for a lock for a long time.
    Long,
    /// The task has been ready for a long time. It is not known if its executor could have polled it.
    Late,
    /// A leaf of the task has registered no waker in the captured poll.
    NoWaker,
    /// The task is being polled.
    Running,
    /// The task is ready and will be polled.
    Ready,
    /// The task waits.
    Suspended,
    /// The task has finished.
    Finished,
}

/// The diagnosis of one task of a dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) severity: Severity,
    /// The rank of the likeliest wait. Among tasks of equal severity, a lock comes before an idle wait.
    pub(crate) rank: WaitRank,
    /// The number of locks that the task waits for.
    locks: usize,
}

impl Status {
    /// Returns the status of a task without a problem.
    pub(crate) fn without_problem() -> Self {
        Self {
            severity: Severity::Suspended,
            rank: WaitRank::Event,
            locks: 0,
        }
    }
}

/// Returns the status of each task of a dump, in the order of the tasks.
pub(crate) fn statuses(forest: &Forest<'_>) -> Vec<Status> {
    let dump = forest.dump();
    Trace::simplify_all(dump.tasks().map(TaskDump::trace));
    let mut in_cycle = vec![false; dump.len()];
    for at in forest.cycle_positions().iter().flatten() {
        in_cycle[*at] = true;
    }
    let is_blocked = dump.tasks().any(is_in_a_long_poll);
    let mut known: HashMap<*const InternedTree, WaitSummary> = HashMap::new();
    let mut all: Vec<Status> = dump
        .tasks()
        .zip(in_cycle)
        .map(|(task, in_cycle)| {
            let waits = match task.trace().interned_tree() {
                Some(interned) => *known
                    .entry(Arc::as_ptr(interned))
                    .or_insert_with(|| WaitSummary::of(interned.tree())),
                None => WaitSummary::of(task.trace().simplified()),
            };
            Status {
                severity: Severity::of(task, waits, in_cycle, is_blocked),
                rank: waits.rank,
                locks: waits.locks,
            }
        })
        .collect();
    let tasks: Vec<&TaskDump> = dump.tasks().collect();
    mark_stuck(&tasks, &mut all);
    all
}

/// A problem of one or more tasks of a dump.
#[derive(Clone)]
pub(crate) struct Finding<'a> {
    pub(crate) severity: Severity,
    pub(crate) certainty: Certainty,
    /// The tasks, in descending order of the time in their state. In a cycle, each task awaits the next.
    pub(crate) tasks: Vec<&'a TaskDump>,
}

/// Returns the findings of a dump, the most urgent first: one for each cycle, and one for each other severity with all
/// tasks that have it. The argument `statuses` is the result of [`statuses`](fn@statuses).
pub(crate) fn findings<'a>(
    forest: &Forest<'a>,
    statuses: impl Iterator<Item = Status>,
) -> Vec<Finding<'a>> {
    let cycles = forest.cycle_positions().iter().map(|cycle| {
        let tasks: Vec<&TaskDump> = cycle.iter().map(|at| forest.task(*at)).collect();
        Finding {
            severity: Severity::InCycle,
            certainty: certainty_of_cycle(tasks.iter().copied()),
            tasks,
        }
    });
    let mut by_severity: BTreeMap<Severity, Vec<&TaskDump>> = BTreeMap::new();
    for (task, status) in forest.dump().tasks().zip(statuses) {
        if status.severity.is_marked() && status.severity != Severity::InCycle {
            by_severity.entry(status.severity).or_default().push(task);
        }
    }
    let others = by_severity.into_iter().map(|(severity, mut tasks)| {
        tasks.sort_by_key(|task| (Reverse(task.in_state()), task.id()));
        let certainty = match severity {
            Severity::NoWaker
                if tasks
                    .iter()
                    .all(|task| certainty_of_no_waker(task) == Certainty::Certain) =>
            {
                Certainty::Certain
            }
            severity => severity.certainty(),
        };
        Finding {
            severity,
            certainty,
            tasks,
        }
    });
    cycles.chain(others).collect()
}

/// Returns the leaves of a tree, the most informative first: held futures, and then waits by their rank.
#[cfg(feature = "http")]
pub(crate) fn ordered_leaves(tree: &Tree) -> Vec<LeafContext<'_>> {
    let mut leaves = leaves(&tree.frames);
    leaves.sort_by_key(|leaf| (leaf.frame.wait() != Some(Wait::NotPolled), leaf.rank));
    leaves
}

/// Marks tasks as stuck that have waited for locks for a long time, if they wait for more than one lock in all: each of
/// them likely holds a lock that another waits for.
///
/// If other tasks have begun to wait for locks recently, the limit is higher.
fn mark_stuck(tasks: &[&TaskDump], all: &mut [Status]) {
    let waits: Vec<(usize, Duration)> = (0..all.len())
        .filter(|at| {
            let is_waiting = matches!(all[*at].severity, Severity::Long | Severity::Suspended);
            is_waiting && all[*at].rank == WaitRank::Lock
        })
        .filter_map(|at| Some((at, tasks[at].in_state()?)))
        .collect();
    let none_makes_progress = waits.iter().all(|(_, time)| *time >= LONG_SHARED_WAIT);
    let limit = match none_makes_progress {
        true => LONG_SHARED_WAIT,
        false => LONG_LOCK_WAIT,
    };
    let stuck = waits.iter().filter(|(_, time)| *time >= limit);
    // The locks are counted rather than the tasks, because two futures of one task may wait for each other.
    let locks: usize = stuck.clone().map(|(at, _)| all[*at].locks).sum();
    if locks > 1 {
        for (at, _) in stuck {
            all[*at].severity = Severity::Stuck;
        }
    }
}

/// The properties of the waits in a tree that decide the severity.
#[derive(Clone, Copy)]
struct WaitSummary {
    no_waker: bool,
    not_polled: bool,
    yielded: bool,
    rank: WaitRank,
    locks: usize,
}

impl WaitSummary {
    fn of(tree: &Tree) -> Self {
        let waits = |step: WalkStep<'_>| step.frame.wait();
        let known: BTreeSet<Wait> = walk(&tree.frames).filter_map(waits).collect();
        let any = |wait| known.contains(&wait);
        let mut waits = leaves(&tree.frames);
        waits.retain(|leaf| leaf.frame.wait() != Some(Wait::NotPolled));
        let is_lock =
            |leaf: &&LeafContext<'_>| leaf.rank == WaitRank::Lock && !leaf.is_part_of_call;
        let locks = waits.iter().filter(is_lock);
        Self {
            no_waker: any(Wait::NoWaker),
            not_polled: any(Wait::NotPolled),
            yielded: any(Wait::Yielded),
            rank: waits
                .iter()
                .map(|leaf| leaf.rank)
                .min()
                .unwrap_or(WaitRank::Event),
            locks: locks.map(|leaf| leaf.frame.count().max(1)).sum(),
        }
    }
}

impl Severity {
    /// Returns the severity of a task. `is_blocked` is `true` if a thread is in a long poll, which explains why tasks
    /// that were woken for the dump have not been polled.
    fn of(task: &TaskDump, waits: WaitSummary, in_cycle: bool, is_blocked: bool) -> Self {
        let is_longer_than = |limit| task.in_state().is_some_and(|time| time >= limit);
        // `waits` may come from a shared tree, which does not have the times of this task.
        let is_holding = || walk(task.trace().frames()).any(|step| is_held(step.frame));
        let is_unpolled = task.unpolled.is_some_and(|it| it.for_ >= LONG_POLL);
        let unpolled = match task.state() {
            _ if !is_unpolled => None,
            TaskState::Suspended if is_blocked => None,
            _ if is_blocked => Some(Certainty::Likely),
            _ => certainty_of_starved(task),
        };
        match task.state() {
            TaskState::Finished => Self::Finished,
            TaskState::Running(running) if is_longer_than(LONG_POLL) => match running.computes() {
                Some(true) => Self::Computing,
                _ => Self::Blocking,
            },
            _ if in_cycle => Self::InCycle,
            _ if waits.not_polled && is_holding() => Self::Holding,
            _ if unpolled == Some(Certainty::Certain) => Self::Starved,
            _ if waits.yielded && task.polls_per_second().is_some() => Self::Spinning,
            TaskState::Running(_) => Self::Running,
            TaskState::Suspended
                if waits.rank == WaitRank::Lock && is_longer_than(LONG_LOCK_WAIT) =>
            {
                Self::Long
            }
            _ if unpolled.is_some() => Self::Late,
            _ if waits.no_waker => Self::NoWaker,
            TaskState::NeverPolled | TaskState::Woken => Self::Ready,
            TaskState::Suspended => Self::Suspended,
        }
    }

    /// Returns `true` if the severity is that of a problem.
    pub(crate) fn is_marked(self) -> bool {
        self.problem_text().is_some()
    }

    /// Returns the text for several tasks that have had the problem for [`limit`](Self::limit). Returns `None` for
    /// cycles, which are described elsewhere.
    pub(crate) fn text_for_many(self) -> Option<&'static str> {
        let words = self.problem_text().filter(|_| self != Self::InCycle);
        words.map(|words| words.of_many)
    }

    /// Returns the time for which a task must have been in its state to have this severity.
    pub(crate) fn limit(self) -> Option<AtLeast> {
        match self {
            Self::Blocking | Self::Computing | Self::Holding | Self::Starved | Self::Late => {
                Some(AtLeast(LONG_POLL))
            }
            Self::Stuck => Some(AtLeast(LONG_SHARED_WAIT)),
            Self::Long => Some(AtLeast(LONG_LOCK_WAIT)),
            _ => None,
        }
    }

    /// The severities of problems.
    #[cfg(feature = "http")]
    pub(crate) const MARKED: [Self; 10] = [
        Self::InCycle,
        Self::Blocking,
        Self::Computing,
        Self::Holding,
        Self::Starved,
        Self::Spinning,
        Self::Stuck,
        Self::Long,
        Self::Late,
        Self::NoWaker,
    ];

    /// Returns the name in JSON.
    pub(crate) fn json_name(self) -> &'static str {
        match self {
            Self::InCycle => "in_cycle",
            Self::Blocking => "blocking",
            Self::Computing => "computing",
            Self::Holding => "holding",
            Self::Starved => "starved",
            Self::Spinning => "spinning",
            Self::Stuck => "stuck",
            Self::Long => "long",
            Self::Late => "late",
            Self::NoWaker => "no_waker",
            Self::Running => "running",
            Self::Ready => "ready",
            Self::Suspended => "suspended",
            Self::Finished => "finished",
        }
    }

    /// Returns the certainty of the problem.
    fn certainty(self) -> Certainty {
        match self {
            Self::Stuck | Self::Long | Self::Late | Self::NoWaker => Certainty::Likely,
            _ => Certainty::Certain,
        }
    }

    /// Returns the text for the problem, or `None` if the severity is not that of a problem.
    pub(crate) fn problem_text(self) -> Option<&'static ProblemText> {
        Some(match self {
            Self::InCycle => &ProblemText {
                title: "deadlock",
                of_one: "waits for a task that waits for it",
                of_many: "waiting for a task that waits for it",
                meaning: "It awaits a task that awaits it: none of them can go on.",
            },
            Self::Blocking => &ProblemText {
                title: "blocks thread",
                of_one: "blocks its thread",
                of_many: "blocking a thread, in a single poll,",
                meaning: "It has been in a single poll for a second or longer. Meanwhile the thread can run no other \
                          task.",
            },
            Self::Computing => &ProblemText {
                title: "computes",
                of_one: "computes without yielding",
                of_many: "computing without yielding, in a single poll,",
                meaning: "It has computed in a single poll for a second or longer. Meanwhile the thread can run no \
                          other task.",
            },
            Self::Holding => &ProblemText {
                title: "held, not polled",
                of_one: "holds a future that it does not poll",
                of_many: "holding a future without polling it",
                meaning: "It keeps a future that it no longer polls. Everything that this future holds, such as a \
                          lock, stays held.",
            },
            Self::Starved => &ProblemText {
                title: "not polled",
                of_one: "is ready, but not polled",
                of_many: "ready, but not polled by the executor",
                meaning: "It is ready, but its executor has not polled it for a second or longer.",
            },
            Self::Spinning => &ProblemText {
                title: "spins",
                of_one: "spins",
                of_many: "spinning: they wake themselves in every poll",
                meaning: "It wakes itself in every poll, so its executor polls it again and again.",
            },
            Self::Stuck => &ProblemText {
                title: "deadlock?",
                of_one: "waits for a lock, like other tasks, and none of them makes progress",
                of_many: "waiting for locks without progress, a deadlock if each holds what another waits for,",
                meaning: "It waits for a lock, like other tasks, and none of them makes progress: a deadlock, if \
                          each holds what another waits for.",
            },
            Self::Long => &ProblemText {
                title: "waits long",
                of_one: "has waited long for a lock",
                of_many: "waiting for a lock",
                meaning: "It has waited for a lock, a permit, or room in a channel for ten seconds or longer.",
            },
            Self::Late => &ProblemText {
                title: "not polled yet",
                of_one: "is ready, but has not been polled yet",
                of_many: "ready, but not polled yet,",
                meaning: "It was created, or woken for this dump, at least a second ago, and has not been polled \
                          since: its executor does not poll it, or the process gets too little processor time.",
            },
            Self::NoWaker => &ProblemText {
                title: "no waker",
                of_one: "registered no waker in this poll",
                of_many: "registered no waker in this poll: nothing can wake it, unless it kept the waker of an \
                          earlier poll",
                meaning: "It registered no waker in this poll: nothing can wake it, unless it kept the waker of an \
                          earlier poll.",
            },
            Self::Running | Self::Ready | Self::Suspended | Self::Finished => return None,
        })
    }
}

/// The text for a problem.
#[cfg_attr(
    not(feature = "http"),
    allow(dead_code, reason = "only the page uses some fields")
)]
pub(crate) struct ProblemText {
    /// A title of one or two words.
    pub(crate) title: &'static str,
    /// The predicate for one task.
    pub(crate) of_one: &'static str,
    /// The predicate for several tasks, after their count and before their numbers.
    pub(crate) of_many: &'static str,
    /// An explanation in whole sentences.
    pub(crate) meaning: &'static str,
}

/// A lower limit of a duration, which `Display` prints as `for 10s or longer`.
pub(crate) struct AtLeast(Duration);

impl fmt::Display for AtLeast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "for {}s or longer", self.0.as_secs())
    }
}

/// Returns `true` if the task is in a long poll.
fn is_in_a_long_poll(task: &TaskDump) -> bool {
    matches!(task.state(), TaskState::Running(running) if running.duration() >= LONG_POLL)
}

/// Returns `true` if the frame has been held without a poll for a long time. A moment does not count: a `select!` holds
/// the other futures while it handles the output of the finished one.
fn is_held(frame: &Frame) -> bool {
    let is_long = |time| time >= LONG_POLL;
    frame.wait() == Some(Wait::NotPolled) && frame.not_polled_for().is_some_and(is_long)
}
