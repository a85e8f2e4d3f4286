//! Finds the problems of the tasks of a dump, the most urgent first.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::cause::{sure_of_cycle, sure_of_no_waker, sure_of_starved};
use super::point::leaves;
use super::{Rank, Sure};
use crate::dump::{Forest, TaskDump};
use crate::task::TaskState;
use crate::trace::walk::{Step, walk};
use crate::trace::{Frame, Pattern, Trace, Tree, Wait};

/// A task that waits for a lock for longer is marked. To wait for long for anything else is usual for what
/// serves requests that don't come.
const LONG: Duration = Duration::from_secs(10);

/// A poll that takes longer, or does not come for longer, is marked: other tasks wait for it in
/// vain. The usual advice is to stay below 100 µs.
pub(super) const LONG_FOR_A_POLL: Duration = Duration::from_secs(1);

/// Several tasks that wait for locks are marked after this long, if none of them has gone on meanwhile.
const LONG_FOR_LOCKS: Duration = Duration::from_secs(1);

/// The state of a task for the diagnosis, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Urgency {
    /// It awaits a task that awaits it.
    InCycle,
    /// It is in a poll that does not end, and its thread waits.
    Blocking,
    /// It is in a poll that does not end, and its thread computes.
    Computing,
    /// It holds a future, and what that holds in turn, without polling it.
    Holding,
    /// It should be polled, and its executor does not poll it, though it could.
    Starved,
    /// It wakes itself all the time.
    Spinning,
    /// It waits for a lock, as others do, and none of them goes on.
    Stuck,
    /// It has waited for a lock for long.
    Long,
    /// It should be polled, and has not been for long. It is not known whether its executor could.
    Late,
    /// It has registered no waker in the poll that was captured.
    NoWaker,
    /// It is being polled.
    Running,
    /// It is to be polled soon.
    Ready,
    /// It waits.
    Suspended,
    /// It is done.
    Finished,
}

/// The diagnosis of one task of a dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) urgency: Urgency,
    /// The rank of the likeliest wait. Among tasks of equal urgency, a lock comes before an idle wait.
    pub(crate) rank: Rank,
    /// For how many locks it waits.
    locks: usize,
}

impl Standing {
    /// Returns the standing of a task without a problem.
    pub(crate) fn well() -> Self {
        Self {
            urgency: Urgency::Suspended,
            rank: Rank::Event,
            locks: 0,
        }
    }
}

/// Returns the standing of each task of a dump, in their order.
pub(crate) fn of_dump(forest: &Forest<'_>) -> Vec<Standing> {
    let dump = forest.dump();
    Trace::tidy_all(dump.tasks().map(TaskDump::trace));
    let mut in_cycle = vec![false; dump.len()];
    for at in forest.cycle_positions().iter().flatten() {
        in_cycle[*at] = true;
    }
    let is_blocked = dump.tasks().any(is_in_a_long_poll);
    let mut known: HashMap<*const Pattern, Waits> = HashMap::new();
    let mut all: Vec<Standing> = dump
        .tasks()
        .zip(in_cycle)
        .map(|(task, in_cycle)| {
            let waits = match task.trace().pattern() {
                Some(pattern) => *known
                    .entry(Arc::as_ptr(pattern))
                    .or_insert_with(|| Waits::of(pattern.tree())),
                None => Waits::of(task.trace().tidy()),
            };
            Standing {
                urgency: Urgency::of(task, waits, in_cycle, is_blocked),
                rank: waits.rank,
                locks: waits.locks,
            }
        })
        .collect();
    let tasks: Vec<&TaskDump> = dump.tasks().collect();
    mark_stuck(&tasks, &mut all);
    all
}

/// A problem that tasks of a dump have.
#[derive(Clone)]
pub(crate) struct Finding<'a> {
    pub(crate) urgency: Urgency,
    pub(crate) sure: Sure,
    /// The tasks, in descending order of the time in their state. In a cycle, each awaits the next.
    pub(crate) tasks: Vec<&'a TaskDump>,
}

/// Returns the findings of a dump, the most urgent first: one for each cycle, and one for each other urgency with
/// all tasks that have it. `standings` are those of [`of_dump`].
pub(crate) fn findings<'a>(
    forest: &Forest<'a>,
    standings: impl Iterator<Item = Standing>,
) -> Vec<Finding<'a>> {
    let cycles = forest.cycle_positions().iter().map(|cycle| {
        let tasks: Vec<&TaskDump> = cycle.iter().map(|at| forest.task(*at)).collect();
        Finding {
            urgency: Urgency::InCycle,
            sure: sure_of_cycle(tasks.iter().copied()),
            tasks,
        }
    });
    let mut by_urgency: BTreeMap<Urgency, Vec<&TaskDump>> = BTreeMap::new();
    for (task, standing) in forest.dump().tasks().zip(standings) {
        if standing.urgency.is_marked() && standing.urgency != Urgency::InCycle {
            by_urgency.entry(standing.urgency).or_default().push(task);
        }
    }
    let others = by_urgency.into_iter().map(|(urgency, mut tasks)| {
        tasks.sort_by_key(|task| (Reverse(task.in_state()), task.id()));
        let sure = match urgency {
            Urgency::NoWaker
                if tasks
                    .iter()
                    .all(|task| sure_of_no_waker(task) == Sure::Certain) =>
            {
                Sure::Certain
            }
            urgency => urgency.sure(),
        };
        Finding {
            urgency,
            sure,
            tasks,
        }
    });
    cycles.chain(others).collect()
}

