//! The live frames of a task: a table in its record that one thread writes and any may read.
//!
//! | who | may | with |
//! |---|---|---|
//! | the **poller** of the task | everything; it never waits for anybody, and executes no locked instruction unless a frame has a label | a [`Poller`](super::poller::Poller) |
//! | **readers**: any thread that has a reference to the record | copy the table | a [`Record`] |
//! | **droppers**: who drops a frame of this task elsewhere than in a poll of it | mark its slot | a [`Record`] |
//!
//! # The table
//!
//! A frame has a *slot* from the poll in which it is first suspended until it is finished, dropped,
//! or polled by another task. Slots are in the record and in [chunks](super::table), and stay where they are for as
//! long as the record has references. They are numbered from 1; the task itself counts as number 0. Each use of a
//! slot has a *serial* number that no other use of a slot of this record has, so a [`Key`], which is both,
//! never identifies another frame than the one it was made for: not when its slot is used again, and not
//! when the record is used for another task. It is what the sequence counter was when the frame was
//! filed. (After a billion of changes to one record the numbers begin again. Should a frame from before
//! still be there, a tree would be wrong, and nothing else.)
//!
//! # Copying
//!
//! A sequence counter is odd while the poller changes which frames there are. A reader copies, and
//! copies again if the counter was odd or has moved on; after a few times it gives up. All fields
//! are atomic, so a copy that is thrown away was a waste of time, but no data race. What changes
//! with every poll, the stamps, is not counted: a stamp is a word of its own.
//!
//! A reader that knows what it expects need not copy: it *peeks*, which is the same but that what was
//! found belongs together only if the counter says so afterwards, and that it gives up where there is
//! more to a frame than its slot.
//!
//! # Labels
//!
//! What a frame has beyond a static description is kept in the [extras](super::extras), under a lock, by key. A
//! reader that has copied a key finds either what belongs to it, or nothing because the frame has
//! ended since: then it copies again.
//!
//! # Limits
//!
//! Those who look at all tasks without a reference to any want to know whether a frame may have been
//! suspended for longer than it is allowed to: see [`Record::may_have_overdue_frame`]. A static description says
//! for how long that is, and is always there to be looked at.
//!
//! # Frames that end elsewhere
//!
//! A frame can be moved out of its task and dropped anywhere, while the task is being polled on
//! another thread. The dropper marks its slot, by changing the serial number in it, if that is still the
//! frame's, and says in the record's [`turn`](super::turn) that it has; the poller takes the frame off the
//! table when it next has a look, and readers leave out what is marked. A dropper that comes too late, when
//! the slot is another frame's, changes nothing. It need not have a reference to the record, so this goes
//! for the slots only that are never freed; a frame in another is put on a list instead.
//!
//! So it is with a frame that another task has begun to poll. What was below it has moved with it,
//! and goes as well, although its own frames may not have been polled over there yet.

mod gone;
mod read;
mod write;

use super::clock::Tick;
use super::record::Record;
use super::slot::{Key, Slot};
use super::table;
use crate::origin::FrameMeta;
use crate::sync::Ordering;

use gone::all_gone;
pub(crate) use read::Copied;
pub(super) use write::Times;

/// So many slots are looked at without a reference to the record.
const GLANCED_AT: u32 = 4;

impl Record {
    /// Whether it is that of a frame which is there, or of the task.
    #[inline]
    pub(super) fn has_frame(&self, key: Key) -> bool {
        key == Key::TASK || self.find_frame(key).is_some()
    }

    /// Whether a frame is there still, and below this parent.
    #[inline]
    pub(super) fn is_below(&self, key: Key, parent: Key) -> bool {
        self.find_frame(key)
            .is_some_and(|slot| slot.parent() == parent)
    }

    /// The slot of this frame, if the frame is there. No other frame has the same serial number.
    #[inline]
    pub(super) fn find_frame(&self, key: Key) -> Option<&Slot> {
        self.slot(key.slot()).filter(|slot| slot.is(key))
    }

    /// The slot of this number, if there is one.
    #[inline]
    fn slot(&self, number: u32) -> Option<&Slot> {
        let inline = self.table.slot(number);
        inline.or_else(|| self.extras.get()?.chunks.slot(number))
    }

    /// So many slots, in the order of their numbers.
    fn slots(&self, used: u32) -> impl Iterator<Item = &Slot> {
        self.slots_in(used, table::CHUNKS)
    }

    /// The same as far as they are never freed: who has no reference to the record may look at these.
    #[inline]
    fn kept_slots(&self, used: u32) -> impl Iterator<Item = &Slot> {
        self.slots_in(used, table::KEPT)
    }

    #[inline]
    fn slots_in(&self, used: u32, chunks: usize) -> impl Iterator<Item = &Slot> {
        let used = used as usize;
        let inline = &self.table.slots[..used.min(self.table.slots.len())];
        let left = used - inline.len();
        let extras = (left > 0).then(|| self.extras.get()).flatten();
        let later = extras.into_iter();
        inline
            .iter()
            .chain(later.flat_map(move |extras| extras.chunks.slots(left, chunks)))
    }

    /// Makes room for as many frames as are kept. Returns the number of the last slot.
    #[cfg(all(test, tasktrace_loom))]
    pub(super) fn make_room_in_model(&self) -> u32 {
        let chunks = &self.extras.get_or_insert().chunks;
        chunks
            .make_room(table::LAST_KEPT)
            .expect("there are not many");
        table::LAST_KEPT
    }

    /// Whether there are slots up to this number, and no frames in them.
    #[cfg(all(test, tasktrace_loom))]
    pub(super) fn has_free_slots_in_model(&self, last: u32) -> bool {
        let slots: Vec<_> = self.kept_slots(last).collect();
        assert!(slots.iter().all(|slot| !slot.has_frame()));
        slots.len() == last as usize
    }

    /// How many slots have been in use.
    #[inline]
    fn used(&self) -> u32 {
        self.table.used.load(Ordering::Relaxed)
    }

    // Who has no reference.

    /// Whether one of the frames has a limit and may have come to it, as far as can be said at a
    /// glance. The caller need not have a reference to the record: only the first slots are looked
    /// at, which stay where they are for as long as the record does. If there are limits elsewhere,
    /// they may have been come to.
    pub(super) fn may_have_overdue_frame(&self, now: Tick) -> bool {
        let limited = self.table.limited.load(Ordering::Relaxed);
        if limited == 0 {
            return false;
        }
        let used = self.used().min(GLANCED_AT);
        let mut seen = 0;
        for slot in self.kept_slots(used) {
            // Of what is not static it is not known here.
            let limit = slot.meta().map_or(0, FrameMeta::limit);
            if limit == 0 {
                continue;
            }
            seen += 1;
            let polled = slot.stamp().tick();
            if now.0.saturating_sub(polled.0) >= limit {
                return true;
            }
        }
        seen < limited
    }
}

#[cfg(test)]
mod tests;

#[cfg(all(test, tasktrace_loom))]
mod model;
