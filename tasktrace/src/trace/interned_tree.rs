//! Shares one tree among raw traces that differ only in labels and times.
//!
//! Converting addresses to frames takes long in comparison with recording them, and most tasks of a program wait at one
//! of a few places. So the addresses are converted once for all captures that share [memos](InternedCapture::memos),
//! and the labels and times of each trace are inserted into a copy of the tree.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::frame::{FrameTimes, copy, frames_in};
use super::tree_builder::LiveTimes;
use super::{TraceTree, Tree, full, simplify};
use crate::capture::{InternedCapture, RawTrace};
use crate::origin::Identity;
use crate::symbol::{LookupFailures, PathShortener};
use crate::sync::is_cancelled;

/// A tree for all raw traces that share memos.
pub(crate) struct InternedTree {
    /// The tree, with the labels and the times of the trace that it was made of.
    tree: Tree,
    /// The live frames from which the times of the frames come.
    live_times: Vec<LiveTimes>,
    /// The positions of the frames with labels, each with the rank of its label among the labels of a trace in
    /// alphabetical order.
    labels: Vec<(usize, usize)>,
    /// `true` if no frame has a label, and no frame has the times of several live frames. This is so for most trees.
    has_unique_times: bool,
    /// The paths with which file names were shortened.
    paths: Arc<PathShortener>,
    /// The number of the only [`TreeMaker`] that may use the tree, if names are missing that may be found later.
    only_maker: Option<u64>,
}

/// The two trees of a trace. The discriminants are the indices of their memos.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum TreeKind {
    Simplified,
    Full,
}

/// Makes the trees of raw traces, and reuses the trees of equal traces.
pub(super) struct TreeMaker {
    /// The number of this maker, which no other maker has.
    number: u64,
    paths: Arc<PathShortener>,
}

impl TreeMaker {
    pub(super) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            paths: PathShortener::current(),
        }
    }

    /// Creates a tree of a raw trace, or reuses the tree that is in its memo.
    pub(super) fn make(&mut self, kind: TreeKind, raw: &RawTrace) -> TraceTree {
        let memo = raw.memos().map(|memos| &memos[kind as usize]);
        let known = memo.and_then(|memo| memo.get::<InternedTree>());
        if let Some(known) = known.filter(|known| self.may_use(known)) {
            return TraceTree::Shared(known, OnceLock::new());
        }
        let failures = LookupFailures::so_far();
        let built = match kind {
            TreeKind::Simplified => simplify::tree(raw, &[]),
            TreeKind::Full => full::tree(raw, &[]),
        };
        // Making the tree may have revealed a workspace, which changes the paths.
        self.paths = Arc::clone(&built.paths);
        // An incomplete tree is not shared.
        let Some(memo) = memo.filter(|_| !is_cancelled()) else {
            return TraceTree::Unshared(Box::new(built.tree));
        };
        let only_maker = failures.since().map(|_| self.number);
        let interned = Arc::new(InternedTree::new(built, raw, only_maker));
        memo.set(Arc::clone(&interned));
        TraceTree::Shared(interned, OnceLock::new())
    }

    /// Returns `true` if the tree has the current paths, and is complete or was made by this maker.
    fn may_use(&self, interned: &InternedTree) -> bool {
        Arc::ptr_eq(&interned.paths, &self.paths)
            && interned
                .only_maker
                .is_none_or(|number| number == self.number)
    }
}

/// The tree of a raw trace.
pub(super) struct BuiltTree {
    pub(super) tree: Tree,
    /// The live frames from which the times of the frames come.
    pub(super) live_times: Vec<LiveTimes>,
    /// The paths with which file names were shortened.
    pub(super) paths: Arc<PathShortener>,
}

/// The label and the times of a frame. Traces that share a tree differ in these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LabelAndTimes<'a> {
    pub(crate) age: Option<Duration>,
    pub(crate) not_polled_for: Option<Duration>,
    pub(crate) label: Option<&'a str>,
}

impl InternedTree {
    fn new(built: BuiltTree, raw: &RawTrace, only_maker: Option<u64>) -> Self {
        let BuiltTree {
            tree,
            live_times,
            paths,
        } = built;
        let known = labels(raw);
        let frames = frames_in(&tree.frames).enumerate();
        let labels = frames.filter_map(|(at, frame)| {
            let label = frame.label()?;
            Some((at, known.binary_search(&label).ok()?))
        });
        let labels: Vec<(usize, usize)> = labels.collect();
        Self {
            has_unique_times: labels.is_empty()
                && live_times.windows(2).all(|two| two[0].at != two[1].at),
            labels,
            tree,
            live_times,
            paths,
            only_maker,
        }
    }

    /// Returns the tree, with the labels and times of one of the traces that share it.
    pub(crate) fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Returns a copy of the tree with the labels and times of `raw`.
    pub(super) fn tree_of(&self, raw: &RawTrace) -> Tree {
        let mut own = vec![LabelAndTimes::default(); frames_in(&self.tree.frames).count()];
        self.each_label_and_times(raw, |at, of| own[at] = of);
        let frames = copy(&self.tree.frames, |at, frame| {
            let LabelAndTimes {
                label,
                age,
                not_polled_for,
            } = own[at];
            if frame.place.label.as_deref() != label {
                frame.place.label = label.map(Arc::from);
            }
            frame.times = FrameTimes {
                age,
                not_polled_for,
            };
        });
        Tree {
            frames,
            notes: self.tree.notes.clone(),
        }
    }

    /// Calls `each` for each frame that has times or a label, with its position in a walk and its label and times in
    /// `raw`.
    pub(super) fn each_label_and_times<'a>(
        &self,
        raw: &'a RawTrace,
        mut each: impl FnMut(usize, LabelAndTimes<'a>),
    ) {
        if self.has_unique_times {
            for LiveTimes { at, live, is_held } in &self.live_times {
                let own = LabelAndTimes {
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
        let mut live_times = self.live_times.iter().peekable();
        loop {
            let next = [
                labels.peek().map(|(at, _)| *at),
                live_times.peek().map(|it| it.at),
            ];
            let Some(at) = next.into_iter().flatten().min() else {
                return;
            };
            let label = labels.next_if(|(of, _)| *of == at);
            let mut own = LabelAndTimes {
                label: label.and_then(|(_, rank)| known.get(rank).copied()),
                ..LabelAndTimes::default()
            };
            while let Some(LiveTimes { live, is_held, .. }) =
                live_times.next_if(|live_times| live_times.at == at)
            {
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
fn labels(raw: &InternedCapture) -> Vec<&str> {
    let markers = raw.markers().iter().map(|marker| &marker.identity);
    let identities = markers.chain(raw.frames.iter().map(|frame| &frame.identity));
    let mut labels: Vec<&str> = identities.filter_map(Identity::label_str).collect();
    labels.sort_unstable();
    labels.dedup();
    labels
}

#[cfg(test)]
mod tests;
