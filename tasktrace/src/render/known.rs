//! What is known of the frames of several trees that are alike.

use std::sync::Arc;
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
        let of = |member: &Member<'a>| walk(&member.tree().frames).map(|it| Self::of(it.frame));
        let Some((first, others)) = members.split_first() else {
            return Vec::new();
        };
        let mut known: Vec<Self> = of(first).collect();
        for other in others {
            let trace = other.task.trace();
            match (first.task.trace().pattern(), trace.pattern()) {
                // Nobody need make its tree.
                (Some(first), Some(pattern)) if Arc::ptr_eq(first, pattern) => {
                    trace.each_own(|at, own| known[at].add(own.into()));
                }
                _ => {
                    let frames = known.iter_mut().zip(of(other));
                    frames.for_each(|(known, other)| known.add(other));
                }
            }
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
