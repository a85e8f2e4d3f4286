//! Makes a table of the figures that the benchmarks have noted: `report FIGURES [README PROFILE]`. With the optional
//! paths, writes the whole table between the markers in `PROFILE`, and a selection of rows between the markers in
//! `README`.

use std::fmt::Write as _;
use std::fs;
use std::process::ExitCode;

use tasktrace_benches::goals::{GOALS, Goal, noted};

const BEGIN: &str = "<!-- bench-peers -->\n";
const END: &str = "<!-- /bench-peers -->\n";

/// The goals in the README.
const IN_README: [&str; 8] = [
    "root-poll",
    "cold-root",
    "capture",
    "snapshot",
    "root-bytes",
    "server",
    "server-dump",
    "compile-dev",
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (figures, pages) = match &arguments[..] {
        [figures] => (figures, None),
        [figures, readme, profile] => (figures, Some((readme, profile))),
        _ => {
            eprintln!("usage: report FIGURES [README PROFILE]");
            return ExitCode::FAILURE;
        }
    };
    let all = table(figures, |_| true);
    print!("{all}");
    let written = pages.map_or(Ok(()), |(readme, profile)| {
        write(profile, &all)?;
        write(readme, &table(figures, |goal| IN_README.contains(&goal.id)))
    });
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn table(figures: &str, is_in_it: impl Fn(&Goal) -> bool) -> String {
    let mut table = String::from("| goal | tasktrace | best peer | ratio | bound | |\n");
    table.push_str("|---|---:|---:|---:|---:|---|\n");
    for goal in GOALS.iter().filter(|goal| is_in_it(goal)) {
        writeln!(table, "{}", row(goal, figures)).expect("strings take any text");
    }
    table
}

fn row(goal: &Goal, figures: &str) -> String {
    let Goal { what, unit, .. } = goal;
    let bound = goal.bound();
    let Some(figure) = noted(figures, goal) else {
        return format!("| {what} | | | | {bound} | not measured |");
    };
    let peer = match &figure.best_peer {
        Some((name, best)) => format!("{} ({name})", unit.show(*best)),
        None => String::new(),
    };
    let ratio = figure
        .ratio
        .filter(|ratio| ratio.is_finite())
        .map_or_else(String::new, |ratio| format!("{ratio:.2}"));
    let met = match goal.is_met(&figure) {
        Some(true) => "met",
        Some(false) => "**not met**",
        None if bound.is_empty() => "",
        None => "no peer",
    };
    let ours = unit.show(figure.ours);
    format!("| {what} | {ours} | {peer} | {ratio} | {bound} | {met} |")
}

/// Replaces the text between the markers.
fn write(path: &str, table: &str) -> Result<(), String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    let parts = text.split_once(BEGIN).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(END)?;
        Some((before, after))
    });
    let Some((before, after)) = parts else {
        return Err(format!(
            "{path} has no lines {} and {}",
            BEGIN.trim(),
            END.trim()
        ));
    };
    let text = format!("{before}{BEGIN}\n{table}\n{END}{after}");
    fs::write(path, text).map_err(|error| format!("{path}: {error}"))
}
