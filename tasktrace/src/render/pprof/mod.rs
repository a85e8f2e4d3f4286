//! Writes the format of pprof: a compressed protocol buffer, for `go tool pprof` and profile collectors.
//!
//! A profile has two sample types, a number and a time. Each [path](super::attribution) of a task is a sample. All
//! names and lines are already looked up, so readers do not need the program.

#[cfg(feature = "http")]
mod go;
mod message;
mod table;

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message;

#[cfg(feature = "http")]
pub(crate) use self::go::write_empty_go_pprof;
use self::message::{PprofLabel, PprofMapping, PprofSample, PprofValueType};
use self::table::{PROGRAM, PprofTables};
use super::attribution::{self, Attributor, OMITTED_FRAMES, TaskPath, TaskSample};
use super::folded::nanos;
use super::untraced;
use crate::dump::Dump;
use crate::profile::{Profile, ProfileStack};
use crate::sync::is_cancelled;
use crate::trace::Wait;

/// The number of samples in memory at a time. The number of samples is unbounded. The tables that they refer to are
/// bounded by the size of the program and by the names of tasks.
const BATCH: usize = 1024;

impl Dump {
    /// Writes the dump as a compressed pprof file, for `go tool pprof` and profile collectors.
    ///
    /// It has two sample types, `tasks` (a count; the default) and `waited` (nanoseconds). Samples have the labels
    /// `task` (its number), `name`, `label`, `state` and, unless it is the usual one, `wait`. A task that waits for
    /// several things at once has a sample for each. Its time is split evenly between them. It is counted at only one
    /// of them, so that the counts add up to the number of tasks.
    ///
    /// # Errors
    ///
    /// Returns the errors of the writer.
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let mut profile = Vec::new();
    /// tasktrace::snapshot().write_pprof(&mut profile)?;
    /// assert!(profile.starts_with(&[0x1f, 0x8b]), "the file is compressed by gzip");
    /// # Ok(())
    /// # }
    /// ```
    pub fn write_pprof(&self, writer: impl Write) -> io::Result<()> {
        let untraced = untraced::sentences(self);
        let header = ProfileHeader {
            types: &[("tasks", "count"), ("waited", "nanoseconds")],
            default_type: "tasks",
            period: (("tasks", "count"), 1),
            taken: self.taken(),
            duration: Duration::ZERO,
            comments: untraced.into_iter().collect(),
        };
        write(&header, attribution::task_samples(self), writer)
    }
}

impl Profile {
    /// Writes the profile as a compressed pprof file, for `go tool pprof` and profile collectors.
    ///
    /// It has two sample types, `seen` (the number of times that a task was seen) and `waited` (nanoseconds; the
    /// default). Samples have the labels `name`, `state` and, unless it is the usual one, `wait`.
    ///
    /// # Errors
    ///
    /// Returns the errors of the writer.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let profile = tasktrace::profile()
    ///     .lasting(Duration::from_millis(50))
    ///     .run_blocking();
    /// let mut written = Vec::new();
    /// profile.write_pprof(&mut written)?;
    /// assert!(written.starts_with(&[0x1f, 0x8b]), "the file is compressed by gzip");
    /// # Ok(())
    /// # }
    /// ```
    pub fn write_pprof(&self, writer: impl Write) -> io::Result<()> {
        let (samples, skipped) = (self.samples(), self.skipped());
        let header = ProfileHeader {
            types: &[("seen", "count"), ("waited", "nanoseconds")],
            default_type: "waited",
            period: (("wall", "nanoseconds"), signed(nanos(self.every()))),
            taken: self.began(),
            duration: self.lasted(),
            comments: vec![format!("{samples} samples, {skipped} skipped")],
        };
        write(
            &header,
            self.stacks().iter().map(ProfileStack::as_sample),
            writer,
        )
    }
}

type Type = (&'static str, &'static str);

/// The properties of a profile as a whole.
pub(super) struct ProfileHeader {
    /// The types of the values of each sample. If there are samples, these are a number and a time.
    pub(super) types: &'static [Type],
    pub(super) default_type: &'static str,
    /// The type and the length of the interval between two samples.
    pub(super) period: (Type, i64),
    pub(super) taken: SystemTime,
    pub(super) duration: Duration,
    pub(super) comments: Vec<String>,
}

