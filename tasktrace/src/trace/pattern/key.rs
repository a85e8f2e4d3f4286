//! What decides which tree becomes of a raw trace.
//!
//! That is the addresses, the live frames in which order, and what these are. Of the keys of frames
//! it is only which are the same, and of labels which are the same, which of two comes first, and
//! whether there is one.

use std::collections::HashMap;

use crate::capture::{Entry, Live, Marker, RawTrace};
use crate::origin::{Identity, Origin};

/// What kind of tree.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::trace) enum Kind {
    Tidy,
    Full,
}

/// What decides which tree becomes of a raw trace, as words: the same for those with the same tree.
#[derive(Default)]
pub(in crate::trace) struct Key {
    words: Vec<u64>,
}

/// What takes more words than this is hardly ever there twice, and would take much memory.
const LONGEST: usize = 1 << 12;

/// So many live frames are found without a map.
const FEW: usize = 16;

// What is not the number of a live frame.
const TASK: u64 = 0;
const OTHER_TASK: u64 = 1;
const NO_KEY: u64 = 2;
const UNKNOWN: u64 = 3;
const LIVE: u64 = 4;

impl Key {
    pub(super) fn words(&self) -> &[u64] {
        &self.words
    }

    /// Makes it that of a raw trace. `false` if there is no point in it.
    pub(in crate::trace) fn fill(&mut self, kind: Kind, raw: &RawTrace) -> bool {
        let RawTrace { stacks, live, .. } = raw;
        let markers = raw.markers();
        let entries: usize = stacks.iter().map(|stack| raw.entries(*stack).len()).sum();
        let length = entries + 2 * stacks.len() + 3 * (markers.len() + live.len());
        if length > LONGEST {
            return false;
        }
        let words = &mut self.words;
        words.clear();
        words.extend([
            u64::from(kind == Kind::Full),
            raw.dropped as u64,
            raw.elsewhere as u64,
            stacks.len() as u64,
            markers.len() as u64,
            live.len() as u64,
        ]);
        for stack in stacks {
            let entries = raw.entries(*stack);
            words.extend([
                stack.kind as u64 | (stack.count as u64) << 8,
                entries.len() as u64,
            ]);
            words.extend(entries.iter().map(|entry| match entry {
                Entry::Ip(address) => address.0 as u64,
                // No code is there.
                Entry::Marker(at) => u64::MAX - u64::from(*at),
                Entry::Cut => 0,
                Entry::Lost => 1,
            }));
        }
        let keys = Numbers::of(live);
        let labels = labels(raw);
        let mut guess = 0;
        for marker in markers {
            let number = match marker {
                Marker { task, .. } if *task != raw.task => OTHER_TASK,
                Marker { key: None, .. } => NO_KEY,
                Marker { key: Some(key), .. } => keys.find(*key, &mut guess),
            };
            push(words, number, marker.own_waker, &marker.identity, &labels);
        }
        let mut guess = 0;
        for frame in live {
            let parent = keys.find(frame.parent, &mut guess);
            let is_held = frame.not_polled_for.is_some();
            push(words, parent, is_held, &frame.identity, &labels);
        }
        true
    }
}

fn push(words: &mut Vec<u64>, number: u64, flag: bool, identity: &Identity, labels: &[&str]) {
    let origin = identity.origin();
    // They are there for ever, so where they are says which they are.
    let (kind, what, place) = match origin {
        Origin::Function(meta) => (0, std::ptr::from_ref(meta).addr(), 0),
        Origin::Call { future, location } => (
            1,
            future.as_ptr().addr(),
            std::ptr::from_ref(location).addr(),
        ),
        Origin::Wait { what, location } => {
            (2, what.as_ptr().addr(), std::ptr::from_ref(location).addr())
        }
    };
    let label = match labels {
        [] => None,
        _ => label(identity).and_then(|label| labels.binary_search(&label).ok()),
    };
    let label = label.map_or(0, |rank| rank as u64 + 1);
    words.extend([
        kind | u64::from(flag) << 2 | number << 3 | label << 32,
        what as u64,
        place as u64,
    ]);
}

/// The numbers of live frames, by their keys.
struct Numbers<'a> {
    live: &'a [Live],
    many: Option<HashMap<u64, usize>>,
}

impl<'a> Numbers<'a> {
    fn of(live: &'a [Live]) -> Self {
        let all = || live.iter().enumerate();
        let many = (live.len() > FEW).then(|| all().map(|(at, live)| (live.key, at)).collect());
        Self { live, many }
    }

    /// They mostly come in their order, from the one that is guessed.
    fn find(&self, key: u64, guess: &mut usize) -> u64 {
        if key == 0 {
            return TASK;
        }
        let is_it = |at: usize| self.live.get(at).is_some_and(|live| live.key == key);
        let at = match &self.many {
            _ if is_it(*guess) => Some(*guess),
            Some(many) => many.get(&key).copied(),
            None => (0..self.live.len()).find(|at| is_it(*at)),
        };
        match at {
            Some(at) => {
                *guess = at + 1;
                at as u64 + LIVE
            }
            None => UNKNOWN,
        }
    }
}

/// The labels of a raw trace in alphabetical order, each once.
pub(super) fn labels(raw: &RawTrace) -> Vec<&str> {
    let markers = raw.markers().iter().map(|marker| &marker.identity);
    let identities = markers.chain(raw.live.iter().map(|live| &live.identity));
    let mut labels: Vec<&str> = identities.filter_map(label).collect();
    labels.sort_unstable();
    labels.dedup();
    labels
}

fn label(identity: &Identity) -> Option<&str> {
    identity.label_str()
}
