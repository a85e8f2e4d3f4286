//! Which tasks are told together.

use std::collections::HashMap;
use std::mem::discriminant;

use super::known::Known;
use super::out::Detail;
use super::outline::{Outline, Outlines};
use crate::diagnosis::{self, Standing, Urgency};
use crate::dump::{Forest, Source, TaskDump};
use crate::task::TraceError;
use crate::trace::Tree;

/// A task, and what is to be told of it.
#[derive(Clone, Copy)]
pub(super) struct Member<'a> {
    pub(super) task: &'a TaskDump,
    pub(super) outline: Outline<'a>,
    pub(super) detail: Detail,
    pub(super) standing: Standing,
}

impl<'a> Member<'a> {
    /// Where it waits.
    pub(super) fn tree(&self) -> &'a Tree {
        super::tree(self.task.trace(), self.detail)
    }
}

/// The tasks of a dump, in their order.
pub(super) fn members<'a>(forest: &Forest<'a>, detail: Detail) -> Vec<Member<'a>> {
    let standings = diagnosis::of_dump(forest);
    let mut outlines = Outlines::default();
    let tasks = forest.dump().tasks().zip(standings);
    tasks
        .map(|(task, standing)| Member {
            task,
            outline: outlines.of(task.trace(), detail),
            detail,
            standing,
        })
        .collect()
}

/// Tasks of the same name in the same state at the same place. Never empty.
pub(super) struct Group<'a> {
    /// Those that have been in that state for longest first.
    pub(super) members: Vec<Member<'a>>,
    pub(super) urgency: Urgency,
}

impl<'a> Group<'a> {
    pub(super) fn new(mut members: Vec<Member<'a>>) -> Self {
        let urgency = members.iter().map(|member| member.standing.urgency).min();
        longest_first(&mut members);
        Self {
            members,
            urgency: urgency.unwrap_or(Urgency::Finished),
        }
    }

    pub(super) fn first(&self) -> &Member<'a> {
        &self.members[0]
    }

    /// What is known of each frame of the first member's tree, and of those like it in the others.
    pub(super) fn known(&self) -> Vec<Known<'a>> {
        Known::of_all(&self.members)
    }
}

/// Those that have been in their state for longest first.
pub(super) fn longest_first(members: &mut [Member<'_>]) {
    members.sort_by_key(|Member { task, .. }| (std::cmp::Reverse(task.in_state()), task.id()));
}

/// The groups, in the order in which a reader wants to see them: by urgency, then by what they most likely
/// wait for, then by size.
pub(super) fn groups(members: Vec<Member<'_>>, detail: Detail) -> Vec<Group<'_>> {
    let parts = match detail {
        Detail::Tidy => alike(members),
        Detail::Full => members.into_iter().map(|member| vec![member]).collect(),
    };
    // Each is in the order of the tasks, as its first members are.
    let mut groups: Vec<Group<'_>> = parts.into_iter().map(Group::new).collect();
    groups.sort_by_key(|group| {
        let size = std::cmp::Reverse(group.members.len());
        (group.urgency, group.first().standing.rank, size)
    });
    groups
}

/// Puts together what is alike, in the order of the first of each.
fn alike(members: Vec<Member<'_>>) -> Vec<Vec<Member<'_>>> {
    let mut parts: Vec<Vec<Member<'_>>> = Vec::new();
    // Where in `parts` those with the same name and tree are: in how many states they may be.
    let mut index: HashMap<_, Vec<usize>> = HashMap::new();
    for member in members {
        let notes = member.outline.notes();
        let cut = (notes.dropped, notes.elsewhere);
        let key = (member.outline.class, cut, member.task.name());
        let candidates = index.entry(key).or_default();
        let known = candidates
            .iter()
            .find(|at| are_alike(&parts[**at][0], &member));
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

/// Returns `true` if two tasks of the same name, tree and notes belong to one group.
fn are_alike(one: &Member<'_>, other: &Member<'_>) -> bool {
    discriminant(one.task.state()) == discriminant(other.task.state())
        && is_same_source(one.task.source(), other.task.source())
}

/// Whether there is the same to say of it, but for times.
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
