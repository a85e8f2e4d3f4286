//! What decides which tree becomes of a raw trace.
//!
//! That is the addresses, the live frames in which order, and what these are. Of the keys of frames
//! it is only which are the same, and of labels which are the same, which of two comes first, and
//! whether there is one.

use std::sync::Arc;

use crate::capture::{Form, HasKey, Marker, Numbers, Way};
use crate::origin::{Identity, Origin};

/// Which tree.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::trace) enum Detail {
    Tidy,
    Full,
}

/// What decides which tree becomes of a raw trace: the same for those with the same tree.
#[derive(Default, PartialEq, Eq, Hash)]
pub(in crate::trace) struct Key {
    /// Those of the stacks. Equal ones are mostly the very same.
    ways: Vec<Arc<Way>>,
    /// All else.
    words: Vec<u64>,
}

/// What takes more words than this is hardly ever there twice, and would take much memory.
const LONGEST: usize = 1 << 12;

/// So are ways that have more steps than this together.
const LONGEST_WAYS: usize = 1 << 14;

// What is not the number of a live frame.
const TASK: u64 = 0;
const OTHER_TASK: u64 = 1;
const NO_KEY: u64 = 2;
const UNKNOWN: u64 = 3;
const LIVE: u64 = 4;

impl Key {
    /// How many words it has, and steps of ways.
    pub(super) fn size(&self) -> usize {
        self.words.len() + self.ways.iter().map(|way| way.len()).sum::<usize>()
    }

    /// Whether there is no point in one: the trace is hardly like another.
    pub(super) fn is_too_long(raw: &Form) -> bool {
        let Form { stacks, frames, .. } = raw;
        let markers = raw.markers().len();
        let most_polls = stacks.len().saturating_mul(markers);
        let steps: usize = stacks.iter().map(|stack| stack.way.len()).sum();
        3 * (stacks.len() + markers + frames.len()) + most_polls > LONGEST || steps > LONGEST_WAYS
    }

    /// Makes it that of a raw trace.
    pub(in crate::trace) fn fill(&mut self, detail: Detail, raw: &Form) {
        let Form { stacks, frames, .. } = raw;
        let markers = raw.markers();
        let Self { ways, words } = self;
        ways.clear();
        ways.extend(stacks.iter().map(|stack| Arc::clone(&stack.way)));
        words.clear();
        words.extend([
            u64::from(detail == Detail::Full),
            raw.dropped as u64,
            raw.elsewhere as u64,
            stacks.len() as u64,
            markers.len() as u64,
            frames.len() as u64,
        ]);
        for stack in &**stacks {
            words.push(stack.kind as u64 | (stack.count as u64) << 8);
            // As many as the way has marks.
            match stack.first_poll() {
                Some(first) => words.push(u64::from(first)),
                None => words.extend(raw.polls(stack).map(|poll| u64::from(poll) | 1 << 32)),
            }
        }
        let labels = labels(raw);
        let mut keys = Numbers::of(frames);
        for marker in markers {
            let number = match marker {
                Marker { task, .. } if *task != raw.task => OTHER_TASK,
                Marker { key: None, .. } => NO_KEY,
                Marker { key: Some(key), .. } => find(&mut keys, *key),
            };
            push(words, number, marker.own_waker, &marker.identity, &labels);
        }
        let mut keys = Numbers::of(frames);
        for frame in frames {
            let parent = find(&mut keys, frame.parent);
            push(words, parent, frame.is_held, &frame.identity, &labels);
        }
    }
}

fn find(keys: &mut Numbers<'_, impl HasKey>, key: u64) -> u64 {
    match key {
        0 => TASK,
        key => keys.find(key).map_or(UNKNOWN, |at| at as u64 + LIVE),
    }
}

fn push(words: &mut Vec<u64>, number: u64, flag: bool, identity: &Identity, labels: &[&str]) {
    // They are there for ever, so where they are says which they are.
    let (kind, what, place) = match identity.origin() {
        Origin::Function(meta) => (0, std::ptr::from_ref(meta).addr(), 0),
        Origin::Call { future, location } => {
            let location = std::ptr::from_ref(location).addr();
            (1, future.as_ptr().addr(), location)
        }
        Origin::Wait { what, location } => {
            let location = std::ptr::from_ref(location).addr();
            (2, what.as_ptr().addr(), location)
        }
        Origin::Named { what, location } => {
            let location = std::ptr::from_ref(location).addr();
            (3, what.as_ptr().addr(), location)
        }
    };
    let label = match labels {
        [] => None,
        _ => identity.label_str(),
    };
    let label = label.and_then(|label| labels.binary_search(&label).ok());
    let label = label.map_or(0, |rank| rank as u64 + 1);
    words.extend([
        kind | u64::from(flag) << 2 | number << 3 | label << 32,
        what as u64,
        place as u64,
    ]);
}

/// The labels of a raw trace in alphabetical order, each once.
pub(super) fn labels(raw: &Form) -> Vec<&str> {
    let markers = raw.markers().iter().map(|marker| &marker.identity);
    let identities = markers.chain(raw.frames.iter().map(|frame| &frame.identity));
    let mut labels: Vec<&str> = identities.filter_map(Identity::label_str).collect();
    labels.sort_unstable();
    labels.dedup();
    labels
}
