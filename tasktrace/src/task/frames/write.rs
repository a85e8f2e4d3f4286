//! Adds, moves and removes the frames of a task: the poller's side.

use std::collections::BTreeMap;
use std::ptr;
use std::sync::Arc as StdArc;
use std::task::Waker;

use crate::origin::{self, Dynamic, FrameMeta, Identity};
use crate::sync::map::{has_room, larger_map};
use crate::sync::{Ordering, ReentrancyGuard, fence, lock};
use crate::task::foreign;
use crate::task::last_poll::LastPoll;
use crate::task::poller::Poller;
use crate::task::side_table::{Dynamics, SideTable};
use crate::task::slot::{DYNAMIC, DYNAMIC_LIMITED, FrameKey, LIVE, OWN_WAKER, Slot, is_dynamic};
use crate::task::table::FrameTable;

impl Poller<'_> {
    /// Registers a frame below this parent. If the frame is still registered under the key `known`, it keeps that key
    /// and is moved to this parent. Returns `None` if there are too many frames.
    pub(crate) fn register(
        self,
        known: Option<FrameKey>,
        identity: &Identity,
        parent: FrameKey,
        last_poll: LastPoll,
    ) -> Option<FrameKey> {
        let Some(slot) = known.and_then(|key| self.find_frame(key)) else {
            return self.insert(identity, parent, last_poll);
        };
        slot.set_last_poll(last_poll);
        if slot.parent() != parent {
            let own_waker = slot.parent.load(Ordering::Relaxed) & OWN_WAKER;
            let sequence = self.table.begin_change();
            slot.parent.store(parent.0 | own_waker, Ordering::Relaxed);
            self.table.end_change(sequence);
        }
        known
    }

    /// Adds a frame to the table. Returns `None` if there are too many frames.
    #[inline]
    fn insert(
        self,
        identity: &Identity,
        parent: FrameKey,
        last_poll: LastPoll,
    ) -> Option<FrameKey> {
        self.remove_detached();
        let table = &self.table;
        let number = match table.first_free.load(Ordering::Relaxed) {
            0 => self.used() + 1,
            number => number,
        };
        let slot = match self.slot(number) {
            Some(slot) => slot,
            None => self.add_slot(number)?,
        };
        // The counter is even, and has another value after each change. So no two frames get the same serial number.
        let sequence = table.sequence.load(Ordering::Relaxed);
        let key = FrameKey::new(number, sequence << 1 | LIVE);
        let meta = match identity {
            Identity::Static(meta) => meta,
            Identity::Dynamic(dynamic) => {
                self.store_dynamic(dynamic, key);
                match identity.wait_limit() {
                    None => &DYNAMIC,
                    Some(_) => &DYNAMIC_LIMITED,
                }
            }
        };
        let sequence = table.begin_change();
        table.fill(slot, key, meta, parent, last_poll);
        table.count_limit(meta, 1);
        table.end_change(sequence);
        Some(key)
    }

    /// Stores the dynamic part of a frame in the side table.
    #[cold]
    fn store_dynamic(self, dynamic: &StdArc<Dynamic>, key: FrameKey) {
        // The guard keeps an allocator that uses tasktrace from registering frames while this thread allocates.
        let _inside = ReentrancyGuard::enter();
        let dynamic = StdArc::clone(dynamic);
        let all_dynamic = &self.side_table.get_or_insert().dynamic;
        let mut spare = Dynamics::default();
        loop {
            let mut all = lock(all_dynamic);
            if has_room(&mut all, 1, &mut spare) {
                all.insert(key, dynamic);
                break;
            }
            let length = all.len();
            drop(all);
            spare = larger_map(length, 1);
        }
    }

    /// Removes a frame, if it is registered. Returns its own waker, to be dropped.
    #[inline]
    pub(crate) fn remove(self, key: FrameKey) -> Option<Waker> {
        let found = FoundFrame::new(key, self.find_frame(key)?);
        let sequence = self.table.begin_change();
        self.table.vacate(&found);
        self.table.end_change(sequence);
        match found.meta.is_some_and(is_dynamic) || found.own_waker {
            false => None,
            true => self.remove_from_side_table(key),
        }
    }

    /// Removes the dynamic part and the waker of a removed frame from the side table. Returns the waker, to be dropped.
    #[cold]
    #[inline(never)]
    pub(super) fn remove_from_side_table(self, key: FrameKey) -> Option<Waker> {
        let _inside = ReentrancyGuard::enter();
        let side_table = self.side_table.get()?;
        let removed = lock(&side_table.dynamic).remove(&key);
        drop(removed);
        self.change_wakers(side_table, |wakers| wakers.remove(&key))
    }

    /// Stores the waker of a frame that is polled with a waker other than its parent's. Returns the replaced waker, to
    /// be dropped.
    pub(crate) fn set_waker(self, key: FrameKey, waker: &Waker) -> Option<Waker> {
        let slot = self.find_frame(key)?;
        let side_table = self.side_table.get_or_insert();
        let is_known = self.change_wakers(side_table, |wakers| {
            let known = wakers.get(&key);
            known.is_some_and(|known| known.will_wake(waker))
        });
        if is_known {
            return None;
        }
        let waker = foreign::clone(waker)?;
        let parent = slot.parent.load(Ordering::Relaxed);
        let sequence = self.table.begin_change();
        slot.parent.store(parent | OWN_WAKER, Ordering::Relaxed);
        self.table.end_change(sequence);
        let _inside = ReentrancyGuard::enter();
        self.change_wakers(side_table, |wakers| wakers.insert(key, waker))
    }

    /// Calls `change` with the wakers of the frames that are polled with wakers other than their parents'.
    ///
    /// `change` must not call this function again for the same task. If it allocates, the caller holds a
    /// [`ReentrancyGuard`], so that an allocator which uses tasktrace registers no frames meanwhile.
    fn change_wakers<R>(
        self,
        side_table: &SideTable,
        change: impl FnOnce(&mut BTreeMap<FrameKey, Waker>) -> R,
    ) -> R {
        // SAFETY: only this function accesses the map. It takes a `Poller`, so it runs on the thread that polls this
        // task. None of its callers, which are all in this module, passes a `change` that calls it again, as required
        // above. For `wakers`, which calls foreign code, see the comment there. So this is the only reference to the
        // map.
        side_table
            .wakers
            .with_mut(|wakers| change(unsafe { &mut *wakers }))
    }

    /// Returns the wakers of all frames that are polled with wakers other than their parents'.
    pub(crate) fn wakers(self) -> Vec<Waker> {
        let Some(side_table) = self.side_table.get() else {
            return Vec::new();
        };
        // `clone` is foreign code. It cannot poll this task, whose future is borrowed by the poller. And this is called
        // before the poll enters its scope, so if `clone` drops a frame of this task, the frame is detached, which does
        // not access the map.
        self.change_wakers(side_table, |wakers| {
            wakers.values().filter_map(foreign::clone).collect()
        })
    }

    /// Removes all frames. Returns their wakers, to be dropped.
    #[inline]
    pub(crate) fn clear_frames(self) -> Option<BTreeMap<FrameKey, Waker>> {
        match self.used() {
            0 => None,
            used => self.clear_used(used),
        }
    }

    /// Removes all frames. `used` slots have been in use.
    fn clear_used(self, used: u32) -> Option<BTreeMap<FrameKey, Waker>> {
        let table = &self.table;
        let sequence = table.begin_change();
        for slot in self.slots(used) {
            slot.clear_meta();
            slot.serial.store(0, Ordering::Relaxed);
        }
        table.used.store(0, Ordering::Relaxed);
        table.first_free.store(0, Ordering::Relaxed);
        table.limited_frames.store(0, Ordering::Relaxed);
        table.end_change(sequence);
        let side_table = self.side_table.get()?;
        let dynamic = std::mem::take(&mut *lock(&side_table.dynamic));
        drop(dynamic);
        Some(self.change_wakers(side_table, std::mem::take))
    }

    /// Allocates the slot of this number. Returns `None` if there are too many frames.
    #[cold]
    fn add_slot(&self, number: u32) -> Option<&Slot> {
        // The guard keeps an allocator that uses tasktrace from registering frames while this thread allocates.
        let _inside = ReentrancyGuard::enter();
        self.side_table.get_or_insert().chunks.make_room(number)?;
        self.slot(number)
    }

    /// Returns a number that changes when a frame is added, moved or removed.
    pub(crate) fn frames_version(self) -> u32 {
        self.table.sequence.load(Ordering::Relaxed)
    }

    /// Returns the last polls of all frames.
    pub(crate) fn times(self) -> PollTimes {
        let slots = self.slots(self.used());
        PollTimes(slots.map(Slot::last_poll).collect())
    }

    /// Restores the last polls, as if the polls since then had not happened. No frame was added or removed since then.
    fn set_times(self, times: &PollTimes) {
        for (slot, before) in self.slots(self.used()).zip(&times.0) {
            slot.set_last_poll(slot.last_poll().at_time_of(*before));
        }
    }

    /// Ends a requested poll in which the task made no progress.
    ///
    /// In contrast to [`note_suspended`](Poller::note_suspended), the task counts as suspended since `before`, and its
    /// frames since `times`.
    pub(crate) fn note_suspended_without_progress(
        self,
        before: LastPoll,
        times: Option<&PollTimes>,
    ) {
        // Before the store below: a reader that finds the task suspended also finds these times.
        if let Some(times) = times {
            self.set_times(times);
        }
        let last_poll = self.last_poll().ended().at_time_of(before);
        self.last_poll.store(last_poll.to_bits(), Ordering::Release);
    }
}

