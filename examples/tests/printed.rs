//! Checks that the README and the guides show the output of the examples, as `dev` builds them.

#![cfg(debug_assertions)]

use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs an example, and returns its output.
fn output(example: &str) -> String {
    let test = std::env::current_exe().expect("it is running");
    let target = test.parent().and_then(Path::parent).expect("target/debug");
    let program: PathBuf = target.join("examples").join(example);
    // With `--test printed` alone, the examples are not built.
    let mut command = match program.exists() {
        true => Command::new(program),
        false => {
            let mut cargo = Command::new(env!("CARGO"));
            cargo.args([
                "run",
                "-q",
                "-p",
                "tasktrace-examples",
                "--example",
                example,
            ]);
            cargo
        }
    };
    let output = command.output().expect("it can be started");
    assert!(output.status.success(), "{example}");
    String::from_utf8(output.stdout).expect("it is text")
}

/// Runs the test that hangs, and returns its report.
fn report() -> String {
    let test = std::env::current_exe().expect("it is running");
    let programs = test.parent().and_then(|deps| std::fs::read_dir(deps).ok());
    let programs = programs.expect("target/debug/deps").flatten();
    let programs = programs.map(|entry| entry.path()).filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("hang-") && path.extension().is_none()
    });
    let newest =
        programs.max_by_key(|path| std::fs::metadata(path).and_then(|it| it.modified()).ok());
    let mut command = match newest {
        Some(program) => Command::new(program),
        None => {
            let mut cargo = Command::new(env!("CARGO"));
            cargo.args([
                "test",
                "-q",
                "-p",
                "tasktrace-examples",
                "--test",
                "hang",
                "--",
            ]);
            cargo
        }
    };
    command
        .env_remove("TASKTRACE_TEST_TIMEOUT")
        .env_remove("NEXTEST");
    let output = command
        .arg("--nocapture")
        .output()
        .expect("it can be started");
    String::from_utf8(output.stderr).expect("it is text")
}

/// Returns the first block of a page that contains a text.
fn block(page: &str, has: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(page);
    let page = std::fs::read_to_string(&path).expect("the page is there");
    let mut blocks = page.split("```").skip(1).step_by(2);
    let block = blocks.find(|block| block.starts_with("text") && block.contains(has));
    let block = block.unwrap_or_else(|| panic!("no block of {} has {has}", path.display()));
    block["text".len()..].trim().to_owned()
}

/// Returns the lines without what differs from run to run or with the version of a dependency: times, numbers of polls,
/// places in tokio and in tasktrace.
fn lines(text: &str) -> Vec<String> {
    let is_time = |word: &&str| {
        let word = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        word.starts_with(|c: char| c.is_ascii_digit()) && word.ends_with('s')
    };
    let line = |line: &str| {
        let places = [" at tokio-", " at tasktrace/src/"];
        let end = places.iter().find_map(|place| line.find(place));
        let words = line[..end.unwrap_or(line.len())].split(' ');
        let words: Vec<&str> = words.filter(|word| !is_time(word)).collect();
        let is_count = |at: usize| {
            words
                .get(at + 1)
                .is_some_and(|next| next.starts_with("poll"))
        };
        let words = words.iter().enumerate();
        let words = words
            .filter(|(at, _)| !is_count(*at))
            .map(|(_, word)| *word);
        words.collect::<Vec<_>>().join(" ")
    };
    text.trim().lines().map(line).collect()
}

#[track_caller]
fn check(example: &str, page: &str) {
    let shown = block(page, &format!("{example}::main at "));
    assert_eq!(lines(&output(example)), lines(&shown));
}

#[test]
fn orders() {
    check("orders", "README.md");
}

#[test]
fn futurelock() {
    check("futurelock", "tasktrace/docs/reading_a_dump.md");
}

/// The example prints the dump, and then the dump by awaiter, which the guide shows.
#[test]
fn shop() {
    let (output, shown) = (
        output("shop"),
        block("tasktrace/docs/reading_a_dump.md", "shop::main at "),
    );
    let (output, shown) = (lines(&output), lines(&shown));
    assert!(output.ends_with(&shown), "{output:#?}\n{shown:#?}");
}

#[test]
fn hang() {
    let report = lines(&report());
    let is_first = |line: &String| line.starts_with("test hung for ");
    let first = report
        .iter()
        .position(is_first)
        .unwrap_or_else(|| panic!("{report:#?}"));
    for page in ["README.md", "tasktrace/docs/tests.md"] {
        // The line before, which the standard library prints, has the number of the thread.
        let shown = lines(&block(page, "test hung for "));
        let shown: Vec<&String> = shown.iter().skip_while(|line| !is_first(line)).collect();
        let printed: Vec<&String> = report[first..].iter().take(shown.len()).collect();
        assert_eq!(printed, shown, "{page}");
    }
}
