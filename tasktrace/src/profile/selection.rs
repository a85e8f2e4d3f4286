//! Selects the tasks that a sample reads.

use crate::task::{Observation, TaskView, TraceHandle, task_views};

/// A random selection of tasks, which stands for all tasks.
pub(super) struct Selection {
    /// The selected tasks that have not ended since.
    pub(super) tasks: Vec<TraceHandle>,
    /// The number of selected tasks, including those that have ended since.
    pub(super) selected_count: usize,
}

/// Returns views of all tasks that have not finished.
pub(super) fn unfinished_tasks() -> Vec<TaskView> {
    let alive = task_views().filter(|view| view.observe() != Observation::Finished);
    alive.collect()
}

/// Selects at most `max_tasks` tasks. `seed` makes the selections of different samples differ.
pub(super) fn select(all: &[TaskView], max_tasks: usize, seed: u64) -> Selection {
    let mut selected_count = 0;
    let positions = positions(all.len(), max_tasks, seed).inspect(|_| selected_count += 1);
    let tasks = positions.filter_map(|at| all[at].retain());
    let tasks: Vec<TraceHandle> = tasks.filter(|task| !task.is_finished()).collect();
    Selection {
        tasks,
        selected_count,
    }
}

/// Returns at most `max_count` positions below `length`.
///
/// They are stratified: each of equally long ranges has one random position. So all kinds of tasks are selected, even
/// if a program spawns different kinds alternately.
fn positions(length: usize, max_count: usize, seed: u64) -> impl Iterator<Item = usize> {
    let step = length.div_ceil(max_count.max(1)).max(1);
    let mut rng = SplitMix64(seed);
    (0..length).step_by(step).map(move |start| {
        let part = step.min(length - start);
        start + rng.below(part)
    })
}

/// The pseudorandom generator SplitMix64, which is deterministic for a seed.
///
/// It is written out because profiles are in the default build, which would need another dependency for these lines.
struct SplitMix64(u64);

impl SplitMix64 {
    /// Returns a number below `end`, or 0 if `end` is 0.
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
    fn all_positions_are_selected_if_they_are_few() {
        for max_count in 10..13 {
            let chosen: Vec<usize> = positions(10, max_count, 3).collect();
            assert_eq!(chosen, (0..10).collect::<Vec<_>>());
        }
        assert_eq!(positions(0, 10, 0).count(), 0);
    }

    #[test]
    fn positions_are_distinct_and_limited_in_number() {
        for length in 0..200 {
            for max_count in 1..40 {
                let chosen: Vec<usize> = positions(length, max_count, 5).collect();
                assert!(chosen.len() <= max_count);
                assert!(chosen.is_sorted_by(|one, other| one < other), "{chosen:?}");
                assert!(chosen.iter().all(|at| *at < length));
            }
        }
    }

    #[test]
    fn each_position_is_selected_about_equally_often() {
        let seeds = 2000;
        let mut counts: HashMap<usize, u32> = HashMap::new();
        for seed in 0..seeds {
            for at in positions(40, 10, seed) {
                *counts.entry(at).or_default() += 1;
            }
        }
        assert_eq!(counts.len(), 40);
        for (at, count) in counts {
            assert!((400..600).contains(&count), "{at}: {count}");
        }
    }
}