/// The leaves of a tree as their positions in the order of [`walk`], those first that say most: what is held,
/// then what is most likely waited for.
#[cfg(feature = "http")]
pub(crate) fn order_of_leaves(tree: &Tree) -> Vec<usize> {
    let mut leaves = leaves(&tree.frames);
    leaves.sort_by_key(|leaf| (leaf.frame.wait() != Some(Wait::NotPolled), leaf.rank));
    leaves.into_iter().map(|leaf| leaf.at).collect()
}

/// Several tasks wait for locks, and none of them goes on: it is likely that each holds what another waits
/// for. If some have come lately, the others have to have waited for long.
fn mark_stuck(tasks: &[&TaskDump], all: &mut [Standing]) {
    let waits: Vec<(usize, Duration)> = (0..all.len())
        .filter(|at| {
            let is_waiting = matches!(all[*at].urgency, Urgency::Long | Urgency::Suspended);
            is_waiting && all[*at].rank == Rank::Lock
        })
        .filter_map(|at| Some((at, tasks[at].in_state()?)))
        .collect();
    let none_goes_on = waits.iter().all(|(_, time)| *time >= LONG_FOR_LOCKS);
    let limit = match none_goes_on {
        true => LONG_FOR_LOCKS,
        false => LONG,
    };
    let stuck = waits.iter().filter(|(_, time)| *time >= limit);
    // Two futures of one task may wait for each other as well.
    let locks: usize = stuck.clone().map(|(at, _)| all[*at].locks).sum();
    if locks > 1 {
        for (at, _) in stuck {
            all[*at].urgency = Urgency::Stuck;
        }
    }
}

/// How the frames of a tree wait, as far as it may be wrong.
#[derive(Clone, Copy)]
struct Waits {
    no_waker: bool,
    not_polled: bool,
    yielded: bool,
    rank: Rank,
    locks: usize,
}

impl Waits {
    fn of(tree: &Tree) -> Self {
        let waits = |step: Step<'_>| step.frame.wait();
        let known: BTreeSet<Wait> = walk(&tree.frames).filter_map(waits).collect();
        let any = |wait| known.contains(&wait);
        let mut waits = leaves(&tree.frames);
        waits.retain(|leaf| leaf.frame.wait() != Some(Wait::NotPolled));
        let locks = waits.iter().filter(|leaf| leaf.rank == Rank::Lock);
        Self {
            no_waker: any(Wait::NoWaker),
            not_polled: any(Wait::NotPolled),
            yielded: any(Wait::Yielded),
            rank: waits
                .iter()
                .map(|leaf| leaf.rank)
                .min()
                .unwrap_or(Rank::Event),
            locks: locks.map(|leaf| leaf.frame.count().max(1)).sum(),
        }
    }
}

impl Urgency {
    /// A thread that `is_blocked` explains why tasks that were woken for the dump are not polled.
    fn of(task: &TaskDump, waits: Waits, in_cycle: bool, is_blocked: bool) -> Self {
        let is_over = |limit| task.in_state().is_some_and(|time| time >= limit);
        // Only the tree of the task itself has the times.
        let is_holding = || walk(task.trace().frames()).any(|step| is_held(step.frame));
        let is_unpolled = task.unpolled.is_some_and(|it| it.for_ >= LONG_FOR_A_POLL);
        let unpolled = match task.state() {
            _ if !is_unpolled => None,
            TaskState::Suspended if is_blocked => None,
            _ if is_blocked => Some(Sure::Likely),
            _ => sure_of_starved(task),
        };
        match task.state() {
            TaskState::Finished => Self::Finished,
            TaskState::Running(running) if is_over(LONG_FOR_A_POLL) => match running.computes() {
                Some(true) => Self::Computing,
                _ => Self::Blocking,
            },
            _ if in_cycle => Self::InCycle,
            _ if waits.not_polled && is_holding() => Self::Holding,
            _ if unpolled == Some(Sure::Certain) => Self::Starved,
            _ if waits.yielded && task.polls_per_second().is_some() => Self::Spinning,
            TaskState::Running(_) => Self::Running,
            TaskState::Suspended if waits.rank == Rank::Lock && is_over(LONG) => Self::Long,
            _ if unpolled.is_some() => Self::Late,
            _ if waits.no_waker => Self::NoWaker,
            TaskState::NeverPolled | TaskState::Woken => Self::Ready,
            TaskState::Suspended => Self::Suspended,
        }
    }

    /// Returns `true` if there may be a problem.
    pub(crate) fn is_marked(self) -> bool {
        self.words().is_some()
    }

