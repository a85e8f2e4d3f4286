//! Profiles with the sample types of Go's, by which collectors know them.

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message;

use super::message::{Profile, ValueType};
use super::{About, Type, weigh};
use crate::dump::Dump;
use crate::render::go::GoProfile;

/// Profiles of what this is not about, and so without samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GoEmpty {
    /// Memory, of which that in use counts.
    Heap,
    /// Memory, of which that allocated counts.
    Allocs,
    /// Threads.
    ThreadCreate,
}

impl Dump {
    /// Writes the profile that Go has at this name.
    pub(crate) fn write_go_pprof(&self, profile: GoProfile, writer: impl Write) -> io::Result<()> {
        let (types, default_type): ([Type; 2], _) = match profile {
            GoProfile::Goroutine => (
                [("goroutine", "count"), ("waited", "nanoseconds")],
                "goroutine",
            ),
            GoProfile::Block | GoProfile::Mutex => (
                [("contentions", "count"), ("delay", "nanoseconds")],
                "delay",
            ),
        };
        let about = About {
            types,
            default_type,
            period: (types[0], 1),
            taken: SystemTime::now(),
            duration: Duration::ZERO,
            comments: Vec::new(),
        };
        let seen = weigh::tasks(self).filter(|seen| profile.has(seen));
        super::write(&about, seen, writer)
    }
}

impl GoEmpty {
    /// The sample types, the default, and the period.
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

    /// Writes it.
    pub(crate) fn write_pprof(self, writer: impl Write) -> io::Result<()> {
        let (types, default_type, (period_type, period)) = self.types();
        let mut profile = Profile {
            string_table: vec![String::new()],
            period,
            ..Profile::default()
        };
        let mut text = |text: &str| {
            profile.string_table.push(text.to_owned());
            i64::try_from(profile.string_table.len() - 1).unwrap_or_default()
        };
        let mut value_type = |(kind, unit): Type| ValueType {
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

    /// As Go's `debug=1` has it.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Heap | Self::Allocs => "heap profile: 0: 0 [0: 0] @ heap/1048576\n",
            Self::ThreadCreate => "threadcreate profile: total 0\n",
        }
    }
}
