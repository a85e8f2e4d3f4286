//! Which tasks to look at.

use crate::task::{Glance, Sight, TraceHandle, glances};

/// Some of the tasks, which stand for all.
pub(super) struct Choice {
    pub(super) tasks: Vec<TraceHandle>,
    /// How many were chosen, those included that had ended by then.
    pub(super) picked: usize,
    /// How many there are.
    pub(super) all: usize,
}

/// All that have not finished, at a glance.
pub(super) fn find() -> Vec<Glance> {
    let alive = glances().filter(|glance| glance.sight() != Sight::Finished);
    alive.collect()
}

/// Chooses at most so many.
pub(super) fn choose(all: &[Glance], most: usize, turn: u64) -> Choice {
    let mut picked = 0;
    let positions = positions(all.len(), most, turn).inspect(|_| picked += 1);
    let tasks = positions.filter_map(|at| all[at].retain());
    let tasks: Vec<TraceHandle> = tasks.filter(|task| !task.is_finished()).collect();
    Choice {
        tasks,
        picked,
        all: all.len(),
    }
}

/// Positions below `length`, at most so many, and one by chance in each of parts of the same length. So
/// all kinds of tasks are among them, also where a program makes them by turns.
fn positions(length: usize, most: usize, turn: u64) -> impl Iterator<Item = usize> {
    let step = length.div_ceil(most.max(1)).max(1);
    let mut chance = Chance(turn);
    (0..length).step_by(step).map(move |start| {
        let part = step.min(length - start);
        start + chance.below(part)
    })
}

/// SplitMix64: numbers that are as if by chance, always the same for the same turn.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        let end = u64::try_from(end).unwrap_or(u64::MAX).max(1);
        usize::try_from(bits % end).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn all_if_they_are_not_too_many() {
        for most in 10..13 {
            let chosen: Vec<usize> = positions(10, most, 3).collect();
            assert_eq!(chosen, (0..10).collect::<Vec<_>>());
        }
        assert_eq!(positions(0, 10, 0).count(), 0);
    }

    #[test]
    fn not_more_than_that_and_each_once() {
        for length in 0..200 {
            for most in 1..40 {
                let chosen: Vec<usize> = positions(length, most, 5).collect();
                assert!(chosen.len() <= most);
                assert!(chosen.is_sorted_by(|one, other| one < other), "{chosen:?}");
                assert!(chosen.iter().all(|at| *at < length));
            }
        }
    }

    /// Each about as often as the others, also where tasks come by turns.
    #[test]
    fn by_chance() {
        let turns = 2000;
        let mut counts: HashMap<usize, u32> = HashMap::new();
        for turn in 0..turns {
            for at in positions(40, 10, turn) {
                *counts.entry(at).or_default() += 1;
            }
        }
        assert_eq!(counts.len(), 40);
        for (at, count) in counts {
            assert!((400..600).contains(&count), "{at}: {count}");
        }
    }
}
