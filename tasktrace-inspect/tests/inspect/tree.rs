//! Trees as the tests expect them: marks in the sources instead of numbers of lines.

use std::collections::HashMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use tasktrace_inspect::{Frame, Report, Task};

/// The crate that most of the tasks are in.
const KRATE: &str = "tasktrace_inspect_programs::";

/// Returns the task that runs a function.
pub(crate) fn task<'r>(report: &'r Report, name: &str) -> &'r Task {
    let is_it = |task: &&Task| task.name.strip_prefix(KRATE).unwrap_or(&task.name) == name;
    let mut found = report.tasks.iter().filter(is_it);
    let task = found.next();
    task.unwrap_or_else(|| panic!("there is no task {name} in\n{report}"))
}

/// Returns the frames of a task: one line each, with the name and with the mark of its line.
pub(crate) fn tree(task: &Task) -> String {
    let mut text = String::new();
    for frame in &task.frames {
        add(&mut text, frame, 0);
    }
    text
}

fn add(text: &mut String, frame: &Frame, depth: usize) {
    let name = frame.name.strip_prefix(KRATE).unwrap_or(&frame.name);
    let _ = write!(text, "{:1$}{name}", "", 2 * depth);
    // Programs that were built elsewhere have other directories before it.
    let file = frame.file.as_deref().map(|file| match file.rfind("src/") {
        Some(at) => &file[at..],
        None => file,
    });
    if let (Some(file), Some(line)) = (file, frame.line)
        && is_of_program(&frame.name)
    {
        let line = usize::try_from(line).unwrap();
        match marks().get(&(file.to_owned(), line)) {
            Some(mark) => _ = write!(text, " @ {mark}"),
            None => _ = write!(text, " at {file}:{line}"),
        }
    }
    if let Some(note) = &frame.note {
        let _ = write!(text, " [{note}]");
    }
    text.push('\n');
    for child in &frame.children {
        add(text, child, depth + 1);
    }
}

/// Returns `true` for the functions of the programs, rather than those of tokio.
fn is_of_program(name: &str) -> bool {
    !["tokio::", "std::", "core::", "futures"]
        .iter()
        .any(|krate| name.starts_with(krate))
}

/// Returns the innermost frame of a task that has one leaf.
pub(crate) fn leaf(task: &Task) -> &Frame {
    let mut frames = &task.frames;
    loop {
        match frames.as_slice() {
            [frame] if frame.children.is_empty() => return frame,
            [frame] => frames = &frame.children,
            _ => panic!("{task} has not one leaf"),
        }
    }
}

/// Returns what the innermost frame of a task says about the resource.
pub(crate) fn state(task: &Task) -> &str {
    let wait = leaf(task).wait.as_ref();
    &wait
        .unwrap_or_else(|| panic!("{task} waits for nothing that is known"))
        .text
}

/// Returns the marks in the sources of the programs, by file and line.
fn marks() -> &'static HashMap<(String, usize), String> {
    static MARKS: OnceLock<HashMap<(String, usize), String>> = OnceLock::new();
    MARKS.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/src");
        let mut marks = HashMap::new();
        for directory in ["", "bin/"] {
            for entry in fs::read_dir(root.join(directory)).unwrap() {
                let entry = entry.unwrap();
                if !entry.file_type().unwrap().is_file() {
                    continue;
                }
                let name = entry.file_name().into_string().unwrap();
                let file = format!("src/{directory}{name}");
                let source = fs::read_to_string(entry.path()).unwrap();
                for (number, line) in source.lines().enumerate() {
                    let next = line.strip_prefix("// next line, await: ");
                    let here = line.split_once("// await: ").map(|(_, mark)| mark);
                    if let Some(mark) = next.or(here) {
                        let line = number + 1 + usize::from(next.is_some());
                        marks.insert((file.clone(), line), mark.to_owned());
                    }
                }
            }
        }
        marks
    })
}

/// Checks the trees of tasks, which the names of the functions begin.
#[track_caller]
pub(crate) fn check(report: &Report, trees: &[&str]) {
    for expected in trees {
        let name = expected.split([' ', '\n']).next().unwrap();
        let task = task(report, name);
        assert_eq!(tree(task), format!("{expected}\n"), "\n{task}");
        assert_eq!(task.problem, None);
    }
}
