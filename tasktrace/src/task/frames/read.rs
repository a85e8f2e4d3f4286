//! Copies the table of frames: the readers' side.

use std::cell::Cell;
use std::sync::Arc as StdArc;

use super::all_detached;
use crate::origin::Identity;
use crate::sync::{Ordering, fence, lock, spin_loop};
use crate::task::clock::CoarseInstant;
use crate::task::header::Header;
use crate::task::last_poll::LastPoll;
use crate::task::slot::{DetachReason, FrameKey, LIVE, MARKS, is_dynamic};

/// The number of times that a reader tries to copy the table.
const ATTEMPTS: usize = 256;
/// The number of these attempts before the reader lets other threads run. The poller may wait for a processor in the
/// middle of a change.
const ATTEMPTS_BEFORE_YIELD: usize = 32;

/// The capacity that the buffer of a thread keeps, in frames.
const MAX_KEPT: usize = 1 << 10;

thread_local! {
    /// The buffer of this thread, so that most copies allocate nothing.
    static BUFFER: Cell<TableCopy> = const { Cell::new(TableCopy::new()) };
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
    /// The serial number with its mark.
    serial: u32,
}

impl Header {
    /// Returns a copy of the live frames, or `None` if the table changed during every attempt.
    pub(crate) fn copy_frames(&self) -> Option<Vec<FrameCopy>> {
        self.with_frames(<[_]>::to_vec)
    }

    /// Calls `run` with a copy of the live frames. Returns `None` if the table changed during every attempt.
    pub(crate) fn with_frames<R>(&self, run: impl FnOnce(&[FrameCopy]) -> R) -> Option<R> {
        let mut copy = BUFFER.try_with(Cell::take).unwrap_or_default();
        let is_copied = (0..ATTEMPTS).any(|attempt| {
            if self.try_copy(&mut copy) {
                return true;
            }
            match attempt {
                0..ATTEMPTS_BEFORE_YIELD => spin_loop(),
                _ => std::thread::yield_now(),
            }
            false
        });
        let result = is_copied.then(|| run(&copy.frames));
        // The buffer must not keep labels alive.
        copy.clear();
        copy.frames.shrink_to(MAX_KEPT);
        let _ = BUFFER.try_with(|place| place.set(copy));
        result
    }

    /// Copies the live frames once. Returns `false` if the table changed meanwhile.
    pub(super) fn try_copy(&self, copy: &mut TableCopy) -> bool {
        if !self.try_copy_slots(copy) {
            return false;
        }
        if !copy.detached.is_empty() {
            let parents = copy.frames.iter().map(|frame| (frame.key, frame.parent));
            let detached = all_detached(&copy.detached, parents);
            copy.frames.retain(|frame| !detached.contains(&frame.key));
        }
        !copy.has_dynamic || self.copy_dynamics(&mut copy.frames)
    }

    /// Copies the slots to frames, among them the detached ones. Dynamic parts are not copied: such a frame has the
    /// placeholder of its slot as its identity. Returns `false` if the table changed meanwhile.
    fn try_copy_slots(&self, copy: &mut TableCopy) -> bool {
        copy.clear();
        // Acquire: all changes that were complete when the counter got this value are visible.
        let before = self.table.sequence.load(Ordering::Acquire);
        if !before.is_multiple_of(2) {
            return false;
        }
        let used = self.used();
        let mut number = 0;
        // `for_each` takes half the instructions of a `for` loop over the chunks.
        self.slots(used).for_each(|slot| {
            number += 1;
            let Some(meta) = slot.meta() else {
                return;
            };
            // Acquire: if this frame is marked, the marks that were made before are visible.
            let serial = slot.serial.load(Ordering::Acquire);
            let key = FrameKey::new(number, serial & !MARKS | LIVE);
            if let Some(reason) = DetachReason::of_mark(serial) {
                copy.detached.push((key, reason));
            }
            copy.has_dynamic |= is_dynamic(meta);
            copy.frames.push(FrameCopy {
                key,
                parent: slot.parent(),
                identity: Identity::Static(meta),
                since: CoarseInstant(slot.since.load(Ordering::Relaxed)),
                last_poll: slot.last_poll(),
                own_waker: slot.has_own_waker(),
                serial,
            });
        });
        // The frames that cannot be marked. A frame that is no longer on the list has been removed from the table, in a
        // change that the counter below reveals, because the poller does both while it holds the lock of the list.
        self.copy_detached_list(used, &mut copy.detached);
        // Marks do not change the counter. Inner frames are detached before outer ones, but this thread may have read
        // an inner frame before it was marked, and the outer one after that. So the marks are compared once more.
        let is_as_copied = |frame: &FrameCopy| self.is_as_copied(frame);
        if !copy.detached.is_empty() && !copy.frames.iter().all(is_as_copied) {
            return false;
        }
        // If one of the loads above saw a part of a change, the next load sees that the counter has changed.
        fence(Ordering::Acquire);
        self.table.sequence.load(Ordering::Relaxed) == before
    }

    /// Returns `true` if the slot still has the serial number and the mark that were copied.
    fn is_as_copied(&self, frame: &FrameCopy) -> bool {
        let slot = self.slot(frame.key.slot());
        slot.is_some_and(|slot| slot.serial.load(Ordering::Acquire) == frame.serial)
    }

    /// Replaces the placeholders of dynamic identities. Returns `false` if such a frame has ended since its slot was
    /// copied: without that frame, half of a tree would be left.
    fn copy_dynamics(&self, frames: &mut [FrameCopy]) -> bool {
        let Some(side_table) = self.side_table.get() else {
            return false;
        };
        // Nothing is allocated or freed while the lock is held: a clone changes a reference count, and the replaced
        // identity is static.
        let all = lock(&side_table.dynamic);
        let has_dynamic = |frame: &&mut FrameCopy| matches!(frame.identity, Identity::Static(meta) if is_dynamic(meta));
        frames.iter_mut().filter(has_dynamic).all(|frame| {
            let dynamic = all.get(&frame.key);
            if let Some(dynamic) = dynamic {
                frame.identity = Identity::Dynamic(StdArc::clone(dynamic));
            }
            dynamic.is_some()
        })
    }

    /// Returns the number of live frames, for tests.
    pub(crate) fn count_frames(&self) -> usize {
        self.copy_frames().map_or(0, |frames| frames.len())
    }
}

/// A copy of the table: its frames, and the detached ones among them.
#[derive(Default)]
pub(super) struct TableCopy {
    pub(super) frames: Vec<FrameCopy>,
    detached: Vec<(FrameKey, DetachReason)>,
    /// `true` if a frame or a detached frame has a dynamic part.
    has_dynamic: bool,
}

impl TableCopy {
    const fn new() -> Self {
        Self {
            frames: Vec::new(),
            detached: Vec::new(),
            has_dynamic: false,
        }
    }

    fn clear(&mut self) {
        self.frames.clear();
        self.detached.clear();
        self.has_dynamic = false;
    }
}
