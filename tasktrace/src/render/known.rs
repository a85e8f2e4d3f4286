//! What is known of the frames of several trees of the same shape.

use std::time::Duration;

use super::duration::Span;
use super::walk::walk;
use crate::trace::Frame;

/// What is known of a frame that is the same in several trees, but for this.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Known {
    pub(super) age: Option<Span<Duration>>,
    pub(super) not_polled_for: Option<Span<Duration>>,
    pub(super) labels_differ: bool,
}

impl Known {
    /// Of each frame of a tree, in the order of [`walk`].
    pub(super) fn of(frames: &[Frame]) -> Vec<Self> {
        walk(frames).map(|step| Self::of_one(step.frame)).collect()
    }

    /// Of a single frame.
    pub(super) fn of_one(frame: &Frame) -> Self {
        Self {
            age: Span::of(frame.age()),
            not_polled_for: Span::of(frame.not_polled_for()),
            labels_differ: false,
        }
    }

    /// Of each frame of the first tree, with what is known from the others.
    pub(super) fn of_all<'a>(mut trees: impl Iterator<Item = &'a [Frame]>) -> Vec<Self> {
        let Some(first) = trees.next() else {
            return Vec::new();
        };
        let mut known = Self::of(first);
        for tree in trees {
            for ((known, step), like) in known.iter_mut().zip(walk(tree)).zip(walk(first)) {
                add(&mut known.age, step.frame.age());
                add(&mut known.not_polled_for, step.frame.not_polled_for());
                known.labels_differ |= step.frame.label() != like.frame.label();
            }
        }
        known
    }
}

fn add(span: &mut Option<Span<Duration>>, time: Option<Duration>) {
    match (span, time) {
        (Some(span), Some(time)) => span.add(time),
        (span, time) => *span = span.or(Span::of(time)),
    }
}
