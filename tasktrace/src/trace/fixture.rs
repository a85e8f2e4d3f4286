//! Makes up traces for tests.

use std::time::Duration;

use super::frame::{FramePlace, FrameTimes, LineIs, copy};
use super::{Frame, Notes, Trace, TraceTree, Tree, Wait};
use crate::capture::RawTrace;

impl Trace {
    /// Creates a trace whose simplified tree and full tree have the same frames.
    pub(crate) fn sample(frames: Vec<Frame>) -> Self {
        Self::sample_with_notes(frames, Notes::default())
    }

    pub(crate) fn sample_with_notes(frames: Vec<Frame>, notes: Notes) -> Self {
        let trace = Self::new(RawTrace::default());
        let full = Tree {
            frames: copy(&frames, |_, _| ()),
            notes: notes.clone(),
        };
        let simplified = Tree { frames, notes };
        let full = trace
            .inner
            .full
            .set(Box::new(TraceTree::Unshared(Box::new(full))));
        let simplified = trace
            .inner
            .simplified
            .set(TraceTree::Unshared(Box::new(simplified)));
        assert!(
            full.is_ok() && simplified.is_ok(),
            "a new trace has no trees"
        );
        trace
    }
}

impl Frame {
    /// Creates a leaf that has registered a waker. It stops being a leaf when it gets children.
    pub(crate) fn sample(name: &str, line: u32) -> Self {
        Self {
            place: FramePlace {
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
            times: FrameTimes::default(),
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
