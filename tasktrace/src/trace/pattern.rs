//! What raw traces that differ only in labels and times have in common: the tree, but for those.
//!
//! To make frames of addresses takes long next to recording them, and most tasks of a program wait in one of a few ways.
//! So it is done once for the captures that share [memos](Interned::memos), and labels and times are put where they
//! belong.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::build::Seen;
use super::frame::{Frame, Times, walk};
use super::{Made, Tree, full, tidy};
use crate::capture::{Interned, RawTrace};
use crate::origin::Identity;
use crate::symbol::{Failures, Paths};
use crate::sync::is_unwanted;

/// A tree for all raw traces that share memos.
pub(crate) struct Pattern {
    /// With the labels and the times of the one that it was made of.
    tree: Tree,
    /// Of which live frames the times are.
    seen: Vec<Seen>,
    /// Which frames have labels, and which of the labels of a trace in alphabetical order.
    labels: Vec<(usize, usize)>,
    /// Whether there are no labels, and no frame has the times of several: so it is with most.
    is_simple: bool,
    /// What its paths were shortened with.
    paths: Arc<Paths>,
    /// Names are missing that may be found later, so only the [`Making`] with this number uses it.
    only_for: Option<u64>,
}

/// The two trees of a trace, which are the numbers of their memos.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    Tidy,
    Full,
}

/// Makes the trees of raw traces, and reuses the trees of equal traces.
pub(super) struct Making {
    number: u64,
    paths: Arc<Paths>,
}

impl Making {
    pub(super) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            paths: Paths::current(),
        }
    }

    pub(super) fn make(&mut self, detail: Detail, raw: &RawTrace) -> Made {
        let memo = raw.memos().map(|memos| &memos[detail as usize]);
        let known = memo.and_then(|memo| memo.get::<Pattern>());
        if let Some(known) = known.filter(|known| self.may_use(known)) {
            return Made::Alike(known, OnceLock::new());
        }
        let failures = Failures::so_far();
        let grown = match detail {
            Detail::Tidy => tidy::tree(raw, &[]),
            Detail::Full => full::tree(raw, &[]),
        };
        // It may have learnt of a workspace.
        self.paths = Arc::clone(&grown.paths);
        // An incomplete tree is not shared.
        let Some(memo) = memo.filter(|_| !is_unwanted()) else {
            return Made::Alone(Box::new(grown.tree));
        };
        let only_for = failures.since().map(|_| self.number);
        let pattern = Arc::new(Pattern::new(grown, raw, only_for));
        memo.set(Arc::clone(&pattern));
        Made::Alike(pattern, OnceLock::new())
    }

    fn may_use(&self, pattern: &Pattern) -> bool {
        Arc::ptr_eq(&pattern.paths, &self.paths)
            && pattern.only_for.is_none_or(|number| number == self.number)
    }
}

/// What became of a raw trace: a tree, and of which live frames its times are.
pub(super) struct Grown {
    pub(super) tree: Tree,
    pub(super) seen: Vec<Seen>,
    /// What its paths were shortened with.
    pub(super) paths: Arc<Paths>,
}

/// What is different in a frame of one trace and that of another with the same pattern.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Own<'a> {
    pub(crate) age: Option<Duration>,
    pub(crate) not_polled_for: Option<Duration>,
    pub(crate) label: Option<&'a str>,
}

impl Pattern {
    fn new(grown: Grown, raw: &RawTrace, only_for: Option<u64>) -> Self {
        let Grown { tree, seen, paths } = grown;
        let known = labels(raw);
        let frames = walk(&tree.frames).enumerate();
        let labels = frames.filter_map(|(at, frame)| {
            let label = frame.label()?;
            Some((at, known.binary_search(&label).ok()?))
        });
        let labels: Vec<(usize, usize)> = labels.collect();
        Self {
            is_simple: labels.is_empty() && seen.windows(2).all(|two| two[0].at != two[1].at),
            labels,
            tree,
            seen,
            paths,
            only_for,
        }
    }

    /// The tree, with labels and times of any of the traces.
    pub(crate) fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The tree of one of the traces.
    pub(super) fn tree_of(&self, raw: &RawTrace) -> Tree {
        let frames: Vec<&Frame> = walk(&self.tree.frames).collect();
        let mut own: Vec<Own<'_>> = vec![Own::default(); frames.len()];
        self.each_own(raw, |at, of| own[at] = of);
        // The copies of children come before those of their parents.
        let mut copies: Vec<Frame> = Vec::new();
        for (frame, own) in frames.into_iter().zip(own).rev() {
            let mut children = copies.split_off(copies.len() - frame.children.len());
            children.reverse();
            let mut place = frame.place.clone();
            if place.label.as_deref() != own.label {
                place.label = own.label.map(Arc::from);
            }
            copies.push(Frame {
                place,
                wait: frame.wait,
                count: frame.count,
                is_resource: frame.is_resource,
                times: Times {
                    age: own.age,
                    not_polled_for: own.not_polled_for,
                },
                children,
            });
        }
        copies.reverse();
        Tree {
            frames: copies,
            notes: self.tree.notes.clone(),
        }
    }

    /// Tells of all frames that have a time or a label what these are in one of the traces. The frames
    /// are told by their positions in a walk.
    pub(super) fn each_own<'a>(&self, raw: &'a RawTrace, mut each: impl FnMut(usize, Own<'a>)) {
        if self.is_simple {
            for Seen { at, live, is_held } in &self.seen {
                let own = Own {
                    age: Some(raw.age(*live)),
                    not_polled_for: is_held.then(|| raw.not_polled_for(*live)).flatten(),
                    label: None,
                };
                each(*at, own);
            }
            return;
        }
        let known = match &*self.labels {
            [] => Vec::new(),
            _ => labels(raw),
        };
        let mut labels = self.labels.iter().copied().peekable();
        let mut seen = self.seen.iter().peekable();
        loop {
            let next = [
                labels.peek().map(|(at, _)| *at),
                seen.peek().map(|it| it.at),
            ];
            let Some(at) = next.into_iter().flatten().min() else {
                return;
            };
            let label = labels.next_if(|(of, _)| *of == at);
            let mut own = Own {
                label: label.and_then(|(_, rank)| known.get(rank).copied()),
                ..Own::default()
            };
            while let Some(Seen { live, is_held, .. }) = seen.next_if(|seen| seen.at == at) {
                own.age = own.age.max(Some(raw.age(*live)));
                if *is_held {
                    own.not_polled_for = own.not_polled_for.max(raw.not_polled_for(*live));
                }
            }
            each(at, own);
        }
    }
}

/// Returns the labels of a raw trace in alphabetical order, each once.
fn labels(raw: &Interned) -> Vec<&str> {
    let markers = raw.markers().iter().map(|marker| &marker.identity);
    let identities = markers.chain(raw.frames.iter().map(|frame| &frame.identity));
    let mut labels: Vec<&str> = identities.filter_map(Identity::label_str).collect();
    labels.sort_unstable();
    labels.dedup();
    labels
}

#[cfg(test)]
mod tests;
