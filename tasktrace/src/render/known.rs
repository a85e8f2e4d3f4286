//! What is known of the frames of several trees that are alike.

use std::time::Duration;

use super::duration::Span;
use super::walk::walk;
use crate::trace::Frame;

/// What is known of a frame that is in several trees: how they differ.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Known<'a> {
    pub(super) age: Option<Span<Duration>>,
    pub(super) not_polled_for: Option<Span<Duration>>,
    pub(super) label: Option<&'a str>,
    pub(super) labels_differ: bool,
}

impl<'a> Known<'a> {
    /// Of a frame in one tree.
    pub(super) fn of(frame: &'a Frame) -> Self {
        Self {
            age: Span::of(frame.age()),
            not_polled_for: Span::of(frame.not_polled_for()),
            label: frame.label(),
            labels_differ: false,
        }
    }

    /// Of each frame of trees that are alike, in the order of [`walk`].
    pub(super) fn of_all(trees: impl Iterator<Item = &'a [Frame]>) -> Vec<Self> {
        let mut trees = trees.map(|tree| walk(tree).map(|step| Self::of(step.frame)));
        let mut known: Vec<Self> = trees.next().into_iter().flatten().collect();
        for tree in trees {
            known
                .iter_mut()
                .zip(tree)
                .for_each(|(known, other)| known.add(other));
        }
        known
    }

    /// Adds what is known of a frame that is alike.
    pub(super) fn add(&mut self, other: Self) {
        add(&mut self.age, other.age);
        add(&mut self.not_polled_for, other.not_polled_for);
        self.labels_differ |= other.labels_differ || self.label != other.label;
    }
}

fn add(span: &mut Option<Span<Duration>>, other: Option<Span<Duration>>) {
    match (span, other) {
        (Some(span), Some(other)) => {
            span.add(other.least);
            span.add(other.greatest);
        }
        (span, other) => *span = span.or(other),
    }
}