    /// Returns the words for several tasks that have had the problem for [`limit`](Self::limit). Cycles have words of
    /// their own elsewhere.
    pub(crate) fn complaint(self) -> Option<&'static str> {
        let words = self.words().filter(|_| self != Self::InCycle);
        words.map(|words| words.of_many)
    }

    /// Returns the time after which a task is that urgent.
    pub(crate) fn limit(self) -> Option<AtLeast> {
        match self {
            Self::Blocking | Self::Computing | Self::Holding | Self::Starved | Self::Late => {
                Some(AtLeast(LONG_FOR_A_POLL))
            }
            Self::Stuck => Some(AtLeast(LONG_FOR_LOCKS)),
            Self::Long => Some(AtLeast(LONG)),
            _ => None,
        }
    }

    /// All urgencies with which there may be a problem.
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
    pub(crate) fn word(self) -> &'static str {
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

    /// Returns how certain the problem is.
    fn sure(self) -> Sure {
        match self {
            Self::Stuck | Self::Long | Self::Late | Self::NoWaker => Sure::Likely,
            _ => Sure::Certain,
        }
    }

    /// Returns the words for the problem, if there may be one.
    pub(crate) fn words(self) -> Option<&'static Words> {
        Some(match self {
            Self::InCycle => &Words {
                title: "deadlock",
                of_one: "waits for a task that waits for it",
                of_many: "waiting for a task that waits for it",
                meaning: "It awaits a task that awaits it: none of them can go on.",
            },
            Self::Blocking => &Words {
                title: "blocks thread",
                of_one: "blocks its thread",
                of_many: "blocking a thread, in a single poll,",
                meaning: "It has been in a single poll for a second or longer. Other tasks wait for that thread in vain.",
            },
            Self::Computing => &Words {
                title: "computes",
                of_one: "computes without yielding",
                of_many: "computing without yielding, in a single poll,",
                meaning: "It has computed in a single poll for a second or longer. Other tasks wait for that thread in vain.",
            },
            Self::Holding => &Words {
                title: "held, not polled",
                of_one: "holds a future that it does not poll",
                of_many: "holding a future without polling it",
                meaning: "It has stopped polling a future that it keeps. What that holds in turn, such as a lock, stays held.",
            },
            Self::Starved => &Words {
                title: "not polled",
                of_one: "is ready, but not polled",
                of_many: "ready, but not polled by the executor",
                meaning: "It is ready, but its executor has not polled it for a second or longer.",
            },
            Self::Spinning => &Words {
                title: "spins",
                of_one: "spins",
                of_many: "spinning: woken again by themselves all the time",
                meaning: "It wakes itself whenever it is polled, and so is polled all the time.",
            },
            Self::Stuck => &Words {
                title: "deadlock?",
                of_one: "waits for a lock, as others do, and none of them goes on",
                of_many: "waiting for locks while none of them goes on, a deadlock if each holds what another waits for,",
                meaning: "It waits for a lock, as others do, and none of them goes on: a deadlock, if each holds what another waits for.",
            },
            Self::Long => &Words {
                title: "waits long",
                of_one: "waits for a lock for long",
                of_many: "waiting for a lock",
                meaning: "It has waited for a lock, a permit, or room in a channel for ten seconds or longer.",
            },
            Self::Late => &Words {
                title: "not polled yet",
                of_one: "is ready, and has not been polled since",
                of_many: "ready, and not polled since,",
                meaning: "It was made, or woken for this dump, a second ago or earlier, and has not been polled since: its executor does not poll it, or the process gets too little processor time.",
            },
            Self::NoWaker => &Words {
                title: "no waker",
                of_one: "registered no waker in this poll",
                of_many: "registered no waker in this poll: nothing can wake it, unless it kept that of an earlier one",
                meaning: "It registered no waker in this poll: nothing can wake it, unless it kept that of an earlier one.",
            },
            Self::Running | Self::Ready | Self::Suspended | Self::Finished => return None,
        })
    }
}

/// The words for a problem.
#[cfg_attr(not(feature = "http"), allow(dead_code, reason = "the page says it"))]
pub(crate) struct Words {
    /// In a word or two.
    pub(crate) title: &'static str,
    /// For one task.
    pub(crate) of_one: &'static str,
    /// For several tasks, whose numbers follow.
    pub(crate) of_many: &'static str,
    /// In sentences.
    pub(crate) meaning: &'static str,
}

/// `for 10s or longer`.
pub(crate) struct AtLeast(Duration);

impl fmt::Display for AtLeast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "for {}s or longer", self.0.as_secs())
    }
}

fn is_in_a_long_poll(task: &TaskDump) -> bool {
    matches!(task.state(), TaskState::Running(running) if running.duration() >= LONG_FOR_A_POLL)
}

/// A moment is nothing: a `select!` holds the futures that it does not poll while it handles what
/// another has returned.
fn is_held(frame: &Frame) -> bool {
    let is_long = |time| time >= LONG_FOR_A_POLL;
    frame.wait() == Some(Wait::NotPolled) && frame.not_polled_for().is_some_and(is_long)
}
