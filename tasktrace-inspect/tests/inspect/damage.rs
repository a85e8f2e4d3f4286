//! Core files and executables with flipped bytes: nothing panics, and nothing takes long.

use std::fs;
use std::time::{Duration, Instant};

use tasktrace_inspect::{Options, inspect_core};

use crate::core_file;
use crate::program::{Profile, Program, target};

/// A generator of random numbers: xorshift.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[test]
fn damaged_core_files_end_in_a_report_or_an_error() {
    let program = Program::start("current", Profile::Release);
    program.inspect_at_rest();
    let core = core_file::of(program.pid());
    let path = target().join(format!("tmp/damaged.{}", program.pid()));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    drop(program);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut options = Options::default();
    options.limits.time = Duration::from_secs(5);
    let (mut reports, mut marked) = (0, 0);
    for round in 0..12 {
        let mut bytes = core.clone();
        // From one in a million bytes to one in a hundred, and in the first rounds nowhere but in the headers.
        let flips = bytes.len() / [1_000_000, 10_000, 100][round % 3];
        let end = if round < 3 { 4096 } else { bytes.len() };
        for _ in 0..flips.max(8) {
            let at = random.next() as usize % end;
            bytes[at] ^= 1 << (random.next() % 8);
        }
        if round % 4 == 3 {
            bytes.truncate(random.next() as usize % bytes.len());
        }
        fs::write(&path, &bytes).unwrap();
        let begun = Instant::now();
        if let Ok(report) = inspect_core(&path, &options) {
            reports += 1;
            let text = report.to_string();
            marked += usize::from(text.contains("cannot be read") || report.tasks.len() > 1);
        }
        assert!(begun.elapsed() < Duration::from_secs(60));
    }
    fs::remove_file(&path).unwrap();
    assert!(reports > 0 && marked > 0, "{reports} {marked}");
}

#[test]
fn damaged_executables_end_in_a_report_or_an_error() {
    let program = Program::start("deadlock", Profile::Release);
    program.inspect_at_rest();
    let core = target().join(format!("tmp/core-of-damaged.{}", program.pid()));
    fs::create_dir_all(core.parent().unwrap()).unwrap();
    fs::write(&core, core_file::of(program.pid())).unwrap();
    let executable = fs::read(crate::program::path("deadlock", Profile::Release)).unwrap();
    let path = target().join(format!("tmp/damaged-executable.{}", program.pid()));
    drop(program);
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let mut options = Options::default();
    options.limits.time = Duration::from_secs(5);
    options.executable = Some(path.clone());
    let (mut reports, mut errors) = (0, 0);
    for round in 0..12 {
        let mut bytes = executable.clone();
        let flips = [8, 1000, 100_000][round % 3];
        // The headers are at the beginning and at the end. They stay whole in half of the rounds.
        let (from, to) = match round % 2 {
            0 => (0, bytes.len()),
            _ => (1 << 16, bytes.len() - (1 << 16)),
        };
        for _ in 0..flips {
            let at = from + random.next() as usize % (to - from);
            bytes[at] ^= 1 << (random.next() % 8);
        }
        if round % 6 == 5 {
            bytes.truncate(random.next() as usize % bytes.len());
        }
        fs::write(&path, &bytes).unwrap();
        let begun = Instant::now();
        match inspect_core(&core, &options) {
            Ok(report) => {
                reports += 1;
                let _ = report.to_string();
            }
            Err(error) => {
                errors += 1;
                assert!(!error.to_string().is_empty());
            }
        }
        assert!(begun.elapsed() < Duration::from_secs(60));
    }
    fs::remove_file(&path).unwrap();
    fs::remove_file(&core).unwrap();
    assert!(reports > 0 && errors > 0, "{reports} {errors}");
}
