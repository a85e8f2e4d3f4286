//! The format of pprof: a compressed protocol buffer, which `go tool pprof` and collectors of profiles
//! read.
//!
//! A profile has two sample types: how many, and for how long. There is a sample for each
//! [way](super::weigh) of a task. Names and lines are all looked up, so readers need not have the program.

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
pub(crate) use self::go::GoEmpty;
use self::message::{Label, Mapping, Sample, ValueType};
use self::table::{PROGRAM, Tables};
use super::folded::nanos;
use super::untraced;
use super::weigh::{self, LEFT_OUT, Scales, Seen, Way};
use crate::dump::Dump;
use crate::profile::{Profile, Stack};
use crate::sync::is_unwanted;
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
    /// assert!(profile.starts_with(&[0x1f, 0x8b]), "it is compressed by gzip");
    /// # Ok(())
    /// # }
    /// ```
    pub fn write_pprof(&self, writer: impl Write) -> io::Result<()> {
        let untraced = untraced::sentences(self);
        let about = About {
            types: [("tasks", "count"), ("waited", "nanoseconds")],
            default_type: "tasks",
            period: (("tasks", "count"), 1),
            taken: self.taken(),
            duration: Duration::ZERO,
            comments: untraced.into_iter().collect(),
        };
        write(&about, weigh::tasks(self), writer)
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
    /// assert!(written.starts_with(&[0x1f, 0x8b]), "it is compressed by gzip");
    /// # Ok(())
    /// # }
    /// ```
    pub fn write_pprof(&self, writer: impl Write) -> io::Result<()> {
        let (samples, skipped) = (self.samples(), self.skipped());
        let about = About {
            types: [("seen", "count"), ("waited", "nanoseconds")],
            default_type: "waited",
            period: (("wall", "nanoseconds"), signed(nanos(self.every()))),
            taken: self.began(),
            duration: self.lasted(),
            comments: vec![format!("{samples} samples, {skipped} skipped")],
        };
        write(&about, self.stacks().iter().map(Stack::as_seen), writer)
    }
}

type Type = (&'static str, &'static str);

/// What is said of a profile as a whole.
pub(super) struct About {
    /// What the two values of each sample are: how many, and for how long.
    pub(super) types: [Type; 2],
    pub(super) default_type: &'static str,
    /// What is between two samples.
    pub(super) period: (Type, i64),
    pub(super) taken: SystemTime,
    pub(super) duration: Duration,
    pub(super) comments: Vec<String>,
}

/// Writes what was seen.
pub(super) fn write<'a>(
    about: &About,
    all: impl Iterator<Item = Seen<'a>>,
    writer: impl Write,
) -> io::Result<()> {
    let mut writer = GzEncoder::new(writer, Compression::default());
    let mut tables = Tables::new();
    let mut scales = Scales::default();
    let mut batch = message::Profile::default();
    for seen in all.take_while(|_| !is_unwanted()) {
        let labels = labels(&mut tables, &seen);
        scales.weigh(&seen, |way| {
            batch.sample.push(sample(&mut tables, &seen, &way, &labels));
        });
        if batch.sample.len() >= BATCH {
            // Messages one after the other are read as one.
            writer.write_all(&batch.encode_to_vec())?;
            batch.sample.clear();
        }
    }
    let mut value_type = |(kind, unit): Type| ValueType {
        r#type: tables.text(kind),
        unit: tables.text(unit),
    };
    batch.sample_type = about.types.map(&mut value_type).into();
    batch.period_type = Some(value_type(about.period.0));
    batch.period = about.period.1;
    batch.default_sample_type = tables.text(about.default_type);
    let since = about.taken.duration_since(SystemTime::UNIX_EPOCH);
    batch.time_nanos = signed(nanos(since.unwrap_or_default()));
    batch.duration_nanos = signed(nanos(about.duration));
    let comments = about.comments.iter();
    batch.comment = comments.map(|comment| tables.text(comment)).collect();
    batch.mapping = vec![program(&mut tables)];
    batch.location = tables.locations;
    batch.function = tables.functions;
    batch.string_table = tables.texts;
    writer.write_all(&batch.encode_to_vec())?;
    writer.finish()?.flush()
}

fn sample(tables: &mut Tables, seen: &Seen<'_>, way: &Way<'_>, labels: &[Label]) -> Sample {
    // The leaf first.
    let mut location_id = Vec::with_capacity(way.frames.len() + 1);
    for (at, frame) in way.frames.iter().enumerate().rev() {
        location_id.push(tables.frame(frame));
        if way.cut == Some(at) {
            location_id.push(tables.name(LEFT_OUT));
        }
    }
    if location_id.is_empty() {
        location_id.push(tables.name(seen.name));
    }
    let mut label = labels.to_vec();
    let wait = way.frames.last().and_then(|leaf| leaf.wait());
    label.extend(wait.and_then(unusual).map(|wait| Label {
        key: tables.text("wait"),
        str: tables.text(wait),
        num: 0,
    }));
    Sample {
        location_id,
        value: vec![signed(way.count), signed(nanos(way.waited))],
        label,
    }
}

fn labels(tables: &mut Tables, seen: &Seen<'_>) -> Vec<Label> {
    let mut labels = Vec::new();
    if let Some(task) = seen.task {
        labels.push(Label {
            key: tables.text("task"),
            str: 0,
            num: signed(task),
        });
    }
    let texts = [
        ("name", Some(seen.name)),
        ("label", seen.label),
        ("state", Some(seen.state_kind.word())),
    ];
    for (key, text) in texts {
        if let Some(text) = text {
            labels.push(Label {
                key: tables.text(key),
                str: tables.text(text),
                num: 0,
            });
        }
    }
    labels
}

/// What there is to say of how a leaf waits, as in the JSON.
fn unusual(wait: Wait) -> Option<&'static str> {
    match wait {
        Wait::NoWaker => Some("no_waker"),
        Wait::NotPolled => Some("not_polled"),
        Wait::Yielded => Some("yielded"),
        Wait::OutOfBudget => Some("out_of_budget"),
        Wait::Registered | Wait::Suspended | Wait::Running => None,
    }
}

/// Not by its path: readers that find the file there look into it for the code at our addresses, of which
/// there are none, and `go tool pprof` panics.
fn program(tables: &mut Tables) -> Mapping {
    let path = std::env::current_exe().unwrap_or_default();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Mapping {
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
