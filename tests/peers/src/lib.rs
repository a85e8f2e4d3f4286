//! Measures alternatives in turns, and prints how they compare.
//!
//! The machine that this runs on may be busy, and busier at one time than at another. So all
//! alternatives are measured once, then all once more, and so on, and it is their medians that are
//! compared: what disturbs one round disturbs each of them. And what others have of the time of the
//! processors is not counted: see [`stopwatch`].

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

/// What tasktrace is called in each case.
pub const OURS: &str = "tasktrace";

/// How many rounds there are, unless the benchmark is only tried out.
const ROUNDS: usize = 31;

/// One thing to do, and several ways to do it.
pub struct Case<'a> {
    /// What is done.
    pub name: &'a str,
    /// Who does it, and a function that returns how long it takes to do it that often, once.
    pub ways: Vec<(&'a str, Way<'a>)>,
}

/// Does something as often as it is told, and returns how long that takes.
pub type Way<'a> = Box<dyn FnMut(u32) -> Duration + 'a>;

/// Whether it is the real thing, and not `cargo test`, which only tries out.
pub fn is_bench() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

/// Prints the header of a table.
pub fn header(title: &str) {
    println!("\n{title}\n");
    println!("| | | median | best | × the first | × tasktrace |");
    println!("|---|---|---:|---:|---:|---:|");
}

/// Measures a case, and prints it as rows of a table: the times of one of `times`.
///
/// Under `cargo test` there is a single short round.
pub fn compare<'a>(case: Case<'a>, times: u32) -> Measured<'a> {
    compare_in_rounds(ROUNDS, case, times)
}

/// As [`compare`], for what takes so long that there can be only so many rounds.
pub fn compare_in_rounds<'a>(rounds: usize, case: Case<'a>, times: u32) -> Measured<'a> {
    let (rounds, times) = match is_bench() {
        true => (rounds, times),
        false => (1, times.div_ceil(1000)),
    };
    let Case { name, mut ways } = case;
    // Not counted: the first of it warms up.
    for (_, way) in &mut ways {
        way(times.div_ceil(10));
    }
    let mut measured: Vec<Vec<f64>> = vec![Vec::with_capacity(rounds); ways.len()];
    for round in 0..rounds {
        // Nobody always comes after the same.
        for at in 0..ways.len() {
            let at = (round + at) % ways.len();
            measured[at].push(ways[at].1(times).as_secs_f64() / f64::from(times));
        }
    }
    let measured = Measured::new(ways.iter().map(|(way, _)| *way).zip(measured).collect());
    // Whoever has something to tell when it is over tells it after the rows.
    measured.print(name);
    drop(ways);
    measured
}

/// What was measured of a case.
pub struct Measured<'a> {
    ways: Vec<(&'a str, Vec<f64>)>,
}

impl<'a> Measured<'a> {
    /// Who, and the seconds that it took in each round.
    pub fn new(ways: Vec<(&'a str, Vec<f64>)>) -> Self {
        Self { ways }
    }

    /// Notes how tasktrace compares with the best of these peers.
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

    /// The median of the ratios that two had in the rounds.
    pub fn ratio(&self, one: &str, other: &str) -> f64 {
        self.ratios(one, other, [2])[0]
    }

    /// Some of the quartiles of the ratios that two had in the rounds: the second is the median.
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

    /// The median of the seconds that it took in the rounds.
    pub fn median(&self, way: &str) -> f64 {
        median(self.rounds(way).iter().copied())
    }

    fn rounds(&self, way: &str) -> &[f64] {
        let found = self.ways.iter().find(|(name, _)| *name == way);
        &found.expect("it was measured").1
    }

    /// Prints it as rows of a table.
    pub fn print(&self, name: &str) {
        let has_ours = self.ways.iter().any(|(way, _)| *way == OURS);
        for (way, rounds) in &self.ways {
            let to_ours = match has_ours {
                true => format!("{:.2}", self.ratio(way, OURS)),
                false => String::new(),
            };
            let best = rounds.iter().copied().fold(f64::INFINITY, f64::min);
            println!(
                "| {name} | {way} | {} | {} | {:.2} | {to_ours} |",
                time(self.median(way)),
                time(best),
                self.ratio(way, self.ways[0].0),
            );
        }
    }
}

/// The one in the middle.
pub fn median(all: impl IntoIterator<Item = f64>) -> f64 {
    let mut all: Vec<f64> = all.into_iter().collect();
    all.sort_unstable_by(f64::total_cmp);
    all[all.len() / 2]
}

/// Spells out a time in seconds.
pub fn time(seconds: f64) -> String {
    match seconds.abs() {
        size if size < 1e-6 => format!("{:.1} ns", seconds * 1e9),
        size if size < 1e-3 => format!("{:.2} µs", seconds * 1e6),
        size if size < 1.0 => format!("{:.2} ms", seconds * 1e3),
        _ => format!("{seconds:.2} s"),
    }
}
