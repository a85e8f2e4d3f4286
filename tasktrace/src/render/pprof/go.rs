//! Writes pprof profiles with the sample types of Go's profiles, by which collectors recognise them.

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use tasktrace_http::GoProfile;

use super::{ProfileHeader, Type, attribution};
use crate::dump::Dump;
use crate::profile::{Profile, ProfileStack};
use crate::render::attribution::TaskSample;
use crate::render::go::is_counted;

/// Returns the sample types of a profile, and the default among them.
fn types(profile: GoProfile) -> (&'static [Type], &'static str) {
    match profile {
        GoProfile::Goroutine => (
            &[("goroutine", "count"), ("waited", "nanoseconds")],
            "goroutine",
        ),
        GoProfile::Block | GoProfile::Mutex => (
            &[("contentions", "count"), ("delay", "nanoseconds")],
            "delay",
        ),
    }
}

/// Writes the samples that a profile counts.
fn write<'a>(
    profile: GoProfile,
    taken: SystemTime,
    duration: Duration,
    samples: impl Iterator<Item = TaskSample<'a>>,
    writer: impl Write,
) -> io::Result<()> {
    let (types, default_type) = types(profile);
    let header = ProfileHeader {
        types,
        default_type,
        period: (types[0], 1),
        taken,
        duration,
        comments: Vec::new(),
    };
    let counted = samples.filter(|sample| is_counted(profile, sample));
    super::write(&header, counted, writer)
}

impl Dump {
    /// Writes the dump in the format of a profile of Go.
    pub(crate) fn write_go_pprof(&self, profile: GoProfile, writer: impl Write) -> io::Result<()> {
        let samples = attribution::task_samples(self);
        write(profile, self.taken(), Duration::ZERO, samples, writer)
    }
}

impl Profile {
    /// Writes the profile in the format of a profile of Go.
    pub(crate) fn write_go_pprof(&self, profile: GoProfile, writer: impl Write) -> io::Result<()> {
        let samples = self.stacks().iter().map(ProfileStack::as_sample);
        write(profile, self.began(), self.lasted(), samples, writer)
    }
}

/// Writes a profile without samples, for the profiles of Go that have no counterpart in tasks.
///
/// It has the sample types of Go's profiles of memory, because these are the ones that collectors fetch by default.
pub(crate) fn write_empty_go_pprof(writer: impl Write) -> io::Result<()> {
    let header = ProfileHeader {
        types: &[
            ("alloc_objects", "count"),
            ("alloc_space", "bytes"),
            ("inuse_objects", "count"),
            ("inuse_space", "bytes"),
        ],
        default_type: "inuse_space",
        period: (("space", "bytes"), 512 << 10),
        taken: SystemTime::now(),
        duration: Duration::ZERO,
        comments: Vec::new(),
    };
    super::write(&header, std::iter::empty(), writer)
}
