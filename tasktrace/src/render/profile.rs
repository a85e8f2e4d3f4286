//! Writes profiles as text, and converts their stacks to samples for the other formats.
//!
//! ```text
//! 20.4s waited by up to 3 tasks in 10.0s: 991 samples, 0.3% of a core
//! 9 more samples were due, but skipped to save processor time
//!
//! 20.0s (98.0%) app::worker, suspended: 2.0 tasks on average
//!   ╼ app::worker at src/main.rs:20:5
//!    └╼ tokio::sync::Mutex::lock at tokio-1.54.1/src/sync/mutex.rs:455:15
//! ```

use std::fmt::{self, Write};
use std::time::Duration;

use super::attribution::TaskSample;
use super::duration::HumanDuration;
use super::frame_summary::FrameSummary;
use super::header::INDENT;
use super::line_writer::{DetailLevel, LineWriter, Style};
use super::siblings::SiblingFolder;
use super::walk::walk;
use super::weight::Weight;
use super::{folded, text};
use crate::dump::StateKind;
use crate::profile::{Profile, ProfileStack};

impl ProfileStack {
    /// Returns the stack as a sample of tasks, for the formats that attribute tasks to paths.
    pub(super) fn as_sample(&self) -> TaskSample<'_> {
        TaskSample {
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
        super::from_fn(move |f| {
            let samples = self.stacks().iter().map(ProfileStack::as_sample);
            folded::write(&folded::fold(samples, weight), f)
        })
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
        super::ansi(|out| write(self, out))
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(self, &mut LineWriter::new(Style::Plain, f))
    }
}

fn write(profile: &Profile, out: &mut LineWriter<'_, '_>) -> fmt::Result {
    out.line("")?;
    summary(profile, out)?;
    let all = profile.waited();
    let mut missing = None;
    for stack in profile.stacks() {
        out.line("")?;
        out.line("")?;
        out.bold()?;
        if stack.state_kind.waits() {
            let percent = 100.0 * ratio(stack.waited, all);
            write!(out, "{} ({percent:.1}%) ", HumanDuration(stack.waited))?;
        }
        out.write_str(&stack.name)?;
        out.normal()?;
        write!(out, ", {}: ", state_text(stack.state_kind))?;
        average(profile, stack, out)?;
        let frames = &stack.tree.frames;
        let summaries = vec![FrameSummary::default(); walk(frames).count()];
        let folder = SiblingFolder::new(frames, summaries, DetailLevel::Simplified);
        text::frames(out, INDENT, frames, folder)?;
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

/// Writes the totals of a profile, and how complete it is: `20.4s waited by up to 3 tasks in 10.0s: 991 samples, 0.3%
/// of a core`.
fn summary(profile: &Profile, out: &mut LineWriter<'_, '_>) -> fmt::Result {
    let tasks = match profile.most_tasks() {
        1 => "1 task".to_owned(),
        tasks => format!("up to {tasks} tasks"),
    };
    let lasted = HumanDuration(profile.lasted());
    match profile.samples() {
        0 => write!(out, "no samples were taken in {lasted}")?,
        samples => {
            let waited = HumanDuration(profile.waited());
            let samples = plural(samples, "sample");
            write!(out, "{waited} waited by {tasks} in {lasted}: {samples}")?;
        }
    }
    let percent = 100.0 * ratio(profile.cost(), profile.lasted());
    write!(out, ", {percent:.1}% of a core")?;
    if profile.samples() > 0 && profile.portion() < 1.0 {
        out.line("")?;
        write!(
            out,
            "each sample is of {:.1}% of the tasks on average, chosen at random, and the times are extrapolated to \
             all tasks",
            100.0 * profile.portion()
        )?;
    }
    if profile.skipped() > 0 {
        let skipped = match profile.skipped() {
            1 => "1 more sample was".to_owned(),
            more => format!("{more} more samples were"),
        };
        out.line("")?;
        write!(out, "{skipped} due, but skipped to save processor time")?;
        if profile.samples() < FEW_SAMPLES {
            out.write_str(
                ": with so few samples the times are rough, so let the profile run longer",
            )?;
        }
    }
    Ok(())
}

/// The number of samples below which the times of a profile are inaccurate.
const FEW_SAMPLES: u64 = 20;

/// Writes the average number of tasks that had a stack at the same time, or the number of times that it was seen.
fn average(profile: &Profile, stack: &ProfileStack, out: &mut LineWriter<'_, '_>) -> fmt::Result {
    let average = ratio(stack.time, profile.sampled());
    match average {
        0.95.. => write!(out, "{average:.1} tasks on average"),
        _ => write!(out, "seen {}", plural(stack.seen, "time")),
    }
}

fn plural(count: u64, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    }
}

fn ratio(part: Duration, whole: Duration) -> f64 {
    match whole.is_zero() {
        true => 0.0,
        false => part.as_secs_f64() / whole.as_secs_f64(),
    }
}

fn state_text(state_kind: StateKind) -> &'static str {
    match state_kind {
        StateKind::NeverPolled => "not polled yet",
        StateKind::Running => "running",
        StateKind::Suspended => "suspended",
        StateKind::Woken => "woken, but not polled yet",
        StateKind::Finished => "finished",
    }
}

#[cfg(test)]
mod tests;
