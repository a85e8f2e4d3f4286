//! Measures alternatives in turns, and prints how they compare.
//!
//! The machine that this runs on may be busy, and busier at one time than at another. So all
//! alternatives are measured once, then all once more, and so on, and it is their medians that are
//! compared: what disturbs one round disturbs each of them.

use std::time::Duration;

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

/// Prints the header of a table.
pub fn header(title: &str) {
    println!("\n{title}\n");
    println!("| | | median | best | × the first | × tasktrace |");
    println!("|---|---|---:|---:|---:|---:|");
}

/// Measures a case, and prints it as rows of a table: the times of one of `times`.
///
/// Under `cargo test` there is a single short round.
pub fn compare(case: Case<'_>, times: u32) {
    let (rounds, times) = match std::env::args().any(|argument| argument == "--bench") {
        true => (ROUNDS, times),
        false => (1, times.div_ceil(1000)),
    };
    let Case { name, mut ways } = case;
    // Not counted: the first of it warms up.
    for (_, way) in &mut ways {
        way(times.div_ceil(10));
    }
    let mut measured: Vec<Vec<f64>> = vec![Vec::with_capacity(rounds); ways.len()];
    for _ in 0..rounds {
        for ((_, way), measured) in ways.iter_mut().zip(&mut measured) {
            measured.push(way(times).as_secs_f64() / f64::from(times));
        }
    }
    let medians: Vec<f64> = measured.iter_mut().map(|all| median(all)).collect();
    let ours = ways.iter().position(|(way, _)| *way == "tasktrace");
    for (at, (way, _)) in ways.iter().enumerate() {
        let to_ours = ours.map_or_else(String::new, |ours| {
            format!("{:.2}", medians[at] / medians[ours])
        });
        println!(
            "| {name} | {way} | {} | {} | {:.2} | {to_ours} |",
            time(medians[at]),
            time(measured[at][0]),
            medians[at] / medians[0],
        );
    }
}

/// Sorts them, and returns the one in the middle.
fn median(all: &mut [f64]) -> f64 {
    all.sort_unstable_by(f64::total_cmp);
    all[all.len() / 2]
}

fn time(seconds: f64) -> String {
    match seconds {
        _ if seconds < 1e-6 => format!("{:.1} ns", seconds * 1e9),
        _ if seconds < 1e-3 => format!("{:.2} µs", seconds * 1e6),
        _ => format!("{:.2} ms", seconds * 1e3),
    }
}
