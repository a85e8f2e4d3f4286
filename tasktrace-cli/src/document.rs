//! Parses the documents that processes send. Only the fields that this program uses are listed.

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer};

use crate::failure::Failure;
use crate::output::visible;
use crate::server::Server;

/// The schema of [`View`].
const VIEW: &str = "tasktrace.view/1";

/// The description of a process.
#[derive(Debug, Deserialize)]
pub(crate) struct Process {
    pub(crate) name: String,
    pub(crate) age_ns: Option<u64>,
    pub(crate) tasks: u64,
    pub(crate) untraced: Option<u64>,
}

/// All tasks of a process, in groups.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct View {
    pub(crate) process: Program,
    pub(crate) asked: u8,
    pub(crate) took_ms: u64,
    pub(crate) total: usize,
    pub(crate) untraced: Option<u64>,
    /// The number of untraced tasks in words, with advice.
    pub(crate) untraced_text: Option<String>,
    /// The last tasks that panicked or were dropped before they ended, one line for each.
    #[serde(default)]
    pub(crate) ended: Vec<String>,
    pub(crate) cycles_total: usize,
    /// The locations where tasks were spawned, such as `src/main.rs:10:5`.
    #[serde(default)]
    pub(crate) places: Vec<String>,
    /// The groups, the most urgent first.
    pub(crate) groups: Vec<Group>,
    /// `true` if the tasks were read from memory, and no process has sent them.
    #[serde(skip)]
    pub(crate) is_from_memory: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Program {
    pub(crate) name: String,
    pub(crate) pid: u32,
}

/// Tasks in the same state at the same place.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Group {
    /// The id of the group, which stays the same while the process runs.
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) state: String,
    pub(crate) urgency: String,
    /// The problems of the group in words.
    pub(crate) complaint: Option<String>,
    pub(crate) frames: Frames,
    /// The positions of the leaves in the tree, the likeliest cause first.
    pub(crate) leaves: Vec<usize>,
    /// For each leaf, the position of the function of the program that waits, if that is not the leaf itself.
    #[serde(default)]
    pub(crate) waiting: Column<Option<usize>>,
    /// For each leaf, the operation that the function waits for, if it has a name.
    #[serde(default)]
    pub(crate) operations: Column<Option<String>>,
    pub(crate) tasks: Tasks,
}

/// The tree of a group. Each frame precedes its children.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Frames {
    pub(crate) name: Column<String>,
    pub(crate) file: Column<Option<String>>,
    pub(crate) line: Column<Option<u32>>,
    /// The kind of the line, such as `current`. Older processes do not send it.
    #[serde(default)]
    pub(crate) line_is: Column<String>,
}

/// The values that differ between the tasks of a group.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Tasks {
    pub(crate) len: usize,
    pub(crate) id: Column<u64>,
    pub(crate) label: Column<Option<String>>,
    pub(crate) age_ms: Column<u64>,
    pub(crate) waited_ms: Column<Option<u64>>,
    pub(crate) polls: Column<u64>,
    /// The position in [`View::places`].
    #[serde(default)]
    pub(crate) spawned_at: Column<Option<usize>>,
}

/// One value for each element, or one value for all.
#[derive(Clone, Debug)]
pub(crate) enum Column<T> {
    Each(Vec<T>),
    All(T),
}

impl<T> Column<T> {
    pub(crate) fn get(&self, at: usize) -> Option<&T> {
        match self {
            Self::Each(all) => all.get(at),
            Self::All(one) => Some(one),
        }
    }
}

impl<T> Default for Column<T> {
    fn default() -> Self {
        Self::Each(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Column<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either<T> {
            Each(Vec<T>),
            All(T),
        }
        Ok(match Either::deserialize(deserializer)? {
            Either::Each(all) => Self::Each(all),
            Either::All(one) => Self::All(one),
        })
    }
}

impl Tasks {
    /// Returns `true` if the document lists as many tasks as it counts. Each task has another number, so the column of
    /// the numbers tells this. Any other column may have one value for all tasks.
    fn has_all(&self) -> bool {
        match &self.id {
            Column::Each(ids) => ids.len() == self.len,
            Column::All(_) => self.len == 1,
        }
    }

    /// Returns the label of a task.
    pub(crate) fn label(&self, at: usize) -> Option<&str> {
        self.label.get(at).and_then(Option::as_deref)
    }

