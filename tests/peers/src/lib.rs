//! Measures alternatives in turns, and prints a comparison.
//!
//! Other programs may keep the machine busy, and busier at one time than at another. So each round measures all
//! alternatives once, and the medians of the rounds are compared: a disturbance of a round affects all alternatives.
//! Time in which other programs have the processors is not counted: see [`stopwatch`].

pub mod cases;
pub mod child;
pub mod executor;
pub mod goals;
pub mod returns;
pub mod scattered;
pub mod shapes;
pub mod stopwatch;

use std::time::Duration;

use goals::Figure;

/// The name of tasktrace in each case.
pub const OURS: &str = "tasktrace";

/// The number of rounds of a real benchmark.
const ROUNDS: usize = 31;

/// An operation, and several alternatives for it.
pub struct Case<'a> {
    /// The name of the operation.
    pub name: &'a str,
    /// The names of the alternatives, and the alternatives.
    pub alternatives: Vec<(&'a str, Alternative<'a>)>,
}

/// Performs an operation the given number of times, and returns the duration.
pub type Alternative<'a> = Box<dyn FnMut(u32) -> Duration + 'a>;

/// Returns `true` if this is a real benchmark, and not a trial run by `cargo test`.
pub fn is_bench() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

/// Prints the header of a table.
pub fn header(title: &str) {
    println!("\n{title}\n");
    println!("| | | median | best | × the first | × tasktrace |");
    println!("|---|---|---:|---:|---:|---:|");
}

/// Measures a case with `times` operations in each round, and prints it as rows of a table: the times of one operation.
///
/// Under `cargo test` there is a single short round.
pub fn compare<'a>(case: Case<'a>, times: u32) -> Measured<'a> {
    compare_in_rounds(ROUNDS, case, times)
}

/// Does the same as [`compare`] with the given number of rounds, for operations that take long.
pub fn compare_in_rounds<'a>(rounds: usize, case: Case<'a>, times: u32) -> Measured<'a> {
    let (rounds, times) = match is_bench() {
        true => (rounds, times),
        false => (1, times.div_ceil(1000)),
    };
    let Case {
        name,
        mut alternatives,
    } = case;
    // The first operations warm up and are not counted.
    for (_, alternative) in &mut alternatives {
        alternative(times.div_ceil(10));
    }
    let mut measured: Vec<Vec<f64>> = vec![Vec::with_capacity(rounds); alternatives.len()];
    for round in 0..rounds {
        // The order rotates, so that no alternative always follows the same other one.
        for at in 0..alternatives.len() {
            let at = (round + at) % alternatives.len();
            measured[at].push(alternatives[at].1(times).as_secs_f64() / f64::from(times));
        }
    }
    let measured = Measured::new(
        alternatives
            .iter()
            .map(|(alternative, _)| *alternative)
            .zip(measured)
            .collect(),
    );
    // Alternatives may print a summary when they are dropped, which follows the rows.
    measured.print(name);
    drop(alternatives);
    measured
}

/// The measured times of a case.
pub struct Measured<'a> {
    alternatives: Vec<(&'a str, Vec<f64>)>,
}

impl<'a> Measured<'a> {
    /// Collects the names of the alternatives, and their seconds in each round.
    pub fn new(alternatives: Vec<(&'a str, Vec<f64>)>) -> Self {
        Self { alternatives }
    }

    /// Notes the comparison of tasktrace with the best of `peers` as the figure for `goal`.
    pub fn note(&self, goal: &str, peers: &[&str]) {
        let best = peers.iter().min_by(|one, other| {
            let (one, other) = (self.median(one), self.median(other));
            one.total_cmp(&other)
        });
        let figure = Figure {
            ours: self.median(OURS),
            best_peer: best.map(|best| ((*best).to_owned(), self.median(best))),
            ratio: best.map(|best| self.ratio(OURS, best)),
        };
        goals::note(goal, &figure);
    }

    /// Returns the median of the ratios of two alternatives in the rounds.
    pub fn ratio(&self, one: &str, other: &str) -> f64 {
        self.ratios(one, other, [2])[0]
    }

    /// Returns the given quartiles of the ratios of two alternatives in the rounds: the second is the median.
    pub fn ratios<const N: usize>(
        &self,
        one: &str,
        other: &str,
        quartiles: [usize; N],
    ) -> [f64; N] {
        let rounds = self.rounds(one).iter().zip(self.rounds(other));
        let mut ratios: Vec<f64> = rounds.map(|(one, other)| one / other).collect();
        ratios.sort_unstable_by(f64::total_cmp);
        quartiles.map(|quartile| ratios[quartile * (ratios.len() - 1) / 4])
    }

    /// Returns the median of the seconds of an alternative in the rounds.
    pub fn median(&self, alternative: &str) -> f64 {
        median(self.rounds(alternative).iter().copied())
    }

    fn rounds(&self, alternative: &str) -> &[f64] {
        let found = self
            .alternatives
            .iter()
            .find(|(name, _)| *name == alternative);
        &found.expect("it was measured").1
    }

    /// Prints the case as rows of a table.
    pub fn print(&self, name: &str) {
        let has_ours = self
            .alternatives
            .iter()
            .any(|(alternative, _)| *alternative == OURS);
        for (alternative, rounds) in &self.alternatives {
            let to_ours = match has_ours {
                true => format!("{:.2}", self.ratio(alternative, OURS)),
                false => String::new(),
            };
            let best = rounds.iter().copied().fold(f64::INFINITY, f64::min);
            println!(
                "| {name} | {alternative} | {} | {} | {:.2} | {to_ours} |",
                time(self.median(alternative)),
                time(best),
                self.ratio(alternative, self.alternatives[0].0),
            );
        }
    }
}

/// Returns the median.
pub fn median(all: impl IntoIterator<Item = f64>) -> f64 {
    let mut all: Vec<f64> = all.into_iter().collect();
    all.sort_unstable_by(f64::total_cmp);
    all[all.len() / 2]
}

/// Formats a time in seconds.
pub fn time(seconds: f64) -> String {
    match seconds.abs() {
        size if size < 1e-6 => format!("{:.1} ns", seconds * 1e9),
        size if size < 1e-3 => format!("{:.2} µs", seconds * 1e6),
        size if size < 1.0 => format!("{:.2} ms", seconds * 1e3),
        _ => format!("{seconds:.2} s"),
    }
}
