//! Checks that the README and the guide show the output of the examples, as `dev` builds them.

#![cfg(debug_assertions)]

use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs an example, and returns what it prints.
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

/// The first block of a page that has this in it.
fn block(page: &str, has: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(page);
    let page = std::fs::read_to_string(&path).expect("the page is there");
    let mut blocks = page.split("```").skip(1).step_by(2);
    let block = blocks.find(|block| block.starts_with("text") && block.contains(has));
    let block = block.unwrap_or_else(|| panic!("no block of {} has {has}", path.display()));
    block["text".len()..].trim().to_owned()
}

/// Without times and numbers of polls, which differ from run to run, and places in tokio and in tasktrace.
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
    check("futurelock", "tasktrace/docs/guide.md");
}
