//! Finds cycles of tasks that wait for each other, and decides which cycles are reported as likely deadlocks.
//!
//! A cycle is found in what was read of each task. Two more facts make it a deadlock:
//!
//! * Nothing else holds a lock of the cycle. A guard in the variable of a future may have been dropped, which memory
//!   does not show, while a thread or an object on the heap holds the lock. But each guard has a pointer to its lock.
//!   So all memory is searched for such pointers. If all pointers are in futures whose guards are known, one of these
//!   futures holds the lock.
//! * Its tasks wait at the same time. Tasks of a running process are read one after the other, so those of a cycle, and
//!   all that wait for its locks or hold them, are read again together, and again, until nothing changed meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::thread;
use std::time::Duration;

use crate::address::Address;
use crate::build::{self, ReadTask};
use crate::decode::Resource;
use crate::graph::Graph;
use crate::limits::Deadline;
use crate::memory::{self, Region, Thread, region_of};
use crate::parked::ParkedFrames;
use crate::report::{HeldKind, Missing};
use crate::task_reader::{ATTEMPTS, TaskReader};

/// The number of times that the tasks of a cycle must be found waiting.
const ROUNDS: usize = 2;

/// The time between two rounds.
const PAUSE: Duration = Duration::from_millis(1);

/// The size of the counters before the value in an `Arc`, as a power of two.
const COUNTERS: u32 = 4;

/// The largest alignment of a lock that is thought of, as a power of two.
const LARGEST_ALIGNMENT: u32 = 29;

const NOT_AT_ONCE: &str = "cycles of waiting tasks that changed when they were read again";
const NOT_SEARCHED: &str =
    "cycles of waiting tasks whose locks may be held elsewhere: not all memory was searched";
const MAY_BE_HELD_ELSEWHERE: &str = "cycles of waiting tasks that need not be deadlocks: a thread, or an object that is not followed, may hold one of \
     their locks";

/// Checks cycles.
pub(crate) struct Check<'c, 'v, 'a, 'd> {
    pub(crate) task_reader: &'c TaskReader<'v, 'a, 'd>,
    /// Reads the stacks of the threads.
    pub(crate) stacks: &'c dyn Fn() -> Stacks,
    /// The largest number of bytes that are searched.
    pub(crate) search: u64,
    pub(crate) deadline: Deadline,
}

impl Check<'_, '_, '_, '_> {
    /// Returns the cycles that are deadlocks, and the reasons why the others are not reported as such. Reads the tasks
    /// of all cycles again.
    pub(crate) fn deadlocks(
        &self,
        mut found: Vec<Vec<usize>>,
        tasks: &mut [ReadTask],
    ) -> (Vec<Vec<usize>>, Vec<Missing>) {
        let mut rejected: BTreeMap<&str, usize> = BTreeMap::new();
        if !self.task_reader.is_stopped {
            found.retain(|cycle| {
                let is_confirmed = self.are_a_cycle_at_once(cycle, tasks);
                if !is_confirmed {
                    *rejected.entry(NOT_AT_ONCE).or_default() += 1;
                }
                is_confirmed
            });
        }
        if !found.is_empty() {
            let elsewhere = self.pointers_elsewhere(tasks, &found);
            let graph = build::graph(tasks);
            found.retain(|cycle| {
                let reason = match &elsewhere {
                    None => NOT_SEARCHED,
                    Some(elsewhere) if self.pointers(&graph, cycle).is_disjoint(elsewhere) => {
                        return true;
                    }
                    Some(_) => MAY_BE_HELD_ELSEWHERE,
                };
                *rejected.entry(reason).or_default() += 1;
                false
            });
        }
        let rejected = rejected.into_iter().map(|(reason, count)| Missing {
            count,
            reason: reason.to_owned(),
        });
        (found, rejected.collect())
    }

