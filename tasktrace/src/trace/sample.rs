//! Traces for tests, made up.

use std::time::Duration;

use super::frame::{LineIs, Place, Times};
use super::{Frame, Made, Notes, Trace, Tree, Wait};
use crate::capture::RawTrace;

impl Trace {
    /// With the same frames whether tidied or not.
    pub(crate) fn sample(frames: Vec<Frame>) -> Self {
        Self::sample_with_notes(frames, Notes::default())
    }

    pub(crate) fn sample_with_notes(frames: Vec<Frame>, notes: Notes) -> Self {
        let trace = Self::new(RawTrace::default());
        let full = Tree {
            frames: copy(&frames),
            notes: notes.clone(),
        };
        let tidy = Tree { frames, notes };
        let full = trace.inner.full.set(Box::new(Made::Alone(Box::new(full))));
        let tidy = trace.inner.tidy.set(Made::Alone(Box::new(tidy)));
        assert!(full.is_ok() && tidy.is_ok(), "they are new");
        trace
    }
}

impl Frame {
    /// A leaf that is waited for, until it has children.
    pub(crate) fn sample(name: &str, line: u32) -> Self {
        Self {
            place: Place {
                file: Some("src/main.rs".into()),
                line: Some(line),
                column: Some(5),
                name: name.into(),
                label: None,
                is_library: false,
                line_is: LineIs::Current,
            },
            wait: Some(Wait::Registered),
            count: 1,
            is_resource: false,
            times: Times::default(),
            children: Vec::new(),
        }
    }

    pub(crate) fn with_children<const N: usize>(mut self, children: [Frame; N]) -> Self {
        self.wait = None;
        self.count = 0;
        self.children = children.into();
        self
    }

    pub(crate) fn add_children(&mut self, children: impl Iterator<Item = Self>) {
        self.children.extend(children);
    }

    pub(crate) fn with_label(mut self, label: &str) -> Self {
        self.place.label = Some(label.into());
        self
    }

    pub(crate) fn rename_file(&mut self, file: &str) {
        self.place.file = Some(file.into());
    }

    pub(crate) fn into_dependency(mut self) -> Self {
        self.place.is_library = true;
        self
    }

    pub(crate) fn with_line(mut self, line_is: LineIs) -> Self {
        self.place.line_is = line_is;
        self
    }

    pub(crate) fn into_resource(mut self) -> Self {
        self.is_resource = true;
        self
    }

    pub(crate) fn waiting(mut self, wait: Wait) -> Self {
        self.wait = Some(wait);
        self
    }

    pub(crate) fn times(mut self, count: usize) -> Self {
        self.count = count;
        self
    }

    pub(crate) fn aged(mut self, age: f64) -> Self {
        self.times.age = Some(Duration::from_secs_f64(age));
        self
    }

    pub(crate) fn held(mut self, not_polled_for: f64) -> Self {
        self.wait = Some(Wait::NotPolled);
        self.times.not_polled_for = Some(Duration::from_secs_f64(not_polled_for));
        self
    }
}

fn copy(frames: &[Frame]) -> Vec<Frame> {
    // The copies of children come before those of their parents.
    let all: Vec<&Frame> = super::frame::walk(frames).collect();
    let mut copies: Vec<Frame> = Vec::new();
    for frame in all.into_iter().rev() {
        let mut children = copies.split_off(copies.len() - frame.children.len());
        children.reverse();
        copies.push(Frame {
            place: frame.place.clone(),
            wait: frame.wait,
            count: frame.count,
            is_resource: frame.is_resource,
            times: frame.times,
            children,
        });
    }
    copies.reverse();
    copies
}
