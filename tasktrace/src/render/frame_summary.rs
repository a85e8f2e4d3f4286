//! Merges the ages and labels of corresponding frames in trees of the same shape.

use std::time::Duration;

use super::duration::Span;
use super::group::Member;
use super::walk::walk;
use crate::trace::{Frame, LabelAndTimes};

/// The ages and labels of one frame, merged over several trees.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FrameSummary<'a> {
    pub(super) age: Option<Span<Duration>>,
    pub(super) not_polled_for: Option<Span<Duration>>,
    pub(super) label: Option<&'a str>,
    pub(super) labels_differ: bool,
}

impl<'a> FrameSummary<'a> {
    /// Returns the summary of a frame of one tree.
    pub(super) fn of(frame: &'a Frame) -> Self {
        Self {
            age: Span::of(frame.age()),
            not_polled_for: Span::of(frame.not_polled_for()),
            label: frame.label(),
            labels_differ: false,
        }
    }

    /// Returns the summary of each frame of the tree that the members of a group share, in the order of [`walk`].
    pub(super) fn of_all(members: &[Member<'a>]) -> Vec<Self> {
        let Some((first, others)) = members.split_first() else {
            return Vec::new();
        };
        let mut summaries = Vec::new();
        Self::of_member(first, &mut summaries);
        let mut of_other = Vec::new();
        for other in others {
            Self::of_member(other, &mut of_other);
            let frames = summaries.iter_mut().zip(&of_other);
            frames.for_each(|(summary, other)| summary.merge(*other));
        }
        summaries
    }

    /// Replaces the contents of `into` with the summaries of the frames of one tree.
    fn of_member(member: &Member<'a>, into: &mut Vec<Self>) {
        into.clear();
        let trace = member.task.trace();
        match trace.interned_tree() {
            // The tree of this trace need not be built.
            Some(interned) => {
                into.resize(walk(&interned.tree().frames).count(), Self::default());
                trace.each_label_and_times(|at, frame| into[at] = frame.into());
            }
            None => into.extend(walk(&member.tree().frames).map(|it| Self::of(it.frame))),
        }
    }

    /// Merges the summary of the corresponding frame of another tree.
    pub(super) fn merge(&mut self, other: Self) {
        merge_spans(&mut self.age, other.age);
        merge_spans(&mut self.not_polled_for, other.not_polled_for);
        self.labels_differ |= other.labels_differ || self.label != other.label;
    }
}

impl<'a> From<LabelAndTimes<'a>> for FrameSummary<'a> {
    fn from(frame: LabelAndTimes<'a>) -> Self {
        Self {
            age: Span::of(frame.age),
            not_polled_for: Span::of(frame.not_polled_for),
            label: frame.label,
            labels_differ: false,
        }
    }
}

fn merge_spans(span: &mut Option<Span<Duration>>, other: Option<Span<Duration>>) {
    match (span, other) {
        (Some(span), Some(other)) => {
            span.add(other.least);
            span.add(other.greatest);
        }
        (span, other) => *span = span.or(other),
    }
}
