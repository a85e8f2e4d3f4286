//! The interner: which captures differ only in numbers and times.
//!
//! Each thread has one, which needs no lock.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;

use super::interned::{Interned, RawTrace};
use super::live::{Live, Marker, Now, Numbers};
use super::recording::Recording;
use crate::origin::Identity;
use crate::unwind::Way;

/// The number of captures that a thread keeps. Programs wait in fewer ways.
const MOST: usize = 256;

/// The number of steps of ways, of words and of positions in the keys that a thread keeps. The trees that are made of
/// the captures grow with it. A capture of a task with 80,000 frames is still kept: without, its tree is made again for each
/// print.
const MOST_SIZE: usize = 1 << 18;

/// Everything that tells a capture from those that are not like it: the call paths, and of tasks and frames their
/// functions and how these are in each other. Of numbers it is only which are the same, and of labels which are the
/// same, which of two comes first, and whether there is one.
#[derive(Debug, Default, PartialEq, Eq)]
struct Key {
    /// The ways of the stacks. Equal ones are mostly the very same.
    ways: Vec<Arc<Way>>,
    /// As [`Recording::polls`].
    polls: Vec<u32>,
    /// All else.
    words: Vec<u64>,
}

impl Hash for Key {
    /// All words, because programs have many tasks that differ only in their outermost function. The positions follow from
    /// the ways and the words, but for what two leaves of one task share.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.words.len() as u64);
        self.ways.iter().for_each(|way| way.hash(state));
        self.words.iter().for_each(|word| state.write_u64(*word));
    }
}

// The numbers below that of the first live frame stand for other parents.
const TASK: u64 = 0;
const OTHER_TASK: u64 = 1;
const NO_KEY: u64 = 2;
const UNKNOWN: u64 = 3;
const LIVE: u64 = 4;

impl Key {
    fn size(&self) -> usize {
        let steps = self.ways.iter().map(|way| way.len());
        self.words.len() + self.polls.len() + steps.sum::<usize>()
    }

    fn clear(&mut self) {
        self.ways.clear();
        self.polls.clear();
        self.words.clear();
    }

    /// Makes it the key of a capture. Returns `true` if nothing is known of its tasks and frames but their functions.
    fn fill(&mut self, recording: &Recording, task: u64, live: &[Live]) -> bool {
        self.clear();
        let Recording {
            stacks,
            markers,
            polls,
            dropped,
            elsewhere,
            ..
        } = recording;
        self.polls.extend_from_slice(polls);
        let lengths = [
            *dropped,
            *elsewhere,
            stacks.len(),
            markers.len(),
            live.len(),
        ];
        self.words.extend(lengths.map(|length| length as u64));
        for stack in stacks {
            self.ways.push(Arc::clone(&stack.way));
            self.words
                .push(stack.kind as u64 | (stack.count as u64) << 8);
        }
        let is_plain = identities(markers, live).all(Identity::is_plain);
        // If no label was given at run time, the functions tell all of them.
        let labels = match is_plain {
            true => Vec::new(),
            false => labels(identities(markers, live)),
        };
        let mut keys = Numbers::of(live);
        for marker in markers {
            let number = match marker {
                Marker { task: of, .. } if *of != task => OTHER_TASK,
                Marker { key: None, .. } => NO_KEY,
                Marker { key: Some(key), .. } => find(&mut keys, *key),
            };
            self.push(number, marker.own_waker, &marker.identity, &labels);
        }
        let mut keys = Numbers::of(live);
        for frame in live {
            let parent = find(&mut keys, frame.parent);
            self.push(parent, frame.is_held, &frame.identity, &labels);
        }
        is_plain
    }

    fn push(&mut self, number: u64, flag: bool, identity: &Identity, labels: &[&str]) {
        let label = match labels {
            [] => None,
            _ => identity.label_str(),
        };
        let label = label.and_then(|label| labels.binary_search(&label).ok());
        let label = label.map_or(0, |rank| rank as u64 + 1);
        // They are there for ever, so where they are says which they are.
        let [kind, place, rest @ ..] = identity.origin().addresses();
        let kind = kind as u64;
        let has_more = u64::from(!identity.is_plain());
        let head = kind | u64::from(flag) << 2 | number << 3 | label << 32 | has_more << 63;
        self.words.push(head);
        self.words.push(place as u64);
        if kind != 0 {
            self.words.extend(rest.map(|word| word as u64));
        }
    }
}

