//! Code that the tests of the feature `inspect` share.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tasktrace::Dump;
use tasktrace::inspect::{Frame, Inspection, Task};

/// A long time.
pub const HOUR: Duration = Duration::from_secs(3600);

/// Returns the number of the line that ends with a mark, in the text of a source file.
#[must_use]
pub fn line(source: &str, mark: &str) -> u64 {
    let mark = format!("// {mark}");
    let line = source.lines().position(|line| line.ends_with(&mark));
    1 + line.unwrap_or_else(|| panic!("no line with {mark}")) as u64
}

/// Takes dumps until the debug info has been read, and a condition holds for what was read from memory.
#[must_use]
pub fn dump_until(condition: impl Fn(&Inspection) -> bool) -> Dump {
    let begun = Instant::now();
    loop {
        let dump = tasktrace::dump_blocking(Duration::from_secs(10));
        if dump.inspected().is_some_and(&condition) {
            return dump;
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "{dump}");
    }
}

/// Returns the names and lines of a tree, one for each frame: `  shop::restock @ 31`.
#[must_use]
pub fn tree(task: &Task) -> Vec<String> {
    fn add(frames: &[Frame], indent: &str, out: &mut Vec<String>) {
        for frame in frames {
            let is_own = frame
                .file
                .as_deref()
                .is_some_and(|file| !file.contains("tokio-"));
            out.push(match frame.line.filter(|_| is_own) {
                Some(line) => format!("{indent}{} @ {line}", frame.name),
                None => format!("{indent}{}", frame.name),
            });
            add(&frame.children, &format!("{indent}  "), out);
        }
    }
    let mut lines = Vec::new();
    add(&task.frames, "", &mut lines);
    lines
}

/// Asserts that a document matches the published schema, and has no fields that the schema does not describe.
#[track_caller]
pub fn assert_valid(document: &Value) {
    fn close(schema: &mut Value) {
        match schema {
            Value::Object(members) => {
                members.values_mut().for_each(close);
                if members.get("type") == Some(&json!("object")) {
                    members.insert("additionalProperties".to_owned(), json!(false));
                }
            }
            Value::Array(elements) => elements.iter_mut().for_each(close),
            _ => {}
        }
    }
    let text = include_str!("../../../tasktrace/schema/tasktrace.schema.json");
    let mut schema: Value = serde_json::from_str(text).unwrap();
    close(&mut schema);
    let schema = jsonschema::draft202012::new(&schema).unwrap();
    let errors = schema.iter_errors(document);
    let errors: Vec<String> = errors
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}\n{document:#}");
}
