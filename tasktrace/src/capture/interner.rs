//! Finds captures that differ only in the numbers of tasks and frames and in times.
//!
//! Each thread has an interner of its own, so it needs no lock.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;

use super::raw_trace::{InternedCapture, RawTrace};
use super::recording::Recording;
use super::snapshot::{FramePositions, FrameSnapshot, ScopeMarker, SnapshotTime};
use crate::origin::Identity;
use crate::unwind::{CallPath, fibonacci_hash};

/// The largest number of captures that a thread keeps. Most programs wait at fewer places than this.
const MAX_CAPTURES: usize = 256;

/// The largest total size of the keys that a thread keeps: the number of steps, words and positions. The trees that are
/// built from the captures grow with it. The limit admits a task with 80,000 frames, whose tree would otherwise be
/// built again for each print.
const MAX_SIZE: usize = 1 << 18;

/// The interned captures of a thread.
#[derive(Default)]
struct Interner {
    /// A buffer for the key of the next capture.
    key: CaptureKey,
    /// The interned captures. All are removed at once when their number or total size reaches its limit.
    known: HashMap<CaptureKey, Arc<InternedCapture>, BuildHasherDefault<WordHasher>>,
    /// The total size of their keys.
    size: usize,
}

thread_local! {
    static INTERNER: RefCell<Interner> = RefCell::default();
}

