//! The poller's side of the table: frames come and go.

use std::collections::BTreeMap;
use std::ptr;
use std::sync::Arc as StdArc;
use std::task::Waker;

use crate::origin::{self, Dynamic, FrameMeta, Identity};
use crate::sync::map::{has_room, larger};
use crate::sync::{Inside, Ordering, fence, lock};
use crate::task::extras::{Dynamics, Extras};
use crate::task::foreign;
use crate::task::poller::Poller;
use crate::task::slot::{DYNAMIC, Key, LIMITED, LIVE, OWN_WAKER, Slot, is_dynamic};
use crate::task::stamp::Stamp;
use crate::task::table::Table;

/// A frame that is to be taken off the table.
pub(super) struct Found<'a> {
    pub(super) key: Key,
    slot: &'a Slot,
    meta: Option<&'static FrameMeta>,
    own_waker: bool,
}

impl<'a> Found<'a> {
    #[inline]
    pub(super) fn new(key: Key, slot: &'a Slot) -> Self {
        Self {
            key,
            slot,
            meta: slot.meta(),
            own_waker: slot.has_own_waker(),
        }
    }
}

impl Poller<'_> {
    /// Registers a frame below this parent. `known` is the key that the frame had: if the frame is on the table still,
    /// it keeps that key, and is moved to this parent. Returns `None` if there are too many frames.
    pub(crate) fn register(
        self,
        known: Option<Key>,
        identity: &Identity,
        parent: Key,
        stamp: Stamp,
    ) -> Option<Key> {
        let Some(slot) = known.and_then(|key| self.find_frame(key)) else {
            return self.insert(identity, parent, stamp);
        };
        slot.set_stamp(stamp);
        if slot.parent() != parent {
            let own_waker = slot.parent.load(Ordering::Relaxed) & OWN_WAKER;
            let sequence = self.table.begin_change();
            slot.parent.store(parent.0 | own_waker, Ordering::Relaxed);
            self.table.end_change(sequence);
        }
        known
    }

    /// Adds a frame. Returns `None` if there are too many.
    #[inline]
    fn insert(self, identity: &Identity, parent: Key, stamp: Stamp) -> Option<Key> {
        self.take_off_gone();
        let table = &self.table;
        let number = match table.free.load(Ordering::Relaxed) {
            0 => self.used() + 1,
            number => number,
        };
        let slot = match self.slot(number) {
            Some(slot) => slot,
            None => self.add_slot(number)?,
        };
        // The counter is even, and is another after each change.
        let sequence = table.sequence.load(Ordering::Relaxed);
        let key = Key::new(number, sequence << 1 | LIVE);
        let meta = match identity {
            Identity::Static(meta) => meta,
            Identity::Dynamic(dynamic) => {
                self.keep_dynamic(dynamic, key);
                match identity.wait_limit() {
                    None => &DYNAMIC,
                    Some(_) => &LIMITED,
                }
            }
        };
        let sequence = table.begin_change();
        table.fill(slot, key, meta, parent, stamp);
        table.count_limit(meta, 1);
        table.end_change(sequence);
        Some(key)
    }

    /// Keeps what there is to a frame beyond a static description.
    #[cold]
    fn keep_dynamic(self, dynamic: &StdArc<Dynamic>, key: Key) {
        // An allocator that is called meanwhile does not file frames.
        let _inside = Inside::enter();
        let dynamic = StdArc::clone(dynamic);
        let place = &self.extras.get_or_insert().dynamic;
        let mut spare = Dynamics::default();
        loop {
            let mut all = lock(place);
            if has_room(&mut all, 1, &mut spare) {
                all.insert(key, dynamic);
                break;
            }
            let length = all.len();
            drop(all);
            spare = larger(length, 1);
        }
    }

    /// Takes a frame off, if it is there. Returns what is to be dropped after it.
    #[inline]
    pub(crate) fn remove(self, key: Key) -> Option<Waker> {
        let found = Found::new(key, self.find_frame(key)?);
        let sequence = self.table.begin_change();
        self.table.take_off(&found);
        self.table.end_change(sequence);
        match found.meta.is_some_and(is_dynamic) || found.own_waker {
            false => None,
            true => self.forget(key),
        }
    }

    /// Removes what is kept in the extras of a frame that has been taken off. Returns what is to
    /// be dropped.
    #[cold]
    #[inline(never)]
    pub(super) fn forget(self, key: Key) -> Option<Waker> {
        let _inside = Inside::enter();
        let extras = self.extras.get()?;
        let removed = lock(&extras.dynamic).remove(&key);
        drop(removed);
        self.change_wakers(extras, |wakers| wakers.remove(&key))
    }

    /// Keeps the waker of a frame that is polled with another than its task's. Returns what is to
    /// be dropped.
    pub(crate) fn set_waker(self, key: Key, waker: &Waker) -> Option<Waker> {
        let slot = self.find_frame(key)?;
        let extras = self.extras.get_or_insert();
        let known = self.change_wakers(extras, |wakers| {
            let known = wakers.get(&key);
            known.is_some_and(|known| known.will_wake(waker))
        });
        if known {
            return None;
        }
        let waker = foreign::clone(waker)?;
        let parent = slot.parent.load(Ordering::Relaxed);
        let sequence = self.table.begin_change();
        slot.parent.store(parent | OWN_WAKER, Ordering::Relaxed);
        self.table.end_change(sequence);
        let _inside = Inside::enter();
        self.change_wakers(extras, |wakers| wakers.insert(key, waker))
    }

    /// Calls `change` with the wakers of frames that are polled with another than their task's.
    ///
    /// It polls no task, and where it allocates the caller is [`Inside`]. So it does not come here again.
    fn change_wakers<R>(
        self,
        extras: &Extras,
        change: impl FnOnce(&mut BTreeMap<Key, Waker>) -> R,
    ) -> R {
        // SAFETY: only the poller uses the map, which is who calls, and all its calls are in this module. None of them comes
        // here again from `change`, as it says above: so this is the only reference.
        extras
            .wakers
            .with_mut(|wakers| change(unsafe { &mut *wakers }))
    }

    /// The wakers of all frames that are polled with another than their task's.
    pub(crate) fn wakers(self) -> Vec<Waker> {
        let Some(extras) = self.extras.get() else {
            return Vec::new();
        };
        // The clone of a waker is foreign code, but polls no task.
        self.change_wakers(extras, |wakers| {
            wakers.values().filter_map(foreign::clone).collect()
        })
    }

    /// Takes all frames off. Returns what is to be dropped.
    #[inline]
    pub(crate) fn clear_frames(self) -> Option<BTreeMap<Key, Waker>> {
        match self.used() {
            0 => None,
            used => self.clear_used(used),
        }
    }

    /// So many slots have been in use.
    fn clear_used(self, used: u32) -> Option<BTreeMap<Key, Waker>> {
        let table = &self.table;
        let sequence = table.begin_change();
        for slot in self.slots(used) {
            slot.clear_meta();
            slot.serial.store(0, Ordering::Relaxed);
        }
        table.used.store(0, Ordering::Relaxed);
        table.free.store(0, Ordering::Relaxed);
        table.limited.store(0, Ordering::Relaxed);
        table.end_change(sequence);
        let extras = self.extras.get()?;
        let dynamic = std::mem::take(&mut *lock(&extras.dynamic));
        drop(dynamic);
        Some(self.change_wakers(extras, std::mem::take))
    }

    /// Makes a slot of this number, and returns it. Returns `None` if there are too many.
    #[cold]
    fn add_slot(&self, number: u32) -> Option<&Slot> {
        // An allocator that is called meanwhile does not file frames.
        let _inside = Inside::enter();
        self.extras.get_or_insert().chunks.make_room(number)?;
        self.slot(number)
    }

    /// A number that changes when a frame comes or goes.
    pub(crate) fn frames_version(self) -> u32 {
        self.table.sequence.load(Ordering::Relaxed)
    }

    /// When the frames were last polled.
    pub(crate) fn times(self) -> Times {
        let slots = self.slots(self.used());
        Times(slots.map(Slot::stamp).collect())
    }

    /// Puts the frames back to these times, all in all as if the polls since then had not been. No
    /// frame has come or gone in them.
    fn set_times(self, times: &Times) {
        for (slot, before) in self.slots(self.used()).zip(&times.0) {
            slot.set_stamp(slot.stamp().at_time_of(*before));
        }
    }

    /// As [`note_settled`](Poller::note_settled), of a poll that was for the sake of somebody who
    /// asks, and in which the task has not gone on: it has been waiting since `before`, and the
    /// frames in it as `times` has it.
    pub(crate) fn note_settled_idle(self, before: Stamp, times: Option<&Times>) {
        // Whoever finds the task suspended, which is said after this, finds these times.
        if let Some(times) = times {
            self.set_times(times);
        }
        let stamp = self.stamp().ended().at_time_of(before);
        self.stamp.store(stamp.to_bits(), Ordering::Release);
    }
}