    /// Reads the tasks of a cycle again, with all that wait for its locks or hold them. Returns `true` if they were a
    /// cycle each time.
    fn are_a_cycle_at_once(&self, cycle: &[usize], tasks: &mut [ReadTask]) -> bool {
        let tasks_around = tasks_around(&build::graph(tasks), cycle);
        let is_cycle = |tasks: &[ReadTask]| {
            let cycles = build::graph(tasks).cycles();
            let mut cycles = cycles.iter();
            cycles.any(|it| it.len() == cycle.len() && it.iter().all(|it| cycle.contains(it)))
        };
        (0..ROUNDS).all(|_| {
            thread::sleep(PAUSE);
            (0..ATTEMPTS).any(|_| self.task_reader.read_together(tasks, &tasks_around))
                && is_cycle(tasks)
        })
    }

    /// Returns the pointers that guards of the locks of a cycle may have.
    fn pointers(&self, graph: &Graph<'_>, cycle: &[usize]) -> BTreeSet<Address> {
        let has_owned_guards = self.task_reader.reader.types.index().has_owned_guards;
        let mut pointers = BTreeSet::new();
        for hold in graph.holds_between(cycle) {
            pointers.extend(&hold.pointers);
            // A permit that was granted is seen in the queue of the semaphore itself, not only in a variable.
            if has_owned_guards && hold.kind != HeldKind::Granted {
                pointers.extend(arcs_of(hold.lock));
            }
        }
        pointers
    }

    /// Searches memory for pointers to the locks of cycles. Returns those that are not in futures whose guards are known,
    /// nor in a free part of a stack.
    fn pointers_elsewhere(
        &self,
        tasks: &[ReadTask],
        cycles: &[Vec<usize>],
    ) -> Option<BTreeSet<Address>> {
        let graph = build::graph(tasks);
        let cycles = cycles.iter();
        let wanted: BTreeSet<Address> = cycles
            .flat_map(|cycle| self.pointers(&graph, cycle))
            .collect();
        let (Some(first), Some(last)) = (wanted.first(), wanted.last()) else {
            return Some(BTreeSet::new());
        };
        let searched = Ranges::new(
            tasks
                .iter()
                .filter(|task| task.problem.is_none())
                .flat_map(|task| task.decoded.searched.iter().cloned()),
        );
        let stacks = (self.stacks)();
        let mut elsewhere = BTreeSet::new();
        let visit = |at: Address, word: u64| {
            let word = Address::new(word);
            if (*first..=*last).contains(&word)
                && wanted.contains(&word)
                && !searched.contains(at.get())
                && !stacks.free.contains(at.get())
            {
                elsewhere.insert(word);
            }
        };
        // If this process reads itself, the queues of locks that were read before would be searched.
        self.task_reader.forget();
        let memory = self.task_reader.reader.memory;
        memory::words(memory, self.search, self.deadline, visit).then_some(elsewhere)
    }
}

/// Returns where an `Arc` with this lock may begin. The counters are before the lock, and what aligns it is between them.
/// Guards do not always say of which type their lock is, but its address is a multiple of the alignment.
fn arcs_of(lock: Address) -> impl Iterator<Item = Address> {
    let lock = lock.get();
    let largest = lock.trailing_zeros().clamp(COUNTERS, LARGEST_ALIGNMENT);
    (COUNTERS..=largest).map(move |bits| Address::new(lock.wrapping_sub(1 << bits)))
}

/// Returns the tasks of a cycle, and those that wait for its locks or hold them.
fn tasks_around(graph: &Graph<'_>, cycle: &[usize]) -> Vec<usize> {
    let locks: BTreeSet<Address> = graph
        .holds_between(cycle)
        .map(|hold| hold.semaphore)
        .collect();
    let is_around = |task: &usize| {
        let mut leaves = graph.leaves(*task).iter();
        cycle.contains(task)
            || graph.holds_any(*task, &locks)
            || leaves.any(|leaf| match leaf.resource {
                Some(Resource::Permits { semaphore, .. }) => locks.contains(semaphore),
                _ => false,
            })
    };
    (0..graph.len()).filter(is_around).collect()
}

/// The stacks of threads.
pub(crate) struct Stacks {
    /// The parts without values of the program: those that are not in use, and the frames that park a thread, except the
    /// registers that these have stored.
    free: Ranges,
}

/// The bytes below the stack pointer that a function may use.
const RED_ZONE: u64 = 128;