/// Writes samples of tasks as a compressed profile.
pub(super) fn write<'a>(
    header: &ProfileHeader,
    all: impl Iterator<Item = TaskSample<'a>>,
    writer: impl Write,
) -> io::Result<()> {
    let mut writer = GzEncoder::new(writer, Compression::default());
    let mut tables = PprofTables::new();
    let mut attributor = Attributor::default();
    let mut batch = message::PprofProfile::default();
    for sample in all.take_while(|_| !is_cancelled()) {
        let labels = labels(&mut tables, &sample);
        attributor.attribute(&sample, |path| {
            batch
                .sample
                .push(encode_sample(&mut tables, &sample, &path, &labels));
        });
        if batch.sample.len() >= BATCH {
            // Readers merge consecutive messages into one.
            writer.write_all(&batch.encode_to_vec())?;
            batch.sample.clear();
        }
    }
    let mut value_type = |(kind, unit): Type| PprofValueType {
        r#type: tables.text(kind),
        unit: tables.text(unit),
    };
    batch.sample_type = header.types.iter().copied().map(&mut value_type).collect();
    batch.period_type = Some(value_type(header.period.0));
    batch.period = header.period.1;
    batch.default_sample_type = tables.text(header.default_type);
    let since = header.taken.duration_since(SystemTime::UNIX_EPOCH);
    batch.time_nanos = signed(nanos(since.unwrap_or_default()));
    batch.duration_nanos = signed(nanos(header.duration));
    let comments = header.comments.iter();
    batch.comment = comments.map(|comment| tables.text(comment)).collect();
    batch.mapping = vec![program(&mut tables)];
    batch.location = tables.locations;
    batch.function = tables.functions;
    batch.string_table = tables.texts;
    writer.write_all(&batch.encode_to_vec())?;
    writer.finish()?.flush()
}

fn encode_sample(
    tables: &mut PprofTables,
    sample: &TaskSample<'_>,
    path: &TaskPath<'_>,
    labels: &[PprofLabel],
) -> PprofSample {
    // The leaf comes first.
    let mut location_id = Vec::with_capacity(path.frames.len() + 1);
    for (at, frame) in path.frames.iter().enumerate().rev() {
        location_id.push(tables.frame(frame));
        if path.omitted_before == Some(at) {
            location_id.push(tables.name(OMITTED_FRAMES));
        }
    }
    if location_id.is_empty() {
        location_id.push(tables.name(sample.name));
    }
    let mut label = labels.to_vec();
    let wait = path.frames.last().and_then(|leaf| leaf.wait());
    label.extend(wait.and_then(wait_label).map(|wait| PprofLabel {
        key: tables.text("wait"),
        str: tables.text(wait),
        num: 0,
    }));
    PprofSample {
        location_id,
        value: vec![signed(path.count), signed(nanos(path.waited))],
        label,
    }
}

fn labels(tables: &mut PprofTables, sample: &TaskSample<'_>) -> Vec<PprofLabel> {
    let mut labels = Vec::new();
    if let Some(task) = sample.task {
        labels.push(PprofLabel {
            key: tables.text("task"),
            str: 0,
            num: signed(task),
        });
    }
    let texts = [
        ("name", Some(sample.name)),
        ("label", sample.label),
        ("state", Some(sample.state_kind.json_name())),
    ];
    for (key, text) in texts {
        if let Some(text) = text {
            labels.push(PprofLabel {
                key: tables.text(key),
                str: tables.text(text),
                num: 0,
            });
        }
    }
    labels
}

/// Returns the label of an unusual wait, with the word of the JSON format.
fn wait_label(wait: Wait) -> Option<&'static str> {
    match wait {
        Wait::NoWaker => Some("no_waker"),
        Wait::NotPolled => Some("not_polled"),
        Wait::Yielded => Some("yielded"),
        Wait::OutOfBudget => Some("out_of_budget"),
        Wait::Registered | Wait::Suspended | Wait::Running => None,
    }
}

/// Returns the mapping of the program.
///
/// Its file name has no path. If readers find the file, they look in it for the code at the addresses of the profile.
/// There are no addresses, and `go tool pprof` panics.
fn program(tables: &mut PprofTables) -> PprofMapping {
    let path = std::env::current_exe().unwrap_or_default();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    PprofMapping {
        id: PROGRAM,
        filename: tables.text(&format!("{name} (tasks)")),
        has_functions: true,
        has_filenames: true,
        has_line_numbers: true,
        has_inline_frames: true,
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
