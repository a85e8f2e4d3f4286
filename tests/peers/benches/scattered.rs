//! Polls of many tasks in random order, as a server has them: nothing of a task is in the cache.

use tasktrace_benches::cases::registry;
use tasktrace_benches::scattered::cases;
use tasktrace_benches::{compare_in_rounds, header, is_bench};

/// How many tasks there are: more than a cache holds.
const TASKS: usize = 300_000;

/// So many of them fit in a cache.
const FEW: usize = 1_000;

fn main() {
    let registry = registry();
    let many = if is_bench() { TASKS } else { FEW };
    for (count, is_goal) in [(many, true), (FEW, false)] {
        header(&format!("{count} tasks in random order, nobody asks"));
        for (goal, case) in cases(count, &registry) {
            let names: Vec<&str> = case.ways.iter().map(|(name, _)| *name).collect();
            let measured = compare_in_rounds(7, case, many as u32);
            if is_goal {
                // The first two are not annotated, and ours.
                measured.note(goal, &names[2..]);
            }
        }
    }
}
