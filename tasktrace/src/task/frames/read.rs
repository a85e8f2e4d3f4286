//! Copies the table of frames: the readers' side.

use std::cell::Cell;
use std::sync::Arc as StdArc;

use super::all_detached;
use crate::origin::{Dynamic, FrameMeta, Identity};
use crate::sync::{Ordering, fence, lock, spin_loop};
use crate::task::clock::CoarseInstant;
use crate::task::header::Header;
use crate::task::last_poll::LastPoll;
use crate::task::slot::{DetachReason, FrameKey, LIVE, MARKS, OWN_WAKER, is_dynamic};

/// The number of times that a reader tries to copy the table.
const ATTEMPTS: usize = 256;
/// The number of these attempts before the reader lets other threads run. The poller may wait for a processor in the
/// middle of a change.
const ATTEMPTS_BEFORE_YIELD: usize = 32;

/// The capacity that the buffer of a thread keeps, in slots.
const MAX_KEPT: usize = 1 << 10;

thread_local! {
    /// The buffer of this thread, so that most copies allocate nothing.
    static BUFFER: Cell<TableCopy> = const { Cell::new(TableCopy { slots: Vec::new(), detached: Vec::new() }) };
}

/// A copy of a live frame.
#[derive(Clone, Debug)]
pub(crate) struct FrameCopy {
    pub(crate) key: FrameKey,
    pub(crate) parent: FrameKey,
    pub(crate) identity: Identity,
    pub(crate) since: CoarseInstant,
    pub(crate) last_poll: LastPoll,
    /// `true` if the frame is polled with a waker other than its parent's.
    pub(crate) own_waker: bool,
}

impl Header {
    /// Returns a copy of the live frames, or `None` if the table changed during every attempt.
    pub(crate) fn copy_frames(&self) -> Option<Vec<FrameCopy>> {
        let mut frames = Vec::new();
        self.copy_frames_into(&mut frames, Some).then_some(frames)
    }

    /// Replaces the contents of `into` with the results of `make` for all live frames, except those that are `None`.
    /// Returns `false` if the table changed during every attempt.
    pub(crate) fn copy_frames_into<R>(
        &self,
        into: &mut Vec<R>,
        make: impl Fn(FrameCopy) -> Option<R>,
    ) -> bool {
        let mut copy = BUFFER.try_with(Cell::take).unwrap_or_default();
        let is_copied = (0..ATTEMPTS).any(|attempt| {
            if self.try_copy(&mut copy) && self.make_frames(&copy, into, &make) {
                return true;
            }
            match attempt {
                0..ATTEMPTS_BEFORE_YIELD => spin_loop(),
                _ => std::thread::yield_now(),
            }
            false
        });
        copy.slots.clear();
        copy.slots.shrink_to(MAX_KEPT);
        let _ = BUFFER.try_with(|place| place.set(copy));
        is_copied
    }

    /// Copies the slots once. Returns `false` if the table changed meanwhile.
    pub(super) fn try_copy(&self, copy: &mut TableCopy) -> bool {
        copy.slots.clear();
        copy.detached.clear();
        // Acquire: all changes that were complete when the counter got this value are visible.
        let before = self.table.sequence.load(Ordering::Acquire);
        if !before.is_multiple_of(2) {
            return false;
        }
        let used = self.used();
        for (number, slot) in (1..).zip(self.slots(used)) {
            let Some(meta) = slot.meta() else {
                continue;
            };
            // Acquire: if this frame is marked, the marks that were made before are visible.
            let serial = slot.serial.load(Ordering::Acquire);
            let key = FrameKey::new(number, serial & !MARKS | LIVE);
            copy.detached
                .extend(DetachReason::of_mark(serial).map(|reason| (key, reason)));
            copy.slots.push(SlotCopy {
                key,
                serial,
                meta,
                last_poll: slot.last_poll(),
                parent: slot.parent.load(Ordering::Relaxed),
                since: slot.since.load(Ordering::Relaxed),
            });
        }
        // The frames that cannot be marked. A frame that is no longer on the list has been removed from the table, in a
        // change that the counter below reveals, because the poller does both while it holds the lock of the list.
        self.copy_detached_list(used, &mut copy.detached);
        // Marks do not change the counter. Inner frames are detached before outer ones, but this thread may have read
        // an inner frame before it was marked, and the outer one after that. So the marks are compared once more.
        let is_as_copied = |copy: &SlotCopy| self.is_as_copied(copy);
        if !copy.detached.is_empty() && !copy.slots.iter().all(is_as_copied) {
            return false;
        }
        // If one of the loads above saw a part of a change, the next load sees that the counter has changed.
        fence(Ordering::Acquire);
        self.table.sequence.load(Ordering::Relaxed) == before
    }