impl Interner {
    /// Returns the interned capture that equals this one. If there is none, interns this one and empties `recording`.
    fn get_or_insert(
        &mut self,
        recording: &mut Recording,
        task: u64,
        live: &[FrameSnapshot],
    ) -> Arc<InternedCapture> {
        let is_plain = self.key.fill(recording, task, live);
        let known = match self.known.get(&self.key) {
            Some(known) if is_plain => return Arc::clone(known),
            known => known.and_then(|known| known.memos()),
        };
        // A capture with labels is not shared. Only its memos, which do not depend on the labels, are.
        let memos = known.cloned();
        let is_new = memos.is_none();
        let size = self.key.size();
        if is_new && size > MAX_SIZE {
            self.key = CaptureKey::default();
            return Arc::new(InternedCapture::new(recording, task, live, None));
        }
        let memos = Some(memos.unwrap_or_default());
        let interned = Arc::new(InternedCapture::new(recording, task, live, memos));
        if is_new {
            if self.known.len() >= MAX_CAPTURES || self.size + size > MAX_SIZE {
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
    /// Returns the trace of these stacks and live frames. Ages are computed as of `now`.
    pub(crate) fn trace(
        mut self: Box<Self>,
        task: u64,
        live: &[FrameSnapshot],
        now: SnapshotTime,
    ) -> RawTrace {
        let interned = INTERNER.try_with(|interner| {
            let mut interner = interner.try_borrow_mut().ok()?;
            Some(interner.get_or_insert(&mut self, task, live))
        });
        // The interner is missing if the thread is ending, and in use if an allocator requests a trace in the middle of
        // interning.
        let interned = interned.ok().flatten();
        let interned =
            interned.unwrap_or_else(|| Interner::default().get_or_insert(&mut self, task, live));
        self.give_back();
        RawTrace::new(interned, live, now)
    }

    /// Returns the trace of a capture. `live` are the frames that are live at its end.
    pub(crate) fn complete(
        mut self: Box<Self>,
        task: &ScopeMarker,
        live: &[FrameSnapshot],
        now: SnapshotTime,
    ) -> RawTrace {
        self.remove_ended(task, live);
        self.trace(task.task, live, now)
    }
}

impl RawTrace {
    /// Returns a trace of live frames without stacks.
    pub(crate) fn snapshot(task: ScopeMarker, live: &[FrameSnapshot], now: SnapshotTime) -> Self {
        let number = task.task;
        let mut recording = Recording::take();
        recording.markers.push(task);
        recording.trace(number, live, now)
    }
}

/// A key that is equal for captures that differ only in numbers and times.
///
/// It consists of the call paths, and of the functions and the nesting of the task and its frames. It replaces the
/// numbers of tasks and frames by positions, and each label by its rank among the labels of the capture.
#[derive(Debug, Default, PartialEq, Eq)]
struct CaptureKey {
    /// The call paths of the stacks. Equal call paths are mostly the same allocation.
    call_paths: Vec<Arc<CallPath>>,
    /// A copy of [`Recording::marker_positions`].
    marker_positions: Vec<u32>,
    /// The other parts.
    words: Vec<u64>,
}

impl Hash for CaptureKey {
    /// Hashes all words, because programs have many tasks that differ only in their outermost function. Leaves out the
    /// positions, because the call paths and the words mostly determine them. Only frames that several leaves of a task
    /// share are an exception.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.words.len() as u64);
        self.call_paths.iter().for_each(|path| path.hash(state));
        self.words.iter().for_each(|word| state.write_u64(*word));
    }
}

// The number of a live frame is its position plus `LIVE`. Numbers less than `LIVE` stand for other scopes.
const TASK: u64 = 0;
const OTHER_TASK: u64 = 1;
const NO_KEY: u64 = 2;
const UNKNOWN: u64 = 3;
const LIVE: u64 = 4;

impl CaptureKey {
    fn size(&self) -> usize {
        let steps = self.call_paths.iter().map(|path| path.len());
        self.words.len() + self.marker_positions.len() + steps.sum::<usize>()
    }

    fn clear(&mut self) {
        self.call_paths.clear();
        self.marker_positions.clear();
        self.words.clear();
    }

    /// Replaces the content with the key of a capture. Returns `true` if all identities of the capture are
    /// [plain](Identity::is_plain).
    fn fill(&mut self, recording: &Recording, task: u64, live: &[FrameSnapshot]) -> bool {
        self.clear();
        let Recording {
            stacks,
            markers,
            marker_positions,
            dropped,
            remote_clones,
            ..
        } = recording;
        self.marker_positions.extend_from_slice(marker_positions);
        let lengths = [
            *dropped,
            *remote_clones,
            stacks.len(),
            markers.len(),
            live.len(),
        ];
        self.words.extend(lengths.map(|length| length as u64));
        for stack in stacks {
            self.call_paths.push(Arc::clone(&stack.call_path));
            self.words
                .push(stack.kind as u64 | (stack.count as u64) << 8);
        }
        let is_plain = identities(markers, live).all(Identity::is_plain);
        // If no label was given at run time, the functions determine all labels.
        let labels = match is_plain {
            true => Vec::new(),
            false => sorted_labels(identities(markers, live)),
        };
        let mut keys = FramePositions::of(live);
        for marker in markers {
            let number = match marker {
                ScopeMarker { task: of, .. } if *of != task => OTHER_TASK,
                ScopeMarker { key: None, .. } => NO_KEY,
                ScopeMarker { key: Some(key), .. } => number_of(&mut keys, *key),
            };
            match is_plain && number >= LIVE {
                // The words of the live frame, below, contain the function.
                true => self.words.push(number << 1 | u64::from(marker.own_waker)),
                false => self.push(number, marker.own_waker, &marker.identity, &labels),
            }
        }
        let mut keys = FramePositions::of(live);
        for frame in live {
            let parent = number_of(&mut keys, frame.parent);
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
        // Origins are static, so their addresses identify them.
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

/// Returns the number that replaces a key in a [`CaptureKey`].
#[inline]
fn number_of(keys: &mut FramePositions<'_>, key: u64) -> u64 {
    match key {
        0 => TASK,
        key => keys.find(key).map_or(UNKNOWN, |at| at as u64 + LIVE),
    }
}

fn identities<'a>(
    markers: &'a [ScopeMarker],
    live: &'a [FrameSnapshot],
) -> impl Iterator<Item = &'a Identity> {
    let markers = markers.iter().map(|marker| &marker.identity);
    markers.chain(live.iter().map(|frame| &frame.identity))
}

/// Returns the labels in alphabetical order, each once.
fn sorted_labels<'a>(identities: impl Iterator<Item = &'a Identity>) -> Vec<&'a str> {
    let mut labels: Vec<&str> = identities.filter_map(Identity::label_str).collect();
    labels.sort_unstable();
    labels.dedup();
    labels
}

/// A fast hasher for addresses and numbers, which no attacker chooses.
#[derive(Default)]
struct WordHasher(u64);

impl Hasher for WordHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64((*byte).into()));
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = fibonacci_hash(self.0.rotate_left(23) ^ word);
    }

    fn finish(&self) -> u64 {
        // The upper bits are mixed best, and a `HashMap` uses the lowest and the uppermost bits.
        self.0 ^ self.0 >> 32
    }
}

#[cfg(test)]
mod tests;
