//! Measures polls of many tasks in random order, as in a server: no part of a task is in the cache.

use tasktrace_benches::cases::registry;
use tasktrace_benches::scattered::cases;
use tasktrace_benches::{compare_in_rounds, header, is_bench};

/// The number of tasks: more than fit in a cache.
const TASKS: usize = 300_000;

/// A number of tasks that fit in a cache.
const FEW: usize = 1_000;

fn main() {
    let registry = registry();
    let many = if is_bench() { TASKS } else { FEW };
    for (count, is_goal) in [(many, true), (FEW, false)] {
        header(&format!("{count} tasks in random order, nobody asks"));
        for (goal, case) in cases(count, &registry) {
            let names: Vec<&str> = case.alternatives.iter().map(|(name, _)| *name).collect();
            let measured = compare_in_rounds(7, case, many as u32);
            if is_goal {
                // The first two alternatives are the functions without annotations, and tasktrace.
                measured.note(goal, &names[2..]);
            }
        }
    }
}
