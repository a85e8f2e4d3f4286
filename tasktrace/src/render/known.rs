//! What is known of the frames of several trees that are alike.

use std::time::Duration;

use super::duration::Span;
use super::group::Member;
use super::walk::walk;
use crate::trace::{Frame, Own};

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

    /// Of each frame of the trees of tasks that are told together, in the order of [`walk`].
    pub(super) fn of_all(members: &[Member<'a>]) -> Vec<Self> {
        let Some((first, others)) = members.split_first() else {
            return Vec::new();
        };
        let mut known = Vec::new();
        Self::of_member(first, &mut known);
        let mut of_other = Vec::new();
        for other in others {
            Self::of_member(other, &mut of_other);
            let frames = known.iter_mut().zip(&of_other);
            frames.for_each(|(known, other)| known.add(*other));
        }
        known
    }

    /// Replaces the contents of `into` by what is known of each frame of one tree.
    fn of_member(member: &Member<'a>, into: &mut Vec<Self>) {
        into.clear();
        let trace = member.task.trace();
        match trace.pattern() {
            // Nobody need make its tree.
            Some(pattern) => {
                into.resize(walk(&pattern.tree().frames).count(), Self::default());
                trace.each_own(|at, own| into[at] = own.into());
            }
            None => into.extend(walk(&member.tree().frames).map(|it| Self::of(it.frame))),
        }
    }

    /// Adds what is known of a frame that is alike.
    pub(super) fn add(&mut self, other: Self) {
        add(&mut self.age, other.age);
        add(&mut self.not_polled_for, other.not_polled_for);
        self.labels_differ |= other.labels_differ || self.label != other.label;
    }
}

impl<'a> From<Own<'a>> for Known<'a> {
    fn from(own: Own<'a>) -> Self {
        Self {
            age: Span::of(own.age),
            not_polled_for: Span::of(own.not_polled_for),
            label: own.label,
            labels_differ: false,
        }
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