/// The poller's side.
impl Table {
    /// Begins to change which frames there are, so that no reader takes what is half done for a whole. Returns the
    /// counter, for the [end](Self::end_change).
    #[inline]
    pub(super) fn begin_change(&self) -> u32 {
        let sequence = self.sequence.load(Ordering::Relaxed);
        self.sequence
            .store(sequence.wrapping_add(1), Ordering::Relaxed);
        // A reader that sees any of the changes sees that the counter is odd, or has moved on.
        fence(Ordering::Release);
        sequence
    }

    #[inline]
    pub(super) fn end_change(&self, sequence: u32) {
        // A reader that sees the counter even again sees all of the changes.
        self.sequence
            .store(sequence.wrapping_add(2), Ordering::Release);
    }

    /// Puts a frame into a slot, which has never been in use, or is the next that is free.
    ///
    /// The caller is in the middle of a change.
    #[inline]
    fn fill(&self, slot: &Slot, key: Key, meta: &'static FrameMeta, parent: Key, stamp: Stamp) {
        if key.slot() > self.used.load(Ordering::Relaxed) {
            self.used.store(key.slot(), Ordering::Relaxed);
        } else {
            let next = slot.parent.load(Ordering::Relaxed) as u32;
            self.free.store(next, Ordering::Relaxed);
        }
        slot.set_stamp(stamp);
        slot.parent.store(parent.0, Ordering::Relaxed);
        slot.serial.store(key.serial(), Ordering::Relaxed);
        slot.since.store(stamp.tick().0, Ordering::Relaxed);
        slot.set_meta(meta);
    }

    /// The caller is in the middle of a change.
    #[inline]
    pub(super) fn take_off(&self, found: &Found<'_>) {
        let Found {
            key, slot, meta, ..
        } = found;
        if let Some(meta) = meta {
            self.count_limit(meta, -1);
        }
        slot.clear_meta();
        slot.serial.store(0, Ordering::Relaxed);
        let next = self.free.load(Ordering::Relaxed);
        slot.parent.store(u64::from(next), Ordering::Relaxed);
        self.free.store(key.slot(), Ordering::Relaxed);
    }

    #[inline]
    fn count_limit(&self, meta: &'static FrameMeta, more: i32) {
        if origin::any_limits() {
            self.count_known_limit(meta, more);
        }
    }

    #[cold]
    fn count_known_limit(&self, meta: &'static FrameMeta, more: i32) {
        if meta.limit() > 0 || ptr::eq(meta, &raw const LIMITED) {
            let limited = self.limited.load(Ordering::Relaxed);
            let limited = limited.wrapping_add_signed(more);
            self.limited.store(limited, Ordering::Relaxed);
        }
    }
}

/// When each frame was last polled, by slots.
pub(crate) struct Times(Vec<Stamp>);
