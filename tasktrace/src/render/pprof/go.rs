//! Writes pprof profiles with the sample types of Go's profiles, by which collectors recognise them.

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use super::{ProfileHeader, Type, attribution};
use crate::dump::Dump;
use crate::profile::{Profile, ProfileStack};
use crate::render::attribution::TaskSample;
use crate::render::go::GoProfile;

impl GoProfile {
    fn types(self) -> (&'static [Type], &'static str) {
        match self {
            Self::Goroutine => (
                &[("goroutine", "count"), ("waited", "nanoseconds")],
                "goroutine",
            ),
            Self::Block | Self::Mutex => (
                &[("contentions", "count"), ("delay", "nanoseconds")],
                "delay",
            ),
        }
    }

    /// Writes the samples that this profile counts.
    fn write<'a>(
        self,
        taken: SystemTime,
        duration: Duration,
        samples: impl Iterator<Item = TaskSample<'a>>,
        writer: impl Write,
    ) -> io::Result<()> {
        let (types, default_type) = self.types();
        let header = ProfileHeader {
            types,
            default_type,
            period: (types[0], 1),
            taken,
            duration,
            comments: Vec::new(),
        };
        super::write(&header, samples.filter(|sample| self.has(sample)), writer)
    }
}

impl Dump {
    /// Writes the dump in the format of a profile of Go.
    pub(crate) fn write_go_pprof(&self, profile: GoProfile, writer: impl Write) -> io::Result<()> {
        let samples = attribution::task_samples(self);
        profile.write(self.taken(), Duration::ZERO, samples, writer)
    }
}

impl Profile {
    /// Writes the profile in the format of a profile of Go.
    pub(crate) fn write_go_pprof(&self, profile: GoProfile, writer: impl Write) -> io::Result<()> {
        let samples = self.stacks().iter().map(ProfileStack::as_sample);
        profile.write(self.began(), self.lasted(), samples, writer)
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
