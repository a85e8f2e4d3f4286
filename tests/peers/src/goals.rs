//! Defines the goals for the costs of tasktrace, and the file in which the benchmarks note the measured costs.
//!
//! The benchmarks are separate programs. Each notes its figures in the file that the environment variable [`FIGURES`]
//! names, if it is set, and `report` makes a table of them.

use std::fs::{self, OpenOptions};
use std::io::Write as _;

/// The environment variable that names the file of figures.
pub const FIGURES: &str = "PEERS_FIGURES";

/// A goal: one row of the table.
pub struct Goal {
    /// The name of the goal in the benchmarks.
    pub id: &'static str,
    /// A description of the measured operation.
    pub what: &'static str,
    /// The unit of its figures.
    pub unit: Unit,
    /// The bound of its figures.
    pub bound: Bound,
}

/// The unit of a figure.
#[derive(Clone, Copy)]
pub enum Unit {
    /// Seconds.
    Time,
    /// Bytes.
    Bytes,
    /// A part of the whole, from 0 to 1.
    Part,
    /// A multiple.
    Times,
}

/// The bound of a figure.
#[derive(Clone, Copy)]
pub enum Bound {
    /// At most this multiple of the best peer's figure.
    OfBestPeer(f64),
    /// Less than the best peer's figure.
    LessThanBestPeer,
    /// At most this figure.
    Absolute(f64),
    /// Any figure.
    None,
}

/// The result of a measurement for a goal.
pub struct Figure {
    /// The figure of tasktrace.
    pub ours: f64,
    /// The name and the figure of the best peer, if a peer has the operation.
    pub best_peer: Option<(String, f64)>,
    /// The ratio of tasktrace's figure to the best peer's.
    pub ratio: Option<f64>,
}

const fn goal(id: &'static str, what: &'static str, unit: Unit, bound: Bound) -> Goal {
    Goal {
        id,
        what,
        unit,
        bound,
    }
}

/// All goals, in the order of the table.
pub const GOALS: &[Goal] = &[
    goal(
        "root-poll",
        "root: a poll",
        Unit::Time,
        Bound::OfBestPeer(1.1),
    ),
    goal(
        "nested-poll",
        "nested: a poll",
        Unit::Time,
        Bound::OfBestPeer(0.9),
    ),
    goal(
        "root-ready",
        "root: create, ready poll, drop",
        Unit::Time,
        Bound::OfBestPeer(0.6),
    ),
    goal(
        "nested-ready",
        "nested: create, ready poll, drop",
        Unit::Time,
        Bound::OfBestPeer(0.65),
    ),
    goal(
        "root-life",
        "root: create, pending, ready poll, drop",
        Unit::Time,
        Bound::OfBestPeer(0.7),
    ),
    goal(
        "nested-life",
        "nested: create, pending, ready poll, drop",
        Unit::Time,
        Bound::OfBestPeer(0.9),
    ),
    goal(
        "cold-root",
        "300,000 tasks in random order: a poll of a root",
        Unit::Time,
        Bound::OfBestPeer(0.8),
    ),
    goal(
        "cold-nested",
        "300,000 tasks in random order: a poll of a root with two suspended calls",
        Unit::Time,
        Bound::OfBestPeer(0.6),
    ),
    goal(
        "cold-request",
        "300,000 tasks in random order: a poll of a request (three suspended calls, two that return at once)",
        Unit::Time,
        Bound::OfBestPeer(0.6),
    ),
    goal(
        "returns-mean",
        "calls that return at once, ten shapes: geometric mean",
        Unit::Time,
        Bound::OfBestPeer(0.65),
    ),
    goal(
        "returns-worst",
        "calls that return at once, ten shapes: the worst",
        Unit::Time,
        Bound::OfBestPeer(0.95),
    ),
    goal(
        "capture",
        "capture of 10,000 tasks ten frames deep, per task, time of the executor",
        Unit::Time,
        Bound::OfBestPeer(0.35),
    ),
    goal(
        "snapshot",
        "snapshot of 1,000,000 suspended tasks",
        Unit::Time,
        Bound::Absolute(0.4),
    ),
    goal(
        "dump",
        "dump of 10,000 tasks in 20 shapes, printed",
        Unit::Time,
        Bound::OfBestPeer(0.03),
    ),
    goal(
        "cold",
        "first print in a process",
        Unit::Time,
        Bound::OfBestPeer(1.1),
    ),
    goal(
        "root-bytes",
        "bytes added by a suspended root",
        Unit::Bytes,
        Bound::None,
    ),
    goal(
        "nested-bytes",
        "bytes added by a suspended call, the only one of its task",
        Unit::Bytes,
        Bound::None,
    ),
    goal(
        "nested-bytes-deep",
        "bytes added by a suspended call, one of ten",
        Unit::Bytes,
        Bound::None,
    ),
    goal(
        "ready-bytes",
        "bytes allocated by a call that is never suspended",
        Unit::Bytes,
        Bound::Absolute(0.0),
    ),
    goal(
        "server",
        "throughput that a server loses, nobody asks",
        Unit::Part,
        Bound::Absolute(0.01),
    ),
    goal(
        "server-dump",
        "throughput that a server loses, a dump each second",
        Unit::Part,
        Bound::Absolute(0.03),
    ),
    goal(
        "scale",
        "create, suspend, drop: the slowest of 1,000 or 1,000,000 live tasks, 1 or 2 threads, to the fastest",
        Unit::Times,
        Bound::Absolute(1.5),
    ),
    goal(
        "compile-dev",
        "time to compile, per attribute, `dev`",
        Unit::Time,
        Bound::LessThanBestPeer,
    ),
    goal(
        "compile-release",
        "time to compile, per attribute, `release`",
        Unit::Time,
        Bound::LessThanBestPeer,
    ),
    goal(
        "text",
        "`.text` added per attribute, `release`",
        Unit::Bytes,
        Bound::LessThanBestPeer,
    ),
];