/// The poller's side.
impl FrameTable {
    /// Starts a change of the table, during which no reader accepts a copy. Returns the value of the counter, for
    /// [`end_change`](Self::end_change).
    #[inline]
    pub(super) fn begin_change(&self) -> u32 {
        let sequence = self.sequence.load(Ordering::Relaxed);
        self.sequence
            .store(sequence.wrapping_add(1), Ordering::Relaxed);
        // A reader that sees a part of the change also sees that the counter is odd, or has an even later value.
        fence(Ordering::Release);
        sequence
    }

    #[inline]
    pub(super) fn end_change(&self, sequence: u32) {
        // A reader that sees the counter even again sees the whole change.
        self.sequence
            .store(sequence.wrapping_add(2), Ordering::Release);
    }

    /// Puts a frame into a slot that was never in use, or into the first free slot. The caller has started a change.
    #[inline]
    fn fill(
        &self,
        slot: &Slot,
        key: FrameKey,
        meta: &'static FrameMeta,
        parent: FrameKey,
        last_poll: LastPoll,
    ) {
        if key.slot() > self.used.load(Ordering::Relaxed) {
            self.used.store(key.slot(), Ordering::Relaxed);
        } else {
            let next = slot.parent.load(Ordering::Relaxed) as u32;
            self.first_free.store(next, Ordering::Relaxed);
        }
        slot.set_last_poll(last_poll);
        slot.parent.store(parent.0, Ordering::Relaxed);
        slot.serial.store(key.serial(), Ordering::Relaxed);
        slot.since.store(last_poll.began_at().0, Ordering::Relaxed);
        slot.set_meta(meta);
    }

