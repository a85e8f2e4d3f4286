//! Writes pprof profiles with the sample types of Go's profiles, by which collectors recognize them.

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message;

use super::message::{self, PprofValueType};
use super::{ProfileHeader, Type, attribution};
use crate::dump::Dump;
use crate::profile::{Profile, ProfileStack};
use crate::render::go::GoProfile;

/// A profile that Go serves and that has no counterpart in tasks. It has no samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EmptyGoProfile {
    /// Memory in use.
    Heap,
    /// Allocated memory.
    Allocs,
    /// The creation of threads.
    ThreadCreate,
}

impl GoProfile {
    fn types(self) -> ([Type; 2], &'static str) {
        match self {
            Self::Goroutine => (
                [("goroutine", "count"), ("waited", "nanoseconds")],
                "goroutine",
            ),
            Self::Block | Self::Mutex => (
                [("contentions", "count"), ("delay", "nanoseconds")],
                "delay",
            ),
        }
    }
}

impl Dump {
    /// Writes the dump in the format of a profile of Go.
    pub(crate) fn write_go_pprof(&self, profile: GoProfile, writer: impl Write) -> io::Result<()> {
        let (types, default_type) = profile.types();
        let header = ProfileHeader {
            types,
            default_type,
            period: (types[0], 1),
            taken: self.taken(),
            duration: Duration::ZERO,
            comments: Vec::new(),
        };
        let samples = attribution::task_samples(self).filter(|sample| profile.has(sample));
        super::write(&header, samples, writer)
    }
}

impl Profile {
    /// Writes the profile in the format of a profile of Go.
    pub(crate) fn write_go_pprof(&self, profile: GoProfile, writer: impl Write) -> io::Result<()> {
        let (types, default_type) = profile.types();
        let header = ProfileHeader {
            types,
            default_type,
            period: (types[0], 1),
            taken: self.began(),
            duration: self.lasted(),
            comments: Vec::new(),
        };
        let samples = self.stacks().iter().map(ProfileStack::as_sample);
        super::write(
            &header,
            samples.filter(|sample| profile.has(sample)),
            writer,
        )
    }
}

impl EmptyGoProfile {
    /// Returns the sample types, the default type, and the type and length of the period.
    fn types(self) -> (&'static [Type], &'static str, (Type, i64)) {
        const MEMORY: [Type; 4] = [
            ("alloc_objects", "count"),
            ("alloc_space", "bytes"),
            ("inuse_objects", "count"),
            ("inuse_space", "bytes"),
        ];
        const MEMORY_PERIOD: (Type, i64) = (("space", "bytes"), 512 << 10);
        match self {
            Self::Heap => (&MEMORY, "inuse_space", MEMORY_PERIOD),
            Self::Allocs => (&MEMORY, "alloc_space", MEMORY_PERIOD),
            Self::ThreadCreate => {
                let threads = ("threadcreate", "count");
                (&[("threadcreate", "count")], "threadcreate", (threads, 1))
            }
        }
    }

    /// Writes the empty profile, compressed.
    pub(crate) fn write_pprof(self, writer: impl Write) -> io::Result<()> {
        let (types, default_type, (period_type, period)) = self.types();
        let mut profile = message::PprofProfile {
            string_table: vec![String::new()],
            period,
            ..message::PprofProfile::default()
        };
        let mut text = |text: &str| {
            profile.string_table.push(text.to_owned());
            i64::try_from(profile.string_table.len() - 1).unwrap_or_default()
        };
        let mut value_type = |(kind, unit): Type| PprofValueType {
            r#type: text(kind),
            unit: text(unit),
        };
        profile.sample_type = types.iter().copied().map(&mut value_type).collect();
        profile.period_type = Some(value_type(period_type));
        profile.default_sample_type = text(default_type);
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let nanos = since.unwrap_or_default().as_nanos();
        profile.time_nanos = i64::try_from(nanos).unwrap_or_default();
        let mut writer = GzEncoder::new(writer, Compression::default());
        writer.write_all(&profile.encode_to_vec())?;
        writer.finish()?.flush()
    }

    /// Returns the text of the empty profile, in the format of Go's `debug=1`.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Heap | Self::Allocs => "heap profile: 0: 0 [0: 0] @ heap/1048576\n",
            Self::ThreadCreate => "threadcreate profile: total 0\n",
        }
    }
}