impl Unit {
    /// Formats an amount.
    pub fn show(self, amount: f64) -> String {
        match self {
            Self::Time => crate::time(amount),
            // Differences of means may have fractions.
            Self::Bytes if amount.fract() == 0.0 => format!("{amount:.0} B"),
            Self::Bytes => format!("{amount:.1} B"),
            Self::Part => format!("{:.1} %", amount * 100.0),
            Self::Times => format!("{amount:.2} ×"),
        }
    }
}

impl Goal {
    /// Formats the bound.
    pub fn bound(&self) -> String {
        match self.bound {
            Bound::OfBestPeer(times) => format!("≤ {times} × peer"),
            Bound::LessThanBestPeer => "< peer".to_owned(),
            Bound::Absolute(most) => format!("≤ {}", self.unit.show(most)),
            Bound::None => String::new(),
        }
    }

    /// Returns `Some(true)` if the figure keeps the bound, and `None` if there is no bound, or no peer to compare with.
    pub fn is_met(&self, figure: &Figure) -> Option<bool> {
        match self.bound {
            Bound::OfBestPeer(times) => Some(figure.ratio? <= times),
            Bound::LessThanBestPeer => Some(figure.ratio? < 1.0),
            Bound::Absolute(most) => Some(figure.ours <= most),
            Bound::None => None,
        }
    }
}

/// Appends the figure for a goal to the file of figures.
///
/// # Panics
///
/// If there is no such goal, or the file cannot be written.
pub fn note(id: &str, figure: &Figure) {
    assert!(GOALS.iter().any(|goal| goal.id == id), "no goal `{id}`");
    let Some(path) = std::env::var_os(FIGURES) else {
        return;
    };
    let (peer, best) = match &figure.best_peer {
        Some((peer, best)) => (peer.as_str(), best.to_string()),
        None => ("", String::new()),
    };
    let ratio = figure.ratio.map_or_else(String::new, |it| it.to_string());
    let file = OpenOptions::new().append(true).create(true).open(path);
    file.and_then(|mut file| writeln!(file, "{id}\t{}\t{peer}\t{best}\t{ratio}", figure.ours))
        .expect("the file of figures can be written");
}

/// Returns the last figure that was noted for a goal.
///
/// # Panics
///
/// If the file cannot be read, or contains something else than figures.
pub fn noted(path: &str, goal: &Goal) -> Option<Figure> {
    let text = fs::read_to_string(path).expect("the file of figures can be read");
    let of_goal = |line: &&str| line.split('\t').next() == Some(goal.id);
    let line = text.lines().rev().find(of_goal)?;
    let fields: Vec<&str> = line.split('\t').collect();
    let [_, ours, peer, best, ratio] = fields[..] else {
        panic!("not a figure: {line}");
    };
    Some(Figure {
        ours: ours.parse().expect("a figure is a number"),
        best_peer: best.parse().ok().map(|best| (peer.to_owned(), best)),
        ratio: ratio.parse().ok(),
    })
}
