//! Draws [`folded`](super::folded) stacks as flamegraphs with `inferno`.

use std::io::{self, Write};

use inferno::flamegraph::color::{BasicPalette, Palette};
use inferno::flamegraph::{Options, from_lines};

use super::attribution::{self, TaskSample};
use super::folded::{self, StackWeights};
use super::weight::Weight;
use crate::dump::Dump;
use crate::profile::{Profile, ProfileStack};
use crate::trace::Trace;

/// The number of parts into which a task is divided if some tasks wait for several things at once.
const PARTS: u64 = 100;

impl Dump {
    /// Writes the dump as a flamegraph, which is an SVG document with search and zoom.
    ///
    /// The flamegraph shows the stacks of [`folded`](Self::folded). A task that waits for several things at once is
    /// split evenly between them, even with [`Weight::Tasks`], so that no stack is missing. The output is
    /// deterministic.
    ///
    /// # Errors
    ///
    /// Returns the errors of the writer.
    ///
    /// ```
    /// use tasktrace::Weight;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let (future, _handle) = tasktrace::traced(std::future::pending::<()>());
    /// let mut svg = Vec::new();
    /// tasktrace::snapshot().write_flamegraph(Weight::Tasks, &mut svg)?;
    /// assert!(String::from_utf8_lossy(&svg).contains("<svg"));
    /// # drop(future);
    /// # Ok(())
    /// # }
    /// ```
    pub fn write_flamegraph(&self, weight: Weight, writer: impl Write) -> io::Result<()> {
        let titles = Titles::of_dump(weight);
        write(&titles, || attribution::task_samples(self), weight, writer)
    }
}

impl Trace {
    /// Writes the trace as a flamegraph, weighted by leaves: see [`Dump::write_flamegraph`].
    ///
    /// # Errors
    ///
    /// Returns the errors of the writer.
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let (_future, handle) = tasktrace::traced(std::future::pending::<()>());
    /// let mut svg = Vec::new();
    /// handle.snapshot().write_flamegraph(&mut svg)?;
    /// assert!(String::from_utf8_lossy(&svg).contains("<svg"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn write_flamegraph(&self, writer: impl Write) -> io::Result<()> {
        let titles = Titles {
            title: "Resources that the task waits for".to_owned(),
            subtitle: None,
        };
        draw(&titles, &folded::leaves(self), ("leaves", 1.0), writer)
    }
}

impl Profile {
    /// Writes the profile as a flamegraph: see [`Dump::write_flamegraph`].
    ///
    /// # Errors
    ///
    /// Returns the errors of the writer.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tasktrace::Weight;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let profile = tasktrace::profile()
    ///     .lasting(Duration::from_millis(50))
    ///     .run_blocking();
    /// let mut svg = Vec::new();
    /// profile.write_flamegraph(Weight::Waited, &mut svg)?;
    /// assert!(String::from_utf8_lossy(&svg).contains("<svg"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn write_flamegraph(&self, weight: Weight, writer: impl Write) -> io::Result<()> {
        let samples = || self.stacks().iter().map(ProfileStack::as_sample);
        write(&Titles::of_profile(self, weight), samples, weight, writer)
    }
}

/// The texts above the flames.
struct Titles {
    title: String,
    subtitle: Option<String>,
}

impl Titles {
    fn of_dump(weight: Weight) -> Self {
        let title = match weight {
            Weight::Tasks => "Where tasks are",
            Weight::Waited => "Where tasks have been waiting",
        };
        Self {
            title: title.to_owned(),
            subtitle: None,
        }
    }

    fn of_profile(profile: &Profile, weight: Weight) -> Self {
        let lasted = profile.lasted().as_secs_f64();
        let title = match weight {
            Weight::Tasks => format!("Where tasks were in {lasted:.1} s"),
            Weight::Waited => format!("Where tasks waited in {lasted:.1} s"),
        };
        let (samples, skipped) = (profile.samples(), profile.skipped());
        Self {
            title,
            subtitle: Some(format!("{samples} samples, {skipped} skipped")),
        }
    }
}

/// Draws the stacks of tasks.
fn write<'a, I: Iterator<Item = TaskSample<'a>>>(
    titles: &Titles,
    samples: impl Fn() -> I,
    weight: Weight,
    writer: impl Write,
) -> io::Result<()> {
    let (lines, unit) = match weight {
        Weight::Tasks => count(samples),
        Weight::Waited => (folded::fold(samples(), weight), ("ms", 0.001)),
    };
    draw(titles, &lines, unit, writer)
}

/// Returns the stacks with their unit: tasks, or hundredths of tasks if a task is split between several paths.
fn count<'a, I: Iterator<Item = TaskSample<'a>>>(
    samples: impl Fn() -> I,
) -> (StackWeights, (&'static str, f64)) {
    let is_split = std::cell::Cell::new(false);
    let whole = folded::add_up(samples(), |path| {
        is_split.set(is_split.get() || path.path_count > 1);
        path.count
    });
    match is_split.get() {
        false => (whole, ("tasks", 1.0)),
        true => {
            let parts = folded::add_up(samples(), |path| path.scaled_count(PARTS));
            (parts, ("hundredths of a task", 1.0))
        }
    }
}

fn draw(
    titles: &Titles,
    lines: &StackWeights,
    (unit, factor): (&str, f64),
    mut writer: impl Write,
) -> io::Result<()> {
    if lines.values().all(|number| *number == 0) {
        return writer.write_all(NO_FLAMES.as_bytes());
    }
    let lines: Vec<String> = lines
        .iter()
        .map(|(stack, number)| format!("{stack} {number}"))
        .collect();
    let mut options = Options::default();
    options.title.clone_from(&titles.title);
    options.subtitle.clone_from(&titles.subtitle);
    options.count_name = unit.to_owned();
    options.factor = factor;
    // Flamegraphs of off-CPU time are conventionally blue, and those of CPU time red.
    options.colors = Palette::Basic(BasicPalette::Aqua);
    options.deterministic = true;
    from_lines(&mut options, lines.iter().map(String::as_str), writer)
}

/// The document if there are no flames to draw.
const NO_FLAMES: &str = "<?xml version=\"1.0\" standalone=\"no\"?>
<svg version=\"1.1\" width=\"1200\" height=\"60\" xmlns=\"http://www.w3.org/2000/svg\">\
<text x=\"600\" y=\"34\" text-anchor=\"middle\" font-family=\"monospace\" font-size=\"12\">\
No task waits.</text></svg>
";

#[cfg(test)]
mod tests;
