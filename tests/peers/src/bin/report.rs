//! Makes a table of the figures that the benchmarks have noted: `report FIGURES [README]`. With a
//! second path, writes it between the markers in that file as well.

use std::fmt::Write as _;
use std::fs;
use std::process::ExitCode;

use tasktrace_benches::goals::{GOALS, Goal, noted};

const BEGIN: &str = "<!-- bench-peers -->\n";
const END: &str = "<!-- /bench-peers -->\n";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (figures, readme) = match &arguments[..] {
        [figures] => (figures, None),
        [figures, readme] => (figures, Some(readme)),
        _ => {
            eprintln!("usage: report FIGURES [README]");
            return ExitCode::FAILURE;
        }
    };
    let mut table = String::from("| goal | tasktrace | best peer | ratio | bound | |\n");
    table.push_str("|---|---:|---:|---:|---:|---|\n");
    for goal in GOALS {
        writeln!(table, "{}", row(goal, figures)).expect("strings take any text");
    }
    print!("{table}");
    match readme.map_or(Ok(()), |readme| write(readme, &table)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
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
        None => "no peer",
    };
    let ours = unit.show(figure.ours);
    format!("| {what} | {ours} | {peer} | {ratio} | {bound} | {met} |")
}

/// Replaces what is between the markers.
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
