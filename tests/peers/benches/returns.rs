//! Measures annotated functions that return at once, in several shapes: the mean, and the worst shape.

use tasktrace_benches::goals::{self, Figure};
use tasktrace_benches::returns::cases;
use tasktrace_benches::{OURS, compare, header};

const TIMES: u32 = 100_000;

/// The peer that the goals compare with. await-tree annotates calls instead of functions.
const PEER: &str = "async-backtrace";

fn main() {
    header("Calls that return at once, nobody asks");
    let measured: Vec<_> = cases()
        .into_iter()
        .map(|case| compare(case, TIMES))
        .collect();
    let mean = |figures: &dyn Fn(usize) -> f64| {
        let logarithms = (0..measured.len()).map(|at| figures(at).ln());
        (logarithms.sum::<f64>() / measured.len() as f64).exp()
    };
    let ratio = |at: usize| measured[at].ratio(OURS, PEER);
    let figure = |ours, peer, ratio| Figure {
        ours,
        best_peer: Some((PEER.to_owned(), peer)),
        ratio: Some(ratio),
    };
    let ours = mean(&|at| measured[at].median(OURS));
    let peer = mean(&|at| measured[at].median(PEER));
    goals::note("returns-mean", &figure(ours, peer, mean(&ratio)));
    let worst = (0..measured.len()).max_by(|one, other| ratio(*one).total_cmp(&ratio(*other)));
    let worst = worst.expect("there are shapes");
    let (ours, peer) = (measured[worst].median(OURS), measured[worst].median(PEER));
    goals::note("returns-worst", &figure(ours, peer, ratio(worst)));
}
