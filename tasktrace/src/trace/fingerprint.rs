//! Compares traces, except for labels, times and counts of leaves, without looking up symbols.
//!
//! Traces with equal fingerprints have trees that are equal except for these. Traces with different fingerprints may
//! have equal trees too, for example if a function has several addresses.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::capture::{FrameSnapshot, InternedCapture, ScopeMarker, StackEntry};
use crate::origin::Identity;

/// The addresses and markers of a trace, without labels, times and counts, as numbers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Fingerprint(Box<[usize]>);

/// The tags that separate the parts of a fingerprint.
mod tag {
    pub(super) const ADDRESS: usize = 0;
    pub(super) const MARKER: usize = 1;
    pub(super) const CUT: usize = 2;
    pub(super) const LOST: usize = 3;
    pub(super) const LIVE: usize = 4;
    pub(super) const HELD: usize = 5;
}

/// Returns the fingerprint of a raw trace.
pub(super) fn of(raw: &InternedCapture) -> Fingerprint {
    let task = raw.markers().first().map(|root| {
        let mut words = Vec::new();
        identity(&mut words, &root.identity);
        words
    });
    let mut call_paths: Vec<Vec<usize>> = task.into_iter().collect();
    call_paths.extend(raw.stacks().iter().map(|stack| {
        let mut words = vec![stack.kind as usize];
        for entry in raw.entries(stack) {
            match entry {
                StackEntry::Ip(address) => words.extend([tag::ADDRESS, address.0]),
                StackEntry::Marker(at) => marker(&mut words, raw, raw.marker(at)),
                StackEntry::Cut => words.push(tag::CUT),
                StackEntry::Lost => words.push(tag::LOST),
            }
        }
        words
    }));
    call_paths.extend(live(&raw.frames));
    // A loop over futures may have any number of equal call paths.
    call_paths.sort_unstable();
    call_paths.dedup();
    let parts = call_paths.iter().flat_map(|call_path| {
        [call_path.len()]
            .into_iter()
            .chain(call_path.iter().copied())
    });
    Fingerprint(parts.collect())
}

/// Adds a scope marker.
fn marker(words: &mut Vec<usize>, raw: &InternedCapture, marker: Option<&ScopeMarker>) {
    words.push(tag::MARKER);
    if let Some(marker) = marker {
        let is_own = usize::from(marker.task == raw.task);
        words.extend([is_own, usize::from(marker.own_waker)]);
        identity(words, &marker.identity);
    }
}

/// Returns a hash of the call path to each live frame that has no live frames below it.
///
/// The hash is computed from the hash of the parent, so that no call path is followed twice.
fn live(all: &[FrameSnapshot]) -> impl Iterator<Item = Vec<usize>> {
    let numbers = all.iter().enumerate();
    let by_key: HashMap<u64, usize> = numbers.map(|(at, live)| (live.key, at)).collect();
    let parents: Vec<Option<usize>> = all
        .iter()
        .map(|live| by_key.get(&live.parent).copied())
        .collect();
    let mut call_paths: Vec<Option<[u64; 2]>> = vec![None; all.len()];
    let mut is_parent = vec![false; all.len()];
    let mut pending = Vec::new();
    for at in 0..all.len() {
        if let Some(parent) = parents[at] {
            is_parent[parent] = true;
        }
        let mut next = Some(at);
        while let Some(at) = next.filter(|at| call_paths[*at].is_none()) {
            // Frames that were copied while they moved may contain each other. This value ends the walk then.
            call_paths[at] = Some([0; 2]);
            pending.push(at);
            next = parents[at];
        }
        while let Some(at) = pending.pop() {
            let above = parents[at].and_then(|parent| call_paths[parent]);
            call_paths[at] = Some(call_path(above, &all[at]));
        }
    }
    let ends = call_paths.into_iter().flatten().zip(is_parent);
    ends.filter(|(_, is_parent)| !is_parent)
        .map(|(call_path, _)| call_path.map(|half| half as usize).into())
}

/// Returns a hash of the call path to a live frame. With 128 bits, collisions are not to be expected.
fn call_path(above: Option<[u64; 2]>, live: &FrameSnapshot) -> [u64; 2] {
    let tag = match live.is_held {
        false => tag::LIVE,
        true => tag::HELD,
    };
    let addresses = live.identity.origin().addresses();
    [0, 1].map(|half| {
        let mut hasher = DefaultHasher::new();
        (half, above, tag, addresses).hash(&mut hasher);
        hasher.finish()
    })
}

/// Adds the identity of a task or a frame.
fn identity(words: &mut Vec<usize>, identity: &Identity) {
    words.extend(identity.origin().addresses());
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::capture::{RawTrace, SnapshotTime};
    use crate::origin::FrameMeta;

    static TASK: FrameMeta = FrameMeta::new(None, || "app::task::", "src/main.rs", 1, 1);
    static ONE: FrameMeta = FrameMeta::new(None, || "app::one::", "src/main.rs", 2, 1);
    static TWO: FrameMeta = FrameMeta::new(None, || "app::two::", "src/main.rs", 3, 1);

    fn frame(key: u64, parent: u64, meta: &'static FrameMeta) -> FrameSnapshot {
        FrameSnapshot {
            key,
            parent,
            identity: Identity::Static(meta),
            since: key as u32,
            polled: 0,
            is_held: false,
        }
    }

    fn fingerprint(live: Vec<FrameSnapshot>) -> Fingerprint {
        let marker = ScopeMarker {
            task: 7,
            key: Some(0),
            identity: Identity::Static(&TASK),
            own_waker: false,
        };
        of(&RawTrace::snapshot(marker, &live, SnapshotTime(0)))
    }

    #[test]
    fn keys_times_and_order_do_not_change_the_fingerprint() {
        let one = fingerprint(vec![
            frame(1, 0, &ONE),
            frame(2, 1, &TWO),
            frame(3, 0, &TWO),
        ]);
        let other = fingerprint(vec![
            frame(9, 0, &TWO),
            frame(8, 5, &TWO),
            frame(5, 0, &ONE),
        ]);
        assert_eq!(one, other);
    }

    #[test]
    fn frames_at_the_same_place_count_once() {
        let one = fingerprint(vec![frame(1, 0, &ONE)]);
        let many = fingerprint((1..50).map(|key| frame(key, 0, &ONE)).collect());
        assert_eq!(one, many);
    }

    #[test]
    fn different_frames_have_different_fingerprints() {
        let fingerprints = [
            fingerprint(vec![]),
            fingerprint(vec![frame(1, 0, &ONE)]),
            fingerprint(vec![frame(1, 0, &TWO)]),
            fingerprint(vec![frame(1, 0, &ONE), frame(2, 0, &TWO)]),
            fingerprint(vec![frame(1, 0, &ONE), frame(2, 1, &TWO)]),
            fingerprint(vec![
                frame(1, 0, &ONE),
                frame(2, 1, &TWO),
                frame(3, 0, &TWO),
            ]),
            fingerprint(vec![FrameSnapshot {
                is_held: true,
                ..frame(1, 0, &ONE)
            }]),
        ];
        let different: HashSet<&Fingerprint> = fingerprints.iter().collect();
        assert_eq!(different.len(), fingerprints.len());
    }

    #[test]
    fn frames_that_contain_each_other_have_a_fingerprint() {
        fingerprint(vec![frame(1, 2, &ONE), frame(2, 1, &TWO)]);
        fingerprint(vec![frame(1, 1, &ONE)]);
    }
}
