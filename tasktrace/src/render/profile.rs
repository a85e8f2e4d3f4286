//! Profiles: as text, and as what other formats are made of.
//!
//! ```text
//! 20.4s waited by up to 3 tasks in 10.0s: 991 samples, 0.3% of a core
//! 9 more samples were due, but left out to spare the processor
//!
//! 20.0s (98.0%) app::worker, suspended: 2.0 tasks on average
//!   ╼ app::worker at src/main.rs:20:5
//!    └╼ tokio::sync::Mutex::lock at tokio-1.54.1/src/sync/mutex.rs:455:15
//! ```

use std::fmt::{self, Write};
use std::time::Duration;

use super::duration::Human;
use super::fold::Telling;
use super::header::INDENT;
use super::known::Known;
use super::out::{Detail, Out, Style};
use super::walk::walk;
use super::weigh::Seen;
use super::weight::Weight;
use super::{folded, text};
use crate::dump::StateKind;
use crate::profile::{Profile, Stack};

impl Stack {
    pub(super) fn as_seen(&self) -> Seen<'_> {
        Seen {
            name: &self.name,
            label: None,
            task: None,
            state_kind: self.state_kind,
            tree: &self.tree,
            count: self.seen,
            waited: self.waited,
        }
    }
}

impl Profile {
    /// Returns the profile as folded stacks, for flamegraph tools: see [`Dump::folded`](crate::Dump::folded).
    ///
    /// The numbers are the time waited in microseconds, or the number of times that a task was seen.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tasktrace::Weight;
    ///
    /// let (_future, _handle) = tasktrace::traced(std::future::pending::<()>());
    /// let profile = tasktrace::profile()
    ///     .lasting(Duration::from_millis(50))
    ///     .run_blocking();
    /// for line in profile.folded(Weight::Waited).to_string().lines() {
    ///     let (stack, micros) = line.rsplit_once(' ').unwrap();
    ///     println!("{micros} µs in {stack}");
    /// }
    /// ```
    pub fn folded(&self, weight: Weight) -> impl fmt::Display + '_ {
        folded::Folded(move || folded::fold(self.stacks().iter().map(Stack::as_seen), weight))
    }

    /// Returns the text of `{}` with ANSI colours, for terminals.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let profile = tasktrace::profile()
    ///     .lasting(Duration::from_millis(50))
    ///     .run_blocking();
    /// println!("{}", profile.ansi());
    /// ```
    pub fn ansi(&self) -> impl fmt::Display + '_ {
        super::Ansi(|out: &mut Out<'_, '_>| write(self, out))
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(self, &mut Out::new(Style::Plain, f))
    }
}

fn write(profile: &Profile, out: &mut Out<'_, '_>) -> fmt::Result {
    out.line("")?;
    summary(profile, out)?;
    let all = profile.waited();
    let mut missing = None;
    for stack in profile.stacks() {
        out.line("")?;
        out.line("")?;
        out.bold()?;
        if stack.state_kind.waits() {
            let percent = 100.0 * part(stack.waited, all);
            write!(out, "{} ({percent:.1}%) ", Human(stack.waited))?;
        }
        out.write_str(&stack.name)?;
        out.normal()?;
        write!(out, ", {}: ", words(stack.state_kind))?;
        average(profile, stack, out)?;
        let known = Known {
            age: None,
            not_polled_for: None,
            label: None,
            labels_differ: false,
        };
        let frames = &stack.tree.frames;
        let telling = Telling::new(frames, vec![known; walk(frames).count()], Detail::Tidy);
        text::frames(out, INDENT, frames, telling)?;
        missing = missing.or(stack.tree.notes.missing);
    }
    match missing {
        Some(missing) => {
            out.line("")?;
            text::missing(out, missing)
        }
        None => Ok(()),
    }
}

/// `20.4s waited by up to 3 tasks in 10.0s: 991 samples, 0.3% of a core`, and below how much was left out.
fn summary(profile: &Profile, out: &mut Out<'_, '_>) -> fmt::Result {
    let tasks = match profile.most_tasks() {
        1 => "1 task".to_owned(),
        tasks => format!("up to {tasks} tasks"),
    };
    let lasted = Human(profile.lasted());
    match profile.samples() {
        0 => write!(out, "nothing is known of these {lasted}: no samples")?,
        samples => {
            let waited = Human(profile.waited());
            let samples = plural(samples, "sample");
            write!(out, "{waited} waited by {tasks} in {lasted}: {samples}")?;
        }
    }
    let percent = 100.0 * part(profile.cost(), profile.lasted());
    write!(out, ", {percent:.1}% of a core")?;
    if profile.samples() > 0 && profile.portion() < 1.0 {
        out.line("")?;
        write!(
            out,
            "each sample is of {:.1}% of the tasks on average, chosen by chance, and the times are reckoned for all \
             tasks from these",
            100.0 * profile.portion()
        )?;
    }
    if profile.skipped() > 0 {
        let skipped = match profile.skipped() {
            1 => "1 more sample was".to_owned(),
            more => format!("{more} more samples were"),
        };
        out.line("")?;
        write!(out, "{skipped} due, but left out to spare the processor")?;
        if profile.samples() < FEW_SAMPLES {
            out.write_str(
                ": with so few samples the times are rough, so let the profile take longer",
            )?;
        }
    }
    Ok(())
}

/// Fewer samples than this say little.
const FEW_SAMPLES: u64 = 20;

/// How many tasks there were at a time.
fn average(profile: &Profile, stack: &Stack, out: &mut Out<'_, '_>) -> fmt::Result {
    let average = part(stack.time, profile.sampled());
    match average {
        0.95.. => write!(out, "{average:.1} tasks on average"),
        _ => write!(out, "seen {}", plural(stack.seen, "time")),
    }
}

fn plural(count: u64, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

fn part(part: Duration, whole: Duration) -> f64 {
    match whole.is_zero() {
        true => 0.0,
        false => part.as_secs_f64() / whole.as_secs_f64(),
    }
}

fn words(state_kind: StateKind) -> &'static str {
    match state_kind {
        StateKind::NeverPolled => "not polled yet",
        StateKind::Running => "running",
        StateKind::Suspended => "suspended",
        StateKind::Woken => "woken, not polled since",
        StateKind::Finished => "finished",
    }
}

#[cfg(test)]
mod tests;
