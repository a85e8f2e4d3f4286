//! Registers the live frames of a task in a table that one thread writes and any thread reads.
//!
//! Three roles access it:
//!
//! * The **poller** of the task, which has a [`Poller`](super::poller::Poller), does everything. It waits for another
//!   thread only at the locks of the side table, which it takes only for frames with a dynamic part, detached frames or
//!   requests.
//! * **Readers**, threads that have a reference to the task, copy the table.
//! * **Droppers**, threads that drop a frame of the task outside its polls, mark the slot of the frame.
//!
//! # The table
//!
//! A frame has a *slot* from the poll in which it is first suspended until it finishes, is dropped, or is polled by
//! another task. The slots are in the header and in [chunks](super::table), and do not move or go away while the header
//! has references. They are numbered from 1. The number 0 stands for the task itself.
//!
//! Each frame gets a *serial* number that is unique in its header. A [`FrameKey`] is a slot and a serial number. So it
//! never identifies another frame than the one it was made for, even when the slot is reused, or the header for another
//! task. The serial number is the value of the sequence counter when the frame was registered. (After a billion changes
//! in one header the numbers wrap around. If a frame from before is still there, a tree may show a frame in the wrong
//! place. Nothing worse can happen.)
//!
//! # Copying
//!
//! A sequence counter is odd while the poller adds, moves or removes frames. A reader copies the table, and tries again
//! if the counter was odd or has changed. After some attempts it gives up. All fields are atomics, so a copy that is
//! thrown away has cost time, but is no data race. The last polls of the frames, which change with every poll, do not
//! change the counter: each is one word, and so is consistent by itself.
//!
//! # Labels
//!
//! The dynamic part of a frame, such as its label, is in the [side table](super::side_table), under a lock, by key. A
//! reader that has copied a key finds the dynamic part of that frame, or nothing if the frame has ended since. Then the
//! reader copies again.
//!
//! # Wait limits
//!
//! The watchdog scans all tasks without taking references, for frames that have been suspended for longer than their
//! wait limit: see [`Header::may_have_overdue_frame`]. The limit is in the static description of a function, which can
//! always be read.
//!
//! # Detached frames
//!
//! A frame can be moved out of its task and dropped by any thread, while another thread polls the task. The dropper
//! *detaches* the frame: it changes the mark in the serial number of the slot, if that is still the serial number of
//! the frame, and then sets the flag `DETACHED` in the [state](super::poll_state) of the task. Readers leave out marked
//! frames. The poller removes them from the table when it next adds a frame or polls on the slow path. A dropper that
//! comes when another frame is in the slot changes nothing.
//!
//! A dropper need not have a reference to the header, so it may mark only slots that are never freed. The frame in any
//! other slot is put on a list in the side table instead.
//!
//! A frame is also detached when another task has begun to poll it. All frames below it have moved with it, and are
//! removed too, although the other task may not have polled them yet.

mod detached;
mod read;
mod write;

use super::clock::CoarseInstant;
use super::header::Header;
use super::slot::{FrameKey, Slot};
use super::table;
use crate::origin::FrameMeta;
use crate::sync::Ordering;

use detached::all_detached;
pub(crate) use read::FrameCopy;
pub(super) use write::PollTimes;

/// The number of slots that are read without a reference to the header.
const READ_WITHOUT_REFERENCE: u32 = 4;

impl Header {
    /// Returns `true` if the key is that of a registered frame, or that of the task.
    #[inline]
    pub(super) fn has_frame(&self, key: FrameKey) -> bool {
        key == FrameKey::TASK || self.find_frame(key).is_some()
    }

    /// Returns `true` if the frame is registered, and below this parent.
    #[inline]
    pub(super) fn is_below(&self, key: FrameKey, parent: FrameKey) -> bool {
        self.find_frame(key)
            .is_some_and(|slot| slot.parent() == parent)
    }

    /// Returns the slot of this frame, if the frame is registered and not detached.
    #[inline]
    pub(super) fn find_frame(&self, key: FrameKey) -> Option<&Slot> {
        self.slot(key.slot()).filter(|slot| slot.contains(key))
    }

    /// Returns the slot of this number, if there is one.
    #[inline]
    fn slot(&self, number: u32) -> Option<&Slot> {
        let inline = self.table.slot(number);
        inline.or_else(|| self.side_table.get()?.chunks.slot(number))
    }

    /// Returns the first `used` slots, in the order of their numbers.
    fn slots(&self, used: u32) -> impl Iterator<Item = &Slot> {
        self.slots_in(used, table::MAX_CHUNKS)
    }

    /// Returns those of the first `used` slots that are never freed. They may be read without a reference to the
    /// header.
    #[inline]
    fn kept_slots(&self, used: u32) -> impl Iterator<Item = &Slot> {
        self.slots_in(used, table::KEPT_CHUNKS)
    }

    #[inline]
    fn slots_in(&self, used: u32, chunks: usize) -> impl Iterator<Item = &Slot> {
        let used = used as usize;
        let inline = &self.table.slots[..used.min(self.table.slots.len())];
        let left = used - inline.len();
        let side_table = (left > 0).then(|| self.side_table.get()).flatten();
        let later = side_table.into_iter();
        inline
            .iter()
            .chain(later.flat_map(move |side_table| side_table.chunks.slots(left, chunks)))
    }

    /// Allocates all slots that are never freed. Returns the number of the last one.
    #[cfg(all(test, tasktrace_loom))]
    pub(super) fn make_room_in_model(&self) -> u32 {
        let chunks = &self.side_table.get_or_insert().chunks;
        chunks
            .make_room(table::LAST_KEPT)
            .expect("there are not many");
        table::LAST_KEPT
    }

    /// Returns `true` if there are slots up to this number. Panics if one of them contains a frame.
    #[cfg(all(test, tasktrace_loom))]
    pub(super) fn has_free_slots_in_model(&self, last: u32) -> bool {
        let slots: Vec<_> = self.kept_slots(last).collect();
        assert!(slots.iter().all(|slot| !slot.has_frame()));
        slots.len() == last as usize
    }

    /// Returns the number of slots that have been in use, counted from the first.
    #[inline]
    fn used(&self) -> u32 {
        self.table.used.load(Ordering::Relaxed)
    }

    /// Returns `true` if one of the frames may have reached its wait limit at `now`.
    ///
    /// This may be called without a reference to the header, because it reads only the first slots, which are never
    /// freed. If other frames have limits, it returns `true`.
    pub(super) fn may_have_overdue_frame(&self, now: CoarseInstant) -> bool {
        let limited = self.table.limited_frames.load(Ordering::Relaxed);
        if limited == 0 {
            return false;
        }
        let used = self.used().min(READ_WITHOUT_REFERENCE);
        let mut checked = 0;
        for slot in self.kept_slots(used) {
            // The limit of a dynamic frame is unknown here, so `checked` does not count the frame.
            let limit = slot.meta().map_or(0, FrameMeta::limit);
            if limit == 0 {
                continue;
            }
            checked += 1;
            let polled = slot.last_poll().began_at();
            if now.0.saturating_sub(polled.0) >= limit {
                return true;
            }
        }
        checked < limited
    }
}

#[cfg(test)]
mod tests;

#[cfg(all(test, tasktrace_loom))]
mod model;
