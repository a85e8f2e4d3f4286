//! The readers' side of the table: copies of it.

use std::cell::Cell;
use std::sync::Arc as StdArc;

use super::all_gone;
use crate::origin::{Dynamic, FrameMeta, Identity};
use crate::sync::{Ordering, fence, lock, spin_loop};
use crate::task::clock::Tick;
use crate::task::record::Record;
use crate::task::slot::{Gone, Key, LIVE, MARKS, OWN_WAKER, is_dynamic};
use crate::task::stamp::Stamp;

/// How often a reader tries to get a copy.
const TRIES: usize = 256;
/// How often without letting other threads run. The poller may be waiting for a processor, in the
/// middle of a change.
const TRIES_AT_ONCE: usize = 32;

/// The capacity of the buffer of a thread, in slots.
const MOST_KEPT: usize = 1 << 10;

thread_local! {
    /// A buffer, so that a copy allocates nothing.
    static COPY: Cell<Draft> = const { Cell::new(Draft { slots: Vec::new(), gone: Vec::new() }) };
}

/// A frame, as a reader has found it.
#[derive(Clone, Debug)]
pub(crate) struct Copied {
    pub(crate) key: Key,
    pub(crate) parent: Key,
    pub(crate) identity: Identity,
    pub(crate) since: Tick,
    pub(crate) stamp: Stamp,
    /// Whether it was polled with a waker that is not its task's.
    pub(crate) own_waker: bool,
}

impl Record {
    /// Returns a copy of the table, or `None` if it was being changed all the time.
    ///
    /// The caller has a reference to the record.
    pub(crate) fn copy_frames(&self) -> Option<Vec<Copied>> {
        let mut frames = Vec::new();
        self.copy_frames_into(&mut frames, Some).then_some(frames)
    }

    /// Replaces the contents of `into` by a copy of the table, made into something else. What that is `None` of is left
    /// out. Returns `false` if the table was being changed all the time.
    pub(crate) fn copy_frames_into<R>(
        &self,
        into: &mut Vec<R>,
        make: impl Fn(Copied) -> Option<R>,
    ) -> bool {
        let mut copy = COPY.try_with(Cell::take).unwrap_or_default();
        let is_copied = (0..TRIES).any(|attempt| {
            if self.try_copy(&mut copy) && self.complete(&copy, into, &make) {
                return true;
            }
            match attempt {
                0..TRIES_AT_ONCE => spin_loop(),
                _ => std::thread::yield_now(),
            }
            false
        });
        copy.slots.clear();
        copy.slots.shrink_to(MOST_KEPT);
        let _ = COPY.try_with(|place| place.set(copy));
        is_copied
    }

    pub(super) fn try_copy(&self, copy: &mut Draft) -> bool {
        copy.slots.clear();
        copy.gone.clear();
        // Acquire: sees all the changes that were made before the counter was this.
        let before = self.table.sequence.load(Ordering::Acquire);
        if !before.is_multiple_of(2) {
            return false;
        }
        let used = self.used();
        for (number, slot) in (1..).zip(self.slots(used)) {
            let Some(meta) = slot.meta() else {
                continue;
            };
            // Acquire: if it is marked, what was marked before it is seen to be.
            let serial = slot.serial.load(Ordering::Acquire);
            let key = Key::new(number, serial & !MARKS | LIVE);
            copy.gone
                .extend(Gone::of_mark(serial).map(|why| (key, why)));
            copy.slots.push(Words {
                key,
                serial,
                meta,
                stamp: slot.stamp(),
                parent: slot.parent.load(Ordering::Relaxed),
                since: slot.since.load(Ordering::Relaxed),
            });
        }
        // Those that cannot be marked. What is not on the list any more is off the table, as the counter
        // will say if it was not before, because both are done with the list locked.
        self.copy_list(used, &mut copy.gone);
        // These are not counted. What is inside of a frame is marked or on the list before that, but may
        // have been looked at before it was.
        let is_as_copied = |words: &Words| self.is_as_copied(words);
        if !copy.gone.is_empty() && !copy.slots.iter().all(is_as_copied) {
            return false;
        }
        // If one of these loads saw a change, the next one sees that the counter was made odd.
        fence(Ordering::Acquire);
        self.table.sequence.load(Ordering::Relaxed) == before
    }

    fn is_as_copied(&self, words: &Words) -> bool {
        let slot = self.slot(words.key.slot());
        slot.is_some_and(|slot| slot.serial.load(Ordering::Acquire) == words.serial)
    }

    /// Makes frames of the words, without those that are gone. Returns `false` if one has ended since that has
    /// something in the extras: what is left would be half of a tree.
    pub(super) fn complete<R>(
        &self,
        copy: &Draft,
        into: &mut Vec<R>,
        make: impl Fn(Copied) -> Option<R>,
    ) -> bool {
        into.clear();
        let words = &copy.slots;
        let parent = |words: &Words| Key(words.parent & !OWN_WAKER);
        let parents = words.iter().map(|words| (words.key, parent(words)));
        let gone = all_gone(&copy.gone, parents);
        let there = || words.iter().filter(|words| !gone.contains(&words.key));
        let Some(dynamic) = self.dynamics(there) else {
            return false;
        };
        let mut dynamic = dynamic.into_iter();
        into.extend(there().filter_map(|words| {
            let identity = match is_dynamic(words.meta) {
                true => Identity::Dynamic(dynamic.next()?),
                false => Identity::Static(words.meta),
            };
            make(Copied {
                key: words.key,
                parent: parent(words),
                identity,
                since: Tick(words.since),
                stamp: words.stamp,
                own_waker: words.parent & OWN_WAKER != 0,
            })
        }));
        true
    }

    /// Returns the dynamic parts of the frames that have any, and `None` if one of those frames has ended since.
    fn dynamics<'b, I: Iterator<Item = &'b Words>>(
        &self,
        words: impl Fn() -> I,
    ) -> Option<Vec<StdArc<Dynamic>>> {
        let count = words().filter(|words| is_dynamic(words.meta)).count();
        // Room is made before the lock is taken, and given back after it.
        let mut dynamics = Vec::with_capacity(count);
        if count > 0 {
            let all = lock(&self.extras.get()?.dynamic);
            for words in words().filter(|words| is_dynamic(words.meta)) {
                dynamics.push(StdArc::clone(all.get(&words.key)?));
            }
        }
        Some(dynamics)
    }

    /// How many frames there are, for tests.
    pub(crate) fn count_frames(&self) -> usize {
        self.copy_frames().map_or(0, |frames| frames.len())
    }
}

/// What a reader has copied.
#[derive(Default)]
pub(super) struct Draft {
    slots: Vec<Words>,
    /// Which of them are not to be seen any more.
    gone: Vec<(Key, Gone)>,
}

/// A slot, copied word for word.
struct Words {
    key: Key,
    /// As it is in the slot: it may be marked.
    serial: u32,
    meta: &'static FrameMeta,
    stamp: Stamp,
    parent: u64,
    since: u32,
}
