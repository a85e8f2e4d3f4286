//! Groups the tasks of a dump that have the same name, state and stack.

use std::collections::HashMap;
use std::mem::discriminant;

use super::frame_summary::FrameSummary;
use super::line_writer::DetailLevel;
use super::shape_key::{ShapeKey, ShapeKeys};
use crate::diagnosis::{self, Severity, Status};
use crate::dump::{Forest, Source, TaskDump};
use crate::task::TraceError;
use crate::trace::Tree;

/// A task with the information that its text needs.
#[derive(Clone, Copy)]
pub(super) struct Member<'a> {
    pub(super) task: &'a TaskDump,
    pub(super) shape_key: ShapeKey<'a>,
    pub(super) detail: DetailLevel,
    pub(super) status: Status,
}

impl<'a> Member<'a> {
    /// Returns the tree of the task.
    pub(super) fn tree(&self) -> &'a Tree {
        super::tree(self.task.trace(), self.detail)
    }
}

/// Returns the tasks of a dump, in their order.
pub(super) fn members<'a>(forest: &Forest<'a>, detail: DetailLevel) -> Vec<Member<'a>> {
    let statuses = diagnosis::statuses(forest);
    let mut shape_keys = ShapeKeys::default();
    let tasks = forest.dump().tasks().zip(statuses);
    tasks
        .map(|(task, status)| Member {
            task,
            shape_key: shape_keys.of(task.trace(), detail),
            detail,
            status,
        })
        .collect()
}

/// Tasks with the same name, state and stack. It is never empty.
pub(super) struct Group<'a> {
    /// The tasks, those first that have been in their state for longest.
    pub(super) members: Vec<Member<'a>>,
    pub(super) severity: Severity,
}

impl<'a> Group<'a> {
    pub(super) fn new(mut members: Vec<Member<'a>>) -> Self {
        let severity = members.iter().map(|member| member.status.severity).min();
        longest_first(&mut members);
        Self {
            members,
            severity: severity.unwrap_or(Severity::Finished),
        }
    }

    pub(super) fn first(&self) -> &Member<'a> {
        &self.members[0]
    }

    /// Returns the summary of each frame of the first member's tree, merged over all members.
    pub(super) fn summaries(&self) -> Vec<FrameSummary<'a>> {
        FrameSummary::of_all(&self.members)
    }
}

/// Sorts tasks by the time in their state, longest first.
pub(super) fn longest_first(members: &mut [Member<'_>]) {
    members.sort_by_key(|Member { task, .. }| (std::cmp::Reverse(task.in_state()), task.id()));
}

/// Returns the groups in the order in which they are shown: by severity, then by the rank of the likeliest wait, then
/// by size.
pub(super) fn groups(members: Vec<Member<'_>>, detail: DetailLevel) -> Vec<Group<'_>> {
    let parts = match detail {
        DetailLevel::Simplified => partition(members),
        DetailLevel::Full => members.into_iter().map(|member| vec![member]).collect(),
    };
    // The parts are in the order of their first tasks. The sort is stable and keeps this order.
    let mut groups: Vec<Group<'_>> = parts.into_iter().map(Group::new).collect();
    groups.sort_by_key(|group| {
        let size = std::cmp::Reverse(group.members.len());
        (group.severity, group.first().status.rank, size)
    });
    groups
}

/// Partitions tasks into groups. The parts are in the order of their first tasks.
fn partition(members: Vec<Member<'_>>) -> Vec<Vec<Member<'_>>> {
    let mut parts: Vec<Vec<Member<'_>>> = Vec::new();
    // For a name and a shape: the positions in `parts` of the groups, which differ in state or source.
    let mut index: HashMap<_, Vec<usize>> = HashMap::new();
    for member in members {
        let notes = member.shape_key.notes();
        // These numbers are in the text, so they are equal within a group.
        let incomplete = (notes.dropped, notes.remote_clones);
        let key = (member.shape_key.class, incomplete, member.task.name());
        let candidates = index.entry(key).or_default();
        let known = candidates
            .iter()
            .find(|at| belong_together(&parts[**at][0], &member));
        match known {
            Some(at) => parts[*at].push(member),
            None => {
                candidates.push(parts.len());
                parts.push(vec![member]);
            }
        }
    }
    parts
}

/// Returns `true` if two tasks of the same name, shape and notes belong to one group.
fn belong_together(one: &Member<'_>, other: &Member<'_>) -> bool {
    discriminant(one.task.state()) == discriminant(other.task.state())
        && is_same_source(one.task.source(), other.task.source())
}

/// Returns `true` if two sources have the same text, apart from times.
fn is_same_source(one: &Source, other: &Source) -> bool {
    match (one, other) {
        (Source::Snapshot { error: Some(one) }, Source::Snapshot { error: Some(other) }) => {
            match (one, other) {
                (
                    TraceError::NoAnswer { reason, .. },
                    TraceError::NoAnswer { reason: other, .. },
                ) => reason == other,
                _ => discriminant(one) == discriminant(other),
            }
        }
        _ => one == other,
    }
}