    /// Returns `true` if the slot still has the serial number and the mark that were copied.
    fn is_as_copied(&self, copy: &SlotCopy) -> bool {
        let slot = self.slot(copy.key.slot());
        slot.is_some_and(|slot| slot.serial.load(Ordering::Acquire) == copy.serial)
    }

    /// Makes frames of the copied slots, without the detached ones. Returns `false` if a frame with a dynamic part has
    /// ended since the copy, because half of a tree would be left.
    pub(super) fn make_frames<R>(
        &self,
        copy: &TableCopy,
        into: &mut Vec<R>,
        make: impl Fn(FrameCopy) -> Option<R>,
    ) -> bool {
        into.clear();
        let slots = &copy.slots;
        let parent = |slot: &SlotCopy| FrameKey(slot.parent & !OWN_WAKER);
        let parents = slots.iter().map(|slot| (slot.key, parent(slot)));
        let detached = all_detached(&copy.detached, parents);
        let live = || slots.iter().filter(|slot| !detached.contains(&slot.key));
        let Some(dynamic) = self.dynamics(live) else {
            return false;
        };
        let mut dynamic = dynamic.into_iter();
        into.extend(live().filter_map(|slot| {
            let identity = match is_dynamic(slot.meta) {
                true => Identity::Dynamic(dynamic.next()?),
                false => Identity::Static(slot.meta),
            };
            make(FrameCopy {
                key: slot.key,
                parent: parent(slot),
                identity,
                since: CoarseInstant(slot.since),
                last_poll: slot.last_poll,
                own_waker: slot.parent & OWN_WAKER != 0,
            })
        }));
        true
    }

    /// Returns the dynamic parts of the frames that have any, and `None` if one of those frames has ended since.
    fn dynamics<'b, I: Iterator<Item = &'b SlotCopy>>(
        &self,
        slots: impl Fn() -> I,
    ) -> Option<Vec<StdArc<Dynamic>>> {
        let count = slots().filter(|slot| is_dynamic(slot.meta)).count();
        // The memory is allocated before the lock is taken, and freed after it is released.
        let mut dynamics = Vec::with_capacity(count);
        if count > 0 {
            let all = lock(&self.side_table.get()?.dynamic);
            for slot in slots().filter(|slot| is_dynamic(slot.meta)) {
                dynamics.push(StdArc::clone(all.get(&slot.key)?));
            }
        }
        Some(dynamics)
    }

    /// Returns the number of live frames, for tests.
    pub(crate) fn count_frames(&self) -> usize {
        self.copy_frames().map_or(0, |frames| frames.len())
    }
}

/// A copy of the table: its slots that contain frames, and the detached frames.
#[derive(Default)]
pub(super) struct TableCopy {
    slots: Vec<SlotCopy>,
    detached: Vec<(FrameKey, DetachReason)>,
}

/// A copy of the words of a slot.
struct SlotCopy {
    key: FrameKey,
    /// The serial number with its mark.
    serial: u32,
    meta: &'static FrameMeta,
    last_poll: LastPoll,
    parent: u64,
    since: u32,
}