    /// Returns the position in [`View::places`] of the location where a task was spawned, if it is known.
    pub(crate) fn place(&self, at: usize) -> Option<usize> {
        self.spawned_at.get(at).copied().flatten()
    }
}

impl Group {
    /// Returns the likeliest wait of the group, and the number of other waits.
    pub(crate) fn leaf(&self) -> Leaf<'_> {
        let frames = &self.frames;
        let Some((first, others)) = self.leaves.split_first() else {
            return Leaf::default();
        };
        let (first, more) = (*first, others.len());
        let name = |at: usize| frames.name.get(at).map_or("", String::as_str);
        let operation = self.operations.get(0).and_then(Option::as_deref);
        let function = self.waiting.get(0).copied().flatten().unwrap_or(first);
        Leaf {
            operation: operation.unwrap_or_default(),
            function: name(function),
            place: frames.place(function),
            more,
        }
    }

    /// Returns the longest time that a task of the group has waited.
    pub(crate) fn longest_ms(&self) -> Option<u64> {
        let waited = |at| self.tasks.waited_ms.get(at).copied().flatten();
        (0..self.tasks.len).filter_map(waited).max()
    }

    /// Returns the problem of the group, if it may have one.
    pub(crate) fn complaint(&self) -> Option<&str> {
        self.complaint.as_deref()
    }
}

impl Frames {
    /// Returns a location as a trace prints it: `at src/main.rs:10`, or `(fn at src/main.rs:8)`.
    fn place(&self, at: usize) -> String {
        let Some(file) = self.file.get(at).and_then(Option::as_deref) else {
            return String::new();
        };
        let Some(line) = self.line.get(at).copied().flatten() else {
            return format!("at {file}");
        };
        match self.line_is.get(at).map_or("", String::as_str) {
            "definition" => format!("(fn at {file}:{line})"),
            "creation" => format!("(made at {file}:{line})"),
            _ => format!("at {file}:{line}"),
        }
    }
}

/// A wait: the operation, and the place that waits for it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Leaf<'a> {
    /// The operation, such as the acquisition of a lock. Empty if it is unknown.
    pub(crate) operation: &'a str,
    /// The function that waits.
    pub(crate) function: &'a str,
    /// The location of the wait, with the word before it. Empty if it is unknown.
    pub(crate) place: String,
    /// The number of other leaves of the tree.
    pub(crate) more: usize,
}

impl Leaf<'_> {
    /// Returns the wait as one line.
    pub(crate) fn text(&self) -> String {
        let mut text = match self.operation {
            "" => self.function.to_owned(),
            operation => format!("{operation} in {}", self.function),
        };
        if !self.place.is_empty() {
            text += &format!(" {}", self.place);
        }
        if self.more > 0 {
            text += &format!(" and {} more", self.more);
        }
        text
    }
}

/// Parses a document.
pub(crate) fn read<T: DeserializeOwned>(server: &Server, bytes: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(bytes).map_err(|error| {
        Failure::Other(format!(
            "{server} sent an answer that this program does not understand ({}): is it tasktrace, in the same \
             version as this program ({})?",
            // The message of the parser may contain text of the document.
            visible(&error.to_string()),
            env!("CARGO_PKG_VERSION")
        ))
    })
}

/// Parses a document with all tasks, and checks its schema.
pub(crate) fn read_view(server: &Server, bytes: &[u8]) -> Result<View, Failure> {
    #[derive(Deserialize)]
    struct Schema {
        schema: String,
    }
    let Schema { schema } = read(server, bytes)?;
    if schema != VIEW {
        return Err(Failure::Other(format!(
            "{server} answers with `{}`, but this program reads `{VIEW}`: use the `tasktrace` program of the same \
             version",
            visible(&schema)
        )));
    }
    let view: View = read(server, bytes)?;
    // Otherwise a few bytes could name so many tasks that listing them takes all time and memory.
    if view.groups.iter().all(|group| group.tasks.has_all()) {
        return Ok(view);
    }
    Err(Failure::Other(format!(
        "{server} sent an answer that contradicts itself: a group does not list all the tasks that it counts"
    )))
}

