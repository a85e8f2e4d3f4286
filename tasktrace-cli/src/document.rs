//! What processes answer, as far as we read it.

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer};

use crate::failure::Failure;
use crate::output::visible;
use crate::server::Server;

/// The format of [`View`].
const VIEW: &str = "tasktrace.view/1";

/// What a process says of itself.
#[derive(Debug, Deserialize)]
pub(crate) struct Process {
    pub(crate) name: String,
    pub(crate) age_ns: Option<u64>,
    pub(crate) tasks: u64,
    pub(crate) untraced: Option<u64>,
}

/// All tasks, in groups.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct View {
    pub(crate) process: Program,
    pub(crate) asked: u8,
    pub(crate) took_ms: u64,
    pub(crate) total: usize,
    pub(crate) untraced: Option<u64>,
    /// The same in words, with what to do.
    pub(crate) untraced_text: Option<String>,
    /// The last tasks that panicked, or were dropped before they had ended: a line for each.
    #[serde(default)]
    pub(crate) ended: Vec<String>,
    pub(crate) cycles_total: usize,
    /// Where tasks were spawned: `src/main.rs:10:5`.
    #[serde(default)]
    pub(crate) places: Vec<String>,
    /// The most urgent first.
    pub(crate) groups: Vec<Group>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Program {
    pub(crate) name: String,
    pub(crate) pid: u32,
}

/// Tasks that are in the same state at the same place.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Group {
    /// The same as long as the process runs.
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) state: String,
    pub(crate) urgency: String,
    /// The findings, in words.
    pub(crate) complaint: Option<String>,
    pub(crate) frames: Frames,
    /// Where the leaves are, the likeliest first.
    pub(crate) leaves: Vec<usize>,
    pub(crate) tasks: Tasks,
}

/// The tree of a group, in which each frame comes before its children.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Frames {
    pub(crate) parent: Column<Option<usize>>,
    pub(crate) name: Column<String>,
    pub(crate) file: Column<Option<String>>,
    pub(crate) line: Column<Option<u32>>,
    /// `current`, or what else the line is. Older programs do not say.
    #[serde(default)]
    pub(crate) line_is: Column<String>,
    /// 1 of what is waited for, such as a lock.
    pub(crate) resource: Column<u8>,
}

/// What makes the tasks of a group differ.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Tasks {
    pub(crate) len: usize,
    pub(crate) id: Column<u64>,
    pub(crate) label: Column<Option<String>>,
    pub(crate) age_ms: Column<u64>,
    pub(crate) waited_ms: Column<Option<u64>>,
    pub(crate) polls: Column<u64>,
    /// Which of the places.
    #[serde(default)]
    pub(crate) spawned_at: Column<Option<usize>>,
}

/// The values of several, or the one that all have.
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
    /// The label of a task.
    pub(crate) fn label(&self, at: usize) -> Option<&str> {
        self.label.get(at).and_then(Option::as_deref)
    }

    /// The number of the place where a task was spawned, if that is known.
    pub(crate) fn place(&self, at: usize) -> Option<usize> {
        self.spawned_at.get(at).copied().flatten()
    }
}

impl Group {
    /// The resource and the place of the likeliest wait, and how many more waits there are.
    pub(crate) fn leaf(&self) -> Leaf<'_> {
        let frames = &self.frames;
        let Some((first, others)) = self.leaves.split_first() else {
            return Leaf::default();
        };
        let (first, more) = (*first, others.len());
        let name = |at: usize| frames.name.get(at).map_or("", String::as_str);
        let above = frames.parent.get(first).copied().flatten();
        match above.filter(|_| frames.resource.get(first) == Some(&1)) {
            Some(above) => Leaf {
                resource: name(first),
                function: name(above),
                place: frames.place(above),
                more,
            },
            None => Leaf {
                resource: "",
                function: name(first),
                place: frames.place(first),
                more,
            },
        }
    }

    /// For how long the one has waited that has waited for longest.
    pub(crate) fn longest_ms(&self) -> Option<u64> {
        let waited = |at| self.tasks.waited_ms.get(at).copied().flatten();
        (0..self.tasks.len).filter_map(waited).max()
    }

    /// What may be wrong, if it may.
    pub(crate) fn complaint(&self) -> Option<&str> {
        self.complaint.as_deref()
    }
}

impl Frames {
    /// As a trace has it: `at src/main.rs:10`, or `(fn at src/main.rs:8)`.
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

/// What is waited for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Leaf<'a> {
    /// Such as a lock. Empty if it is not known.
    pub(crate) resource: &'a str,
    /// Who waits.
    pub(crate) function: &'a str,
    /// On which line, with the word before it. Empty if it is not known.
    pub(crate) place: String,
    /// How many more leaves the tree has.
    pub(crate) more: usize,
}

impl Leaf<'_> {
    /// In one line.
    pub(crate) fn text(&self) -> String {
        let mut text = match self.resource {
            "" => self.function.to_owned(),
            resource => format!("{resource} in {}", self.function),
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

/// Reads a document.
pub(crate) fn read<T: DeserializeOwned>(server: &Server, bytes: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(bytes).map_err(|error| {
        Failure::Other(format!(
            "{server} answers what we do not understand ({}): is it tasktrace, and of the same \
             version as this program ({})?",
            // It may tell what it has read.
            visible(&error.to_string()),
            env!("CARGO_PKG_VERSION")
        ))
    })
}

/// Reads all tasks.
pub(crate) fn read_view(server: &Server, bytes: &[u8]) -> Result<View, Failure> {
    #[derive(Deserialize)]
    struct Schema {
        schema: String,
    }
    let Schema { schema } = read(server, bytes)?;
    if schema != VIEW {
        return Err(Failure::Other(format!(
            "{server} answers with `{}`, and this program reads `{VIEW}`: use the one of the same \
             version",
            visible(&schema)
        )));
    }
    read(server, bytes)
}

/// Where all tasks are to be had.
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
                        "line": 7, "column": 1, "line_is": "definition", "wait": "no_waker", "count": 1, "resource": 0},
             "tasks": {"len": 1, "id": 9, "label": null, "age_ms": 5000, "waited_ms": 4000,
                       "polls": 2, "spawned_at": null, "parent": null, "urgency": "no_waker"}},
            {"id": "a", "name": "shop::order", "state": "suspended", "urgency": "suspended",
             "complaint": null, "leaves": [1, 2],
             "frames": {"len": 3, "parent": [null, 0, 0],
                        "name": ["shop::order", "tokio::sync::Mutex::lock", "tokio::time::sleep"],
                        "file": ["src/main.rs", "mutex.rs", null], "line": [42, 455, null],
                        "column": 5, "wait": [null, "registered", "registered"], "count": 1,
                        "resource": [0, 1, 1]},
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
    fn columns() {
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
    fn other_documents() {
        let failure = |text: &str| {
            let read = read_view(&server(), text.as_bytes());
            read.map(drop).expect_err("it is none").to_string()
        };
        assert!(failure("<html>").contains("is it tasktrace"));
        let other = failure(r#"{"schema": "tasktrace.view/2"}"#);
        assert!(other.contains("`tasktrace.view/2`"), "{other}");
    }
}