/// The size of a pointer.
const WORD: u64 = 8;

impl Stacks {
    /// `parked` has the frames that park threads, by thread.
    pub(crate) fn new(
        regions: &[Region],
        threads: &[Thread],
        parked: &BTreeMap<u32, ParkedFrames>,
    ) -> Self {
        let free = threads.iter().filter_map(|thread| {
            let pointer = thread.stack_pointer?;
            let region = region_of(regions, pointer)?;
            let start = region.start.get();
            let (end, stored) = match parked.get(&thread.id) {
                Some(frames) => (frames.end.get().min(region.end.get()), &frames.stored[..]),
                None => (pointer.get().saturating_sub(RED_ZONE), &[][..]),
            };
            Some(without(start..end.max(start), stored))
        });
        Self {
            free: Ranges::new(free.flatten()),
        }
    }
}

/// Returns the parts of a range between words.
fn without(range: Range<u64>, words: &[Address]) -> Vec<Range<u64>> {
    let mut parts = vec![range];
    for word in words {
        let word = word.get()..word.get().saturating_add(WORD);
        let around = |part: &Range<u64>| {
            let before = part.start..part.end.min(word.start);
            let after = part.start.max(word.end)..part.end;
            [before, after]
        };
        parts = parts.iter().flat_map(around).collect();
        parts.retain(|part| !part.is_empty());
    }
    parts
}

/// Ranges of addresses.
struct Ranges {
    /// By address, without overlaps.
    ranges: Vec<Range<u64>>,
}

impl Ranges {
    fn new(ranges: impl Iterator<Item = Range<u64>>) -> Self {
        let mut sorted: Vec<Range<u64>> = ranges.collect();
        sorted.sort_unstable_by_key(|range| range.start);
        let mut ranges: Vec<Range<u64>> = Vec::new();
        for range in sorted {
            match ranges.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => ranges.push(range),
            }
        }
        Self { ranges }
    }

    fn contains(&self, address: u64) -> bool {
        let after = self.ranges.partition_point(|range| range.start <= address);
        let range = after.checked_sub(1).and_then(|at| self.ranges.get(at));
        range.is_some_and(|range| range.contains(&address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arc_begins_before_its_lock_by_the_alignment_of_the_lock() {
        let arcs = |lock| arcs_of(Address::new(lock)).map(Address::get);
        assert!(arcs(0x1008).eq([0xff8]));
        assert!(arcs(0x1010).eq([0x1000]));
        assert!(arcs(0x1040).eq([0x1030, 0x1020, 0x1000]));
    }

    #[test]
    fn ranges_that_overlap_are_joined() {
        let ranges = Ranges::new([30..40, 10..20, 15..25, 25..26].into_iter());
        let inside = (0..50).filter(|at| ranges.contains(*at));
        assert!(inside.eq((10..26).chain(30..40)));
    }

    #[test]
    fn the_free_part_of_a_stack_ends_before_the_red_zone_or_has_no_stored_registers_of_the_program()
    {
        let region = Region {
            start: Address::new(0x1000),
            end: Address::new(0x3000),
            is_file: false,
        };
        let thread = |id, stack_pointer| Thread {
            id,
            stack_pointer,
            instruction: None,
        };
        let threads = [thread(1, Some(Address::new(0x2000))), thread(2, None)];
        let stacks = Stacks::new(std::slice::from_ref(&region), &threads, &BTreeMap::new());
        assert!(stacks.free.contains(0x1000));
        assert!(!stacks.free.contains(0x2000 - RED_ZONE));
        assert!(!stacks.free.contains(0x2800));
        let frames = ParkedFrames {
            end: Address::new(0x2800),
            stored: vec![Address::new(0x2400), Address::new(0x2700)],
        };
        let stacks = Stacks::new(&[region], &threads, &BTreeMap::from([(1, frames)]));
        assert!(stacks.free.contains(0x27ff) && !stacks.free.contains(0x2800));
        let stored = (0x2000..0x2800).filter(|at| !stacks.free.contains(*at));
        assert!(stored.eq((0x2400..0x2408).chain(0x2700..0x2708)));
    }
}