/// Returns the path of the document with all tasks.
pub(crate) fn view_path(snapshot: bool) -> String {
    format!("/view.json?capture={}", u8::from(!snapshot))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const EXAMPLE: &str = r#"{
        "schema": "tasktrace.view/1",
        "process": {"name": "shop", "pid": 4711},
        "taken_ms": 1, "took_ms": 3, "asked": 1, "total": 4, "untraced": 1, "missing": null,
        "cycles": [], "cycles_total": 0, "roots": [],
        "places": ["src/main.rs:5:9", "src/main.rs:6:9"],
        "groups": [
            {"id": "b", "name": "shop::reconnect", "state": "suspended", "urgency": "no_waker",
             "complaint": "registered no waker in this poll", "leaves": [0],
             "frames": {"len": 1, "parent": null, "name": "shop::reconnect", "file": "src/db.rs",
                        "line": 7, "column": 1, "line_is": "definition", "wait": "no_waker", "count": 1},
             "tasks": {"len": 1, "id": 9, "label": null, "age_ms": 5000, "waited_ms": 4000,
                       "polls": 2, "spawned_at": null, "parent": null, "urgency": "no_waker"}},
            {"id": "a", "name": "shop::order", "state": "suspended", "urgency": "suspended",
             "complaint": null, "leaves": [1, 2], "waiting": 0,
             "operations": ["tokio::sync::Mutex::lock", "tokio::time::sleep"],
             "frames": {"len": 3, "parent": [null, 0, 0],
                        "name": ["shop::order", "tokio::sync::Mutex::lock", "tokio::time::sleep"],
                        "file": ["src/main.rs", "mutex.rs", null], "line": [42, 455, null],
                        "column": 5, "wait": [null, "registered", "registered"], "count": 1},
             "tasks": {"len": 3, "id": [1, 2, 3], "label": ["ann", "bob", null], "age_ms": 60000,
                       "waited_ms": [1000, 2000, 500], "polls": [1, 2, 3], "spawned_at": 1,
                       "parent": null, "urgency": "suspended"}}
        ]
    }"#;

    pub(crate) fn server() -> Server {
        Server::of(4711, "/run/4711.sock".into())
    }

    pub(crate) fn example() -> View {
        read_view(&server(), EXAMPLE.as_bytes()).expect("it is one")
    }

    #[test]
    fn columns_have_one_value_or_one_for_each_task() {
        let view = example();
        let tasks = &view.groups[1].tasks;
        assert_eq!(tasks.id.get(2), Some(&3));
        assert_eq!(tasks.id.get(3), None);
        assert_eq!(tasks.age_ms.get(2), Some(&60000));
        assert_eq!(tasks.label.get(2), Some(&None));
        assert_eq!(view.groups[1].longest_ms(), Some(2000));
    }

    #[test]
    fn leaves() {
        let view = example();
        let texts: Vec<_> = view.groups.iter().map(|it| it.leaf().text()).collect();
        assert_eq!(
            texts,
            [
                "shop::reconnect (fn at src/db.rs:7)",
                "tokio::sync::Mutex::lock in shop::order at src/main.rs:42 and 1 more",
            ]
        );
    }

    #[test]
    fn a_leaf_shows_the_operation_and_the_function_of_the_program() {
        let mut group = example().groups.remove(1);
        group.operations = Column::All(Some(
            "sqlx::Query::fetch_one (sqlx::Pool::acquire)".to_owned(),
        ));
        group.leaves = vec![2];
        assert_eq!(
            group.leaf().text(),
            "sqlx::Query::fetch_one (sqlx::Pool::acquire) in shop::order at src/main.rs:42"
        );
    }

    #[test]
    fn a_group_that_lists_fewer_tasks_than_it_counts_is_a_failure() {
        for (listed, counted) in [
            (
                r#""len": 1, "id": 9"#,
                r#""len": 18446744073709551615, "id": 9"#,
            ),
            (
                r#""len": 3, "id": [1, 2, 3]"#,
                r#""len": 4, "id": [1, 2, 3]"#,
            ),
        ] {
            assert!(EXAMPLE.contains(listed));
            let text = EXAMPLE.replace(listed, counted);
            let failure = read_view(&server(), text.as_bytes()).expect_err("it lists fewer");
            assert!(
                failure.to_string().contains("contradicts itself"),
                "{failure}"
            );
        }
    }

    #[test]
    fn documents_of_other_schemas_are_failures() {
        let failure = |text: &str| {
            let read = read_view(&server(), text.as_bytes());
            read.map(drop).expect_err("it is none").to_string()
        };
        assert!(failure("<html>").contains("is it tasktrace"));
        let other = failure(r#"{"schema": "tasktrace.view/2"}"#);
        assert!(other.contains("`tasktrace.view/2`"), "{other}");
    }
}
