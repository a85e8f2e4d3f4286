//! Detaches frames that end or move outside the polls of their task, and removes them from the table later.

use std::collections::BTreeSet;
use std::task::Waker;

use super::write::FoundFrame;
use crate::sync::{MutexGuard, Ordering, ReentrancyGuard, lock, with_reserved};
use crate::task::foreign;
use crate::task::header::Header;
use crate::task::poll_state::DETACHED;
use crate::task::poller::Poller;
use crate::task::slot::{DetachReason, ENDED, FrameKey, MARKS, MOVED};
use crate::task::table::LAST_KEPT;

/// The droppers' side.
impl Header {
    /// Marks a frame as detached, so that readers leave it out.
    ///
    /// This may be called without a reference to the header: this accesses only the state, the side table, and slots
    /// that are never freed.
    #[cold]
    #[inline(never)]
    pub(crate) fn mark_detached(&self, key: FrameKey, reason: DetachReason) {
        if key.slot() > LAST_KEPT {
            self.list_detached(key, reason);
            self.poll_state.set(DETACHED);
            return;
        }
        let mark = match reason {
            DetachReason::Ended => ENDED,
            DetachReason::Moved => MOVED,
        };
        let marked = self.slot(key.slot()).is_some_and(|slot| {
            let marked = slot.serial.compare_exchange(
                key.serial(),
                key.serial() & !MARKS | mark,
                Ordering::AcqRel,
                Ordering::Relaxed,
            );
            marked.is_ok()
        });
        if marked {
            self.poll_state.set(DETACHED);
        }
    }

    /// Adds a frame to the list of detached frames.
    #[cold]
    fn list_detached(&self, key: FrameKey, reason: DetachReason) {
        let detached = &self.side_table.get_or_insert().detached;
        with_reserved(
            || lock(detached),
            |list| list,
            |list| list.push((key, reason)),
        );
    }
}

/// The poller's side.
impl Poller<'_> {
    /// Removes the detached frames from the table.
    #[inline]
    pub(crate) fn remove_detached(self) {
        if self.poll_state.has(DETACHED) {
            self.remove_all_detached();
        }
    }

    #[cold]
    #[inline(never)]
    fn remove_all_detached(self) {
        // The flag is cleared before the marks are read: a dropper that makes a later mark sets it again.
        self.poll_state.clear(DETACHED);
        let inside = ReentrancyGuard::enter();
        let wakers = self.remove_marked_and_listed();
        drop(inside);
        // Dropping wakers runs foreign code.
        foreign::drop(wakers);
    }

    /// Removes the marked and the listed frames from the table. Returns their wakers, to be dropped.
    fn remove_marked_and_listed(self) -> Vec<Waker> {
        let (table, used) = (&self.table, self.used());
        let slots = || (1..).zip(self.slots(used));
        let mut detached: Vec<(FrameKey, DetachReason)> = slots()
            .filter_map(|(number, slot)| slot.detached(number))
            .collect();
        let marked = detached.len();
        self.copy_detached_list(used, &mut detached);
        let listed = detached.len() - marked;
        let parents = slots().map(|(number, slot)| (slot.key(number), slot.parent()));
        let removed: Vec<FoundFrame<'_>> = all_detached(&detached, parents)
            .into_iter()
            .filter_map(|key| {
                let slot = self.slot(key.slot())?;
                (slot.key(key.slot()) == key).then(|| FoundFrame::new(key, slot))
            })
            .collect();
        // The list stays locked until the frames are removed from the table: a reader that does not find a frame on the
        // list does not find it in the table either.
        let mut list = self.detached_list(used);
        if let Some(list) = &mut list {
            list.drain(..listed);
        }
        // All frames are removed in one change, so that no reader sees a frame without the frame around it.
        let sequence = table.begin_change();
        removed.iter().for_each(|found| table.vacate(found));
        table.end_change(sequence);
        drop(list);
        let removed_waker = |found: &FoundFrame<'_>| self.remove_from_side_table(found.key);
        removed.iter().filter_map(removed_waker).collect()
    }
}

impl Header {
    /// Appends the listed detached frames to `copy`.
    pub(super) fn copy_detached_list(&self, used: u32, copy: &mut Vec<(FrameKey, DetachReason)>) {
        loop {
            let Some(list) = self.detached_list(used) else {
                return;
            };
            let length = list.len();
            if copy.capacity() - copy.len() >= length {
                copy.extend_from_slice(&list);
                return;
            }
            // Nothing is allocated while the list is locked.
            drop(list);
            copy.reserve(length);
        }
    }

    /// Locks the list of detached frames, if there are slots that cannot be marked.
    fn detached_list(&self, used: u32) -> Option<MutexGuard<'_, Vec<(FrameKey, DetachReason)>>> {
        let side_table = (used > LAST_KEPT).then(|| self.side_table.get())??;
        Some(lock(&side_table.detached))
    }
}

/// Returns the frames that were detached, and all frames below one that has moved. `parents` yields each frame with its
/// parent.
pub(super) fn all_detached(
    detached: &[(FrameKey, DetachReason)],
    parents: impl Iterator<Item = (FrameKey, FrameKey)>,
) -> BTreeSet<FrameKey> {
    let mut all: BTreeSet<FrameKey> = detached.iter().map(|(key, _)| *key).collect();
    let moved = detached
        .iter()
        .filter(|(_, reason)| *reason == DetachReason::Moved);
    let mut moved: Vec<FrameKey> = moved.map(|(key, _)| *key).collect();
    if moved.is_empty() {
        return all;
    }
    let below: BTreeSet<(FrameKey, FrameKey)> =
        parents.map(|(key, parent)| (parent, key)).collect();
    while let Some(parent) = moved.pop() {
        let children = below.range((parent, FrameKey(0))..=(parent, FrameKey(u64::MAX)));
        moved.extend(
            children
                .map(|(_, child)| *child)
                .filter(|child| all.insert(*child)),
        );
    }
    all
}
