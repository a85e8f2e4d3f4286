//! Measures the cost of the annotation of one function while nothing captures it: tasktrace, and its peers.

use tasktrace_benches::cases::{cases, registry};
use tasktrace_benches::{compare, header};

const TIMES: u32 = 100_000;

fn main() {
    header("One annotated function, nobody asks");
    let registry = registry();
    for (goal, case) in cases(&registry) {
        let names: Vec<&str> = case.alternatives.iter().map(|(name, _)| *name).collect();
        // The first two alternatives are the function without annotation, and tasktrace.
        compare(case, TIMES).note(goal, &names[2..]);
    }
}
