//! Folds many similar siblings into one frame, such as the requests that one task handles at the same time, each with
//! its own label.

use std::collections::HashMap;

use super::frame_summary::FrameSummary;
use super::line_writer::DetailLevel;
use super::shape::{Subtree, have_same_shape, subtrees};
use crate::trace::Frame;
use crate::trace::library_runs::{self, HiddenRun};

/// The number of similar siblings up to which each is shown separately.
const FEW: usize = 5;

/// The number of labels that are shown for a folded frame.
pub(super) const FEW_LABELS: usize = 3;

/// Decides which frames of one tree are shown, and with which times and labels.
pub(super) struct SiblingFolder<'a> {
    /// The summary of each frame, in the order of [`walk`](super::walk::walk). `None` if no ages are shown.
    summaries: Option<Vec<FrameSummary<'a>>>,
    subtrees: Vec<Subtree>,
    /// The level of detail for similar siblings.
    detail: DetailLevel,
    /// The level of detail for runs of functions of libraries.
    libraries: DetailLevel,
}

/// A frame, or several similar siblings.
#[derive(Clone, Debug)]
pub(super) struct FoldedFrame<'a> {
    /// The first of the siblings.
    pub(super) frame: &'a Frame,
    /// The position of `frame` in the order of [`walk`](super::walk::walk).
    pub(super) at: usize,
    /// The number of siblings.
    pub(super) count: usize,
    /// The labels of the first few siblings. Empty if `count` is 1.
    pub(super) labels: Vec<&'a str>,
}

impl<'a> SiblingFolder<'a> {
    /// Shows all siblings, and no times except those of held futures. So the same tree has the same text at any time.
    pub(super) fn without_times(frames: &[Frame], detail: DetailLevel) -> Self {
        Self {
            summaries: None,
            subtrees: subtrees(frames),
            detail: DetailLevel::Full,
            libraries: detail,
        }
    }

    /// Shows the times and labels of `summaries`, and folds similar siblings unless all details are shown.
    pub(super) fn new(
        frames: &[Frame],
        summaries: Vec<FrameSummary<'a>>,
        detail: DetailLevel,
    ) -> Self {
        Self {
            summaries: Some(summaries),
            subtrees: subtrees(frames),
            detail,
            libraries: detail,
        }
    }

    /// Returns the times and labels that are shown for a frame.
    pub(super) fn summary<'f>(&self, folded: &FoldedFrame<'f>) -> FrameSummary<'f>
    where
        'a: 'f,
    {
        match &self.summaries {
            Some(summaries) => summaries.get(folded.at).copied().unwrap_or_default(),
            None => FrameSummary {
                age: None,
                ..FrameSummary::of(folded.frame)
            },
        }
    }

    /// Returns the functions of libraries below a frame that are not shown.
    pub(super) fn hidden_below<'f>(&self, frame: &'f Frame) -> Option<HiddenRun<'f>> {
        match self.libraries {
            DetailLevel::Simplified => library_runs::hidden_below(frame),
            DetailLevel::Full => None,
        }
    }

    /// Returns the frames to show for siblings, in their order. `first` is the position of the first sibling.
    pub(super) fn siblings<'f>(
        &mut self,
        frames: &'f [Frame],
        first: usize,
    ) -> Vec<FoldedFrame<'f>> {
        let mut at = first;
        let mut siblings = Vec::with_capacity(frames.len());
        for frame in frames {
            siblings.push((frame, at));
            at += self.subtrees[at].size;
        }
        if siblings.len() <= FEW || self.detail == DetailLevel::Full {
            return siblings.into_iter().map(FoldedFrame::one).collect();
        }
        let mut classes: Vec<Vec<(&Frame, usize)>> = Vec::new();
        let mut index: HashMap<u64, usize> = HashMap::new();
        for sibling in siblings {
            let class = index.entry(self.subtrees[sibling.1].hash);
            let class = *class.or_insert(classes.len());
            match classes.get_mut(class) {
                Some(class) if is_same_shape(class[0].0, sibling.0) => class.push(sibling),
                // The sibling is the first of its class, or its hash collides with that of another class.
                _ => classes.push(vec![sibling]),
            }
        }
        let folded = classes.into_iter().flat_map(|class| match class.len() {
            0..=FEW => class.into_iter().map(FoldedFrame::one).collect(),
            _ => vec![self.fold(&class)],
        });
        let mut folded: Vec<FoldedFrame<'f>> = folded.collect();
        folded.sort_by_key(|frame| frame.at);
        folded
    }

    /// Folds siblings of the same shape into the first, and merges the summaries of their frames.
    fn fold<'f>(&mut self, class: &[(&'f Frame, usize)]) -> FoldedFrame<'f> {
        let (frame, at) = class[0];
        if let Some(summaries) = &mut self.summaries {
            for (_, other) in &class[1..] {
                for below in 0..self.subtrees[at].size {
                    let other = summaries[other + below];
                    summaries[at + below].merge(other);
                }
            }
        }
        let labels = class.iter().filter_map(|(frame, _)| frame.label());
        FoldedFrame {
            frame,
            at,
            count: class.len(),
            labels: labels.take(FEW_LABELS).collect(),
        }
    }
}

impl<'a> FoldedFrame<'a> {
    fn one((frame, at): (&'a Frame, usize)) -> Self {
        Self {
            frame,
            at,
            count: 1,
            labels: Vec::new(),
        }
    }
}

fn is_same_shape(one: &Frame, other: &Frame) -> bool {
    have_same_shape(std::slice::from_ref(one), std::slice::from_ref(other))
}
