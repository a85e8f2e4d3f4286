//! Which traces are the same, but for labels and times, without looking up a symbol.
//!
//! Equal kinds are equal trees. Traces whose kinds differ may have equal trees all the same, as where a
//! function has several addresses.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::capture::{Entry, Interned, Live, Marker};
use crate::origin::Identity;

/// All that tells a trace from others, but labels and times, as numbers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Kind(Box<[usize]>);

/// Where what begins.
mod tag {
    pub(super) const ADDRESS: usize = 0;
    pub(super) const MARKER: usize = 1;
    pub(super) const CUT: usize = 2;
    pub(super) const LOST: usize = 3;
    pub(super) const LIVE: usize = 4;
    pub(super) const HELD: usize = 5;
}

pub(super) fn of(raw: &Interned) -> Kind {
    let task = raw.markers().first().map(|root| {
        let mut words = Vec::new();
        identity(&mut words, &root.identity);
        words
    });
    let mut ways: Vec<Vec<usize>> = task.into_iter().collect();
    ways.extend(raw.stacks().iter().map(|stack| {
        let mut words = vec![stack.kind as usize];
        for entry in raw.entries(stack) {
            match entry {
                Entry::Ip(address) => words.extend([tag::ADDRESS, address.0]),
                Entry::Marker(at) => marker(&mut words, raw, raw.marker(at)),
                Entry::Cut => words.push(tag::CUT),
                Entry::Lost => words.push(tag::LOST),
            }
        }
        words
    }));
    ways.extend(live(&raw.frames));
    // A loop over futures has as many as it likes at the same place.
    ways.sort_unstable();
    ways.dedup();
    let parts = ways
        .iter()
        .flat_map(|way| [way.len()].into_iter().chain(way.iter().copied()));
    Kind(parts.collect())
}

fn marker(words: &mut Vec<usize>, raw: &Interned, marker: Option<&Marker>) {
    words.push(tag::MARKER);
    if let Some(marker) = marker {
        let is_own = usize::from(marker.task == raw.task);
        words.extend([is_own, usize::from(marker.own_waker)]);
        identity(words, &marker.identity);
    }
}

/// The ways to the live frames that no others are in, and to those that are held: of each a hash, which
/// is made of that of the way to the frame that it is in, so that no way is followed twice.
fn live(all: &[Live]) -> impl Iterator<Item = Vec<usize>> {
    let numbers = all.iter().enumerate();
    let by_key: HashMap<u64, usize> = numbers.map(|(at, live)| (live.key, at)).collect();
    let parents: Vec<Option<usize>> = all
        .iter()
        .map(|live| by_key.get(&live.parent).copied())
        .collect();
    let mut ways: Vec<Option<[u64; 2]>> = vec![None; all.len()];
    let mut is_parent = vec![false; all.len()];
    let mut pending = Vec::new();
    for at in 0..all.len() {
        if let Some(parent) = parents[at] {
            is_parent[parent] = true;
        }
        let mut next = Some(at);
        while let Some(at) = next.filter(|at| ways[*at].is_none()) {
            // Frames that were copied while they moved may contain each other: the walk then meets this mark.
            ways[at] = Some([0; 2]);
            pending.push(at);
            next = parents[at];
        }
        while let Some(at) = pending.pop() {
            let above = parents[at].and_then(|parent| ways[parent]);
            ways[at] = Some(way(above, &all[at]));
        }
    }
    let ends = ways.into_iter().flatten().zip(is_parent);
    ends.filter(|(_, is_parent)| !is_parent)
        .map(|(way, _)| way.map(|half| half as usize).into())
}

/// The way to a live frame, as a hash that no other has: it has 128 bits where addresses have 64.
fn way(above: Option<[u64; 2]>, live: &Live) -> [u64; 2] {
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

fn identity(words: &mut Vec<usize>, identity: &Identity) {
    words.extend(identity.origin().addresses());
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::capture::{Now, RawTrace};
    use crate::origin::FrameMeta;

    static TASK: FrameMeta = FrameMeta::new(None, || "app::task::", "src/main.rs", 1, 1);
    static ONE: FrameMeta = FrameMeta::new(None, || "app::one::", "src/main.rs", 2, 1);
    static TWO: FrameMeta = FrameMeta::new(None, || "app::two::", "src/main.rs", 3, 1);

    fn frame(key: u64, parent: u64, meta: &'static FrameMeta) -> Live {
        Live {
            key,
            parent,
            identity: Identity::Static(meta),
            since: key as u32,
            polled: 0,
            is_held: false,
        }
    }

    fn kind(live: Vec<Live>) -> Kind {
        let marker = Marker {
            task: 7,
            key: Some(0),
            identity: Identity::Static(&TASK),
            own_waker: false,
        };
        of(&RawTrace::snapshot(marker, &live, Now(0)))
    }

    #[test]
    fn neither_keys_nor_times_nor_the_order_matter() {
        let one = kind(vec![
            frame(1, 0, &ONE),
            frame(2, 1, &TWO),
            frame(3, 0, &TWO),
        ]);
        let other = kind(vec![
            frame(9, 0, &TWO),
            frame(8, 5, &TWO),
            frame(5, 0, &ONE),
        ]);
        assert_eq!(one, other);
    }

    #[test]
    fn many_at_the_same_place_are_as_one() {
        let one = kind(vec![frame(1, 0, &ONE)]);
        let many = kind((1..50).map(|key| frame(key, 0, &ONE)).collect());
        assert_eq!(one, many);
    }

    #[test]
    fn what_is_elsewhere_is_another() {
        let kinds = [
            kind(vec![]),
            kind(vec![frame(1, 0, &ONE)]),
            kind(vec![frame(1, 0, &TWO)]),
            kind(vec![frame(1, 0, &ONE), frame(2, 0, &TWO)]),
            kind(vec![frame(1, 0, &ONE), frame(2, 1, &TWO)]),
            kind(vec![
                frame(1, 0, &ONE),
                frame(2, 1, &TWO),
                frame(3, 0, &TWO),
            ]),
            kind(vec![Live {
                is_held: true,
                ..frame(1, 0, &ONE)
            }]),
        ];
        let different: HashSet<&Kind> = kinds.iter().collect();
        assert_eq!(different.len(), kinds.len());
    }

    #[test]
    fn frames_that_are_in_each_other() {
        kind(vec![frame(1, 2, &ONE), frame(2, 1, &TWO)]);
        kind(vec![frame(1, 1, &ONE)]);
    }
}