fn find(keys: &mut Numbers<'_>, key: u64) -> u64 {
    match key {
        0 => TASK,
        key => keys.find(key).map_or(UNKNOWN, |at| at as u64 + LIVE),
    }
}

fn identities<'a>(markers: &'a [Marker], live: &'a [Live]) -> impl Iterator<Item = &'a Identity> {
    let markers = markers.iter().map(|marker| &marker.identity);
    markers.chain(live.iter().map(|frame| &frame.identity))
}

/// Returns the labels in alphabetical order, each once.
fn labels<'a>(identities: impl Iterator<Item = &'a Identity>) -> Vec<&'a str> {
    let mut labels: Vec<&str> = identities.filter_map(Identity::label_str).collect();
    labels.sort_unstable();
    labels.dedup();
    labels
}

#[derive(Default)]
struct Interner {
    /// A buffer.
    key: Key,
    /// The captures seen so far. All are forgotten when they are too many or too large together.
    known: HashMap<Key, Arc<Interned>, BuildHasherDefault<Words>>,
    /// The size of their keys.
    size: usize,
}

thread_local! {
    static INTERNER: RefCell<Interner> = RefCell::default();
}

impl Interner {
    fn get_or_insert(
        &mut self,
        recording: &mut Recording,
        task: u64,
        live: &[Live],
    ) -> Arc<Interned> {
        let is_plain = self.key.fill(recording, task, live);
        let known = match self.known.get(&self.key) {
            Some(known) if is_plain => return Arc::clone(known),
            known => known.and_then(|known| known.memos()),
        };
        // One that has labels is its own, and shares what is the same whatever they are.
        let memos = known.cloned();
        let is_new = memos.is_none();
        let size = self.key.size();
        if is_new && size > MOST_SIZE {
            self.key = Key::default();
            return Arc::new(Interned::new(recording, task, live, None));
        }
        let memos = Some(memos.unwrap_or_default());
        let interned = Arc::new(Interned::new(recording, task, live, memos));
        if is_new {
            if self.known.len() >= MOST || self.size + size > MOST_SIZE {
                self.known.clear();
                self.size = 0;
            }
            self.size += size;
            let key = std::mem::take(&mut self.key);
            self.known.insert(key, Arc::clone(&interned));
        }
        interned
    }
}

impl Recording {
    /// Returns the trace of these stacks and live frames, whose times are told as of `now`.
    pub(crate) fn trace(mut self: Box<Self>, task: u64, live: &[Live], now: Now) -> RawTrace {
        let interned = INTERNER.try_with(|interner| {
            let mut interner = interner.try_borrow_mut().ok()?;
            Some(interner.get_or_insert(&mut self, task, live))
        });
        // The thread is ending, or an allocator asks in the middle of it.
        let interned = interned.ok().flatten();
        let interned =
            interned.unwrap_or_else(|| Interner::default().get_or_insert(&mut self, task, live));
        self.give_back();
        RawTrace::new(interned, live, now)
    }

    /// Returns the trace of a capture with the frames that are alive at its end.
    pub(crate) fn complete(
        mut self: Box<Self>,
        task: &Marker,
        live: &[Live],
        now: Now,
    ) -> RawTrace {
        self.forget_ended(task, live);
        self.trace(task.task, live, now)
    }
}

impl RawTrace {
    /// Returns a trace of live frames without stacks.
    pub(crate) fn snapshot(task: Marker, live: &[Live], now: Now) -> Self {
        let number = task.task;
        let mut recording = Recording::take();
        recording.markers.push(task);
        recording.trace(number, live, now)
    }
}

/// Hashes words that nobody chooses to do harm: addresses and numbers.
#[derive(Default)]
struct Words(u64);

impl Hasher for Words {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64((*byte).into()));
    }

    fn write_u64(&mut self, word: u64) {
        // Fibonacci hashing: 2⁶⁴ divided by the golden ratio.
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        // The upper bits have been mixed best, and a map takes the lowest and the uppermost.
        self.0 ^ self.0 >> 32
    }
}

#[cfg(test)]
mod tests;
