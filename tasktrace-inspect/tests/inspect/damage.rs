//! Core files, executables and split debug info with damaged bytes: nothing panics, and nothing takes long.
//!
//! Each test runs some rounds with a fixed seed. `TASKTRACE_TEST_DAMAGE=600` runs each for 600 seconds, and
//! `TASKTRACE_TEST_SEED` sets the seed, which a round prints if it fails.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use tasktrace_inspect::{Error, Options, Report, inspect_core};

use crate::core_file;
use crate::program::{Profile, Program, path, target};
use crate::split;

/// The number of rounds without a time.
const ROUNDS: u32 = 12;

/// The longest time of a round. Reading memory is bounded by [`options`], reading debug info only by its size.
const LONGEST: Duration = Duration::from_secs(60);

/// A generator of random numbers: xorshift.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// Returns a number below `end`, of which each order of magnitude is equally likely.
    fn magnitude(&mut self, end: usize) -> usize {
        let bits = self.below(end.max(1).ilog2() as usize + 1);
        self.below((1 << (bits + 1)).min(end.max(1)))
    }
}

/// Prints the seed of a round that panics.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the round that failed: TASKTRACE_TEST_SEED={}", self.0);
        }
    }
}

/// Damages a copy of a file, and reads it, again and again.
fn damage(whole: &[u8], path: &Path, seed: u64, read: impl Fn() -> Result<Report, Error>) {
    let number = |name| env::var(name).ok()?.parse::<u64>().ok();
    let time = number("TASKTRACE_TEST_DAMAGE").map(Duration::from_secs);
    let mut seed = number("TASKTRACE_TEST_SEED").unwrap_or(seed).max(1);
    let begun = Instant::now();
    let (mut rounds, mut reports, mut errors) = (0, 0, 0);
    let mut longest = Duration::ZERO;
    while time.map_or(rounds < ROUNDS, |time| begun.elapsed() < time) {
        let mut random = Random(seed);
        let _seed = Seed(seed);
        let mut bytes = whole.to_vec();
        spoil(&mut bytes, &mut random, rounds);
        fs::write(path, &bytes).unwrap();
        let round = Instant::now();
        match read() {
            Ok(report) => {
                reports += 1;
                assert!(!report.to_string().is_empty());
            }
            Err(error) => {
                errors += 1;
                assert!(!error.to_string().is_empty());
            }
        }
        let round = round.elapsed();
        assert!(round < LONGEST, "{round:?}");
        longest = longest.max(round);
        rounds += 1;
        seed = random.next();
    }
    println!("{rounds} rounds: {reports} reports, {errors} errors, {longest:?} at most");
    assert!(reports > 0 && errors > 0, "{reports} {errors}");
}

/// Changes bytes. The first rounds change the headers only, so that each run has errors; the next change few bytes, so
/// that each run has reports.
fn spoil(bytes: &mut Vec<u8>, random: &mut Random, round: u32) {
    let (from, length) = match round {
        0..2 => (0, 64),
        2..4 => (bytes.len() / 2, 4096),
        _ => {
            let from = random.below(bytes.len());
            (from, 64 + random.magnitude(bytes.len() - from))
        }
    };
    let end = (from + length).min(bytes.len());
    for _ in 0..1 + random.magnitude(1 << 16) {
        let at = from + random.below(end - from);
        match random.below(4) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.next() as u8,
            2 => bytes[at] = [0, 0x7f, 0x80, 0xff][random.below(4)],
            // A part of another structure.
            _ => {
                let length = random.below(64).min(bytes.len() - at);
                let other = random.below(bytes.len() - length);
                bytes.copy_within(other..other + length, at);
            }
        }
    }
    if round % 6 == 5 {
        bytes.truncate(random.below(bytes.len()));
    }
}

fn options() -> Options {
    let mut options = Options::default();
    options.limits.time = Duration::from_secs(5);
    options
}

/// Returns the path of a file that a test writes.
fn written(name: &str, program: &Program) -> PathBuf {
    let path = target().join(format!("tmp/{name}.{}", program.pid()));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    path
}

#[test]
fn damaged_core_files_end_in_a_report_or_an_error() {
    damaged_core("current", 0x9e37_79b9_7f4a_7c15);
}

#[test]
fn damaged_maps_and_queues_end_in_a_report_or_an_error() {
    damaged_core("containers", 0xd1b5_4a32_d192_ed03);
}

fn damaged_core(name: &str, seed: u64) {
    let program = Program::start(name, Profile::Release);
    program.inspect_at_rest();
    let core = core_file::of(program.pid());
    let path = written("damaged", &program);
    drop(program);
    damage(&core, &path, seed, || inspect_core(&path, &options()));
    fs::remove_file(&path).unwrap();
}

#[test]
fn damaged_executables_end_in_a_report_or_an_error() {
    let program = Program::start("deadlock", Profile::Release);
    program.inspect_at_rest();
    let core = written("core-of-damaged", &program);
    fs::write(&core, core_file::of(program.pid())).unwrap();
    let executable = fs::read(path("deadlock", Profile::Release)).unwrap();
    let damaged = written("damaged-executable", &program);
    drop(program);
    let mut options = options();
    options.executable = Some(damaged.clone());
    damage(&executable, &damaged, 0x2545_f491_4f6c_dd1d, || {
        inspect_core(&core, &options)
    });
    fs::remove_file(&damaged).unwrap();
    fs::remove_file(&core).unwrap();
}

#[test]
fn damaged_packages_of_debug_info_end_in_a_report_or_an_error() {
    let program = split::compile("damaged-packed", &["-Csplit-debuginfo=packed"]);
    let package = program.with_extension("dwp");
    damaged_split(&program, &package, 0x94d0_49bb_1331_11eb);
}

#[test]
fn damaged_object_files_of_debug_info_end_in_a_report_or_an_error() {
    let arguments = ["-Csplit-debuginfo=unpacked", "-Ccodegen-units=1"];
    let program = split::compile("damaged-unpacked", &arguments);
    let files = fs::read_dir(program.parent().unwrap()).unwrap();
    let mut files = files.map(|file| file.unwrap().path());
    let object = files.find(|path| path.extension().is_some_and(|it| it == "dwo"));
    damaged_split(&program, &object.unwrap(), 0xbf58_476d_1ce4_e5b9);
}

fn damaged_split(executable: &Path, file: &Path, seed: u64) {
    let program = Program::run(executable);
    let core = written("core-of-split", &program);
    fs::write(&core, core_file::of(program.pid())).unwrap();
    drop(program);
    let mut options = options();
    options.executable = Some(executable.to_owned());
    let whole = fs::read(file).unwrap();
    damage(&whole, file, seed, || inspect_core(&core, &options));
    fs::remove_file(&core).unwrap();
}
