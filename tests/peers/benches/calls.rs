//! What the annotation of one function costs, when nobody asks: tasktrace, and its peers.

use tasktrace_benches::cases::{cases, registry};
use tasktrace_benches::{compare, header};

const TIMES: u32 = 100_000;

fn main() {
    header("One annotated function, nobody asks");
    let registry = registry();
    for (goal, case) in cases(&registry) {
        let names: Vec<&str> = case.ways.iter().map(|(name, _)| *name).collect();
        // The first two are not annotated, and ours.
        compare(case, TIMES).note(goal, &names[2..]);
    }
}
