//! Which tasks are told together.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::mem::discriminant;

use super::known::Known;
use super::out::Detail;
use super::shape;
use super::urgency::Urgency;
use crate::dump::{Forest, Source, TaskDump};
use crate::task::TraceError;
use crate::trace::Tree;

/// A task, and what is to be told of it.
#[derive(Clone, Copy)]
pub(super) struct Member<'a> {
    pub(super) task: &'a TaskDump,
    pub(super) tree: &'a Tree,
    pub(super) urgency: Urgency,
}

/// The tasks of a dump, in their order.
pub(super) fn members<'a>(forest: &Forest<'a>, detail: Detail) -> Vec<Member<'a>> {
    let mut in_cycle = vec![false; forest.dump().len()];
    for at in forest.cycle_positions().iter().flatten() {
        in_cycle[*at] = true;
    }
    let tasks = forest.dump().tasks().zip(in_cycle);
    tasks
        .map(|(task, in_cycle)| {
            let tree = super::tree(task.trace(), detail);
            Member {
                task,
                tree,
                urgency: Urgency::of(task, tree, in_cycle),
            }
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
        let urgency = members.iter().map(|member| member.urgency).min();
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
        let trees = self.members.iter().map(|member| member.tree);
        Known::of_all(trees.map(|tree| &tree.frames[..]))
    }
}

/// Those that have been in their state for longest first.
pub(super) fn longest_first(members: &mut [Member<'_>]) {
    members.sort_by_key(|Member { task, .. }| (std::cmp::Reverse(task.in_state()), task.id()));
}

/// The groups, in the order in which a reader wants to see them: by urgency, then by size.
pub(super) fn groups(members: Vec<Member<'_>>, detail: Detail) -> Vec<Group<'_>> {
    let parts = match detail {
        Detail::Tidy => alike(members),
        Detail::Full => members.into_iter().map(|member| vec![member]).collect(),
    };
    // Each is in the order of the tasks, as its first members are.
    let mut groups: Vec<Group<'_>> = parts.into_iter().map(Group::new).collect();
    groups.sort_by_key(|group| {
        let size = std::cmp::Reverse(group.members.len());
        (group.urgency.order(), size)
    });
    groups
}

/// Puts together what is alike, in the order of the first of each.
fn alike(members: Vec<Member<'_>>) -> Vec<Vec<Member<'_>>> {
    let mut parts: Vec<Vec<Member<'_>>> = Vec::new();
    // Where in `parts` those with the same hash are: one, unless two hashes collide.
    let mut index: HashMap<u64, Vec<usize>> = HashMap::new();
    for member in members {
        let candidates = index.entry(hash(&member)).or_default();
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

fn hash(member: &Member<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    member.task.name().hash(&mut hasher);
    shape::hash_of(&member.tree.frames, &mut hasher);
    hasher.finish()
}

fn are_alike(one: &Member<'_>, other: &Member<'_>) -> bool {
    let cut = |member: &Member<'_>| (member.tree.notes.dropped, member.tree.notes.elsewhere);
    one.task.name() == other.task.name()
        && discriminant(one.task.state()) == discriminant(other.task.state())
        && is_same_source(one.task.source(), other.task.source())
        && cut(one) == cut(other)
        && shape::alike(&one.tree.frames, &other.tree.frames)
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