    /// Removes a frame from its slot. The caller has started a change.
    #[inline]
    pub(super) fn vacate(&self, found: &FoundFrame<'_>) {
        let FoundFrame {
            key, slot, meta, ..
        } = found;
        if let Some(meta) = meta {
            self.count_limit(meta, -1);
        }
        slot.clear_meta();
        slot.serial.store(0, Ordering::Relaxed);
        let next = self.first_free.load(Ordering::Relaxed);
        slot.parent.store(u64::from(next), Ordering::Relaxed);
        self.first_free.store(key.slot(), Ordering::Relaxed);
    }

    /// Adds `more` to the number of frames with a wait limit, if `meta` has one.
    #[inline]
    fn count_limit(&self, meta: &'static FrameMeta, more: i32) {
        if origin::any_limits() {
            self.count_existing_limit(meta, more);
        }
    }

    #[cold]
    fn count_existing_limit(&self, meta: &'static FrameMeta, more: i32) {
        if meta.limit() > 0 || ptr::eq(meta, &raw const DYNAMIC_LIMITED) {
            let count = self.limited_frames.load(Ordering::Relaxed);
            let count = count.wrapping_add_signed(more);
            self.limited_frames.store(count, Ordering::Relaxed);
        }
    }
}

/// A frame that is about to be removed from the table.
pub(super) struct FoundFrame<'a> {
    pub(super) key: FrameKey,
    slot: &'a Slot,
    meta: Option<&'static FrameMeta>,
    own_waker: bool,
}

impl<'a> FoundFrame<'a> {
    #[inline]
    pub(super) fn new(key: FrameKey, slot: &'a Slot) -> Self {
        Self {
            key,
            slot,
            meta: slot.meta(),
            own_waker: slot.has_own_waker(),
        }
    }
}

/// The last poll of each frame, in the order of the slots.
pub(crate) struct PollTimes(Vec<LastPoll>);
