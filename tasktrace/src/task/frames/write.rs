//! The owner's side of the table: frames come and go.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::ptr;
use std::sync::Arc as StdArc;
use std::task::Waker;

use super::Frames;
use crate::origin::{self, FrameMeta, Identity};
use crate::sync::map::{has_room, larger};
use crate::sync::{Inside, Ordering, fence, lock};
use crate::task::extras::{Dynamics, Extras};
use crate::task::foreign;
use crate::task::name::NameRef;
use crate::task::slot::{
    DYNAMIC, Filed, Key, LIMITED, LIVE, OWN_WAKER, Slot, SlotRef, is_dynamic, is_limited,
};
use crate::task::stamp::Stamp;
use crate::task::table::{LAST_KEPT, Table};
use crate::task::turn::GONE;

/// The frames of a task, for their owner: see [`Frames::owner`].
pub(crate) struct Owner<'a, T>(Frames<'a, T>);

impl<T> Clone for Owner<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Owner<'_, T> {}

impl<'a, T> Deref for Owner<'a, T> {
    type Target = Frames<'a, T>;

    #[inline(always)]
    fn deref(&self) -> &Frames<'a, T> {
        &self.0
    }
}

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
            own_waker: slot.parent.load(Ordering::Relaxed) & OWN_WAKER != 0,
        }
    }
}

impl<'a, T> Owner<'a, T> {
    #[inline(always)]
    pub(super) fn new(frames: Frames<'a, T>) -> Self {
        Self(frames)
    }

    /// Adds a frame. `None` if there are too many.
    #[inline]
    pub(crate) fn insert(self, name: NameRef<'_>, parent: Key, stamp: Stamp) -> Option<Filed> {
        self.take_off_gone();
        let table = self.table;
        let number = match table.free.load(Ordering::Relaxed) {
            0 => self.unused_slot()?,
            number => number,
        };
        let slot = self.slot(number)?;
        // The counter is even, and is another after each change.
        let sequence = table.sequence.load(Ordering::Relaxed);
        let key = Key::new(number, sequence << 1 | LIVE);
        let meta = match name.as_static() {
            Some(meta) => meta,
            None => self.keep_dynamic(name, key),
        };
        let sequence = table.begin_change();
        table.fill(slot, key, meta, parent, stamp);
        table.count_limit(meta, 1);
        table.end_change(sequence);
        let stays = number <= LAST_KEPT;
        Some(Filed {
            key,
            // SAFETY: it is in the record or in a chunk that the record keeps, and those are never freed.
            slot: stays.then(|| unsafe { SlotRef::new(slot) }),
        })
    }

    /// Adds an outermost frame of the task, if it is like most: there is no more to it than a static description,
    /// and the first slot is the next that is free.
    ///
    /// It calls nobody, so its caller has no registers to save.
    #[inline(always)]
    pub(crate) fn insert_first(self, meta: &'static FrameMeta, stamp: Stamp) -> Option<Filed> {
        let table = self.table;
        let is_next = match table.free.load(Ordering::Relaxed) {
            0 => table.used.load(Ordering::Relaxed) == 0,
            free => free == 1,
        };
        if !is_next || is_limited(meta) || self.turn.has(GONE) {
            return None;
        }
        let sequence = table.begin_change();
        let (slot, key) = (&table.slots[0], Key::new(1, sequence << 1 | LIVE));
        table.fill(slot, key, meta, Key::TASK, stamp);
        table.end_change(sequence);
        Some(Filed {
            key,
            // SAFETY: it is in the record, which is never freed.
            slot: Some(unsafe { SlotRef::new(slot) }),
        })
    }

    /// Keeps what there is to a frame beyond a static description. Returns what stands for it.
    #[cold]
    fn keep_dynamic(self, name: NameRef<'_>, key: Key) -> &'static FrameMeta {
        let identity = name.get();
        if let Identity::Dynamic(dynamic) = &*identity {
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
        match identity.wait_limit() {
            None => &DYNAMIC,
            Some(_) => &LIMITED,
        }
    }

    /// Takes a frame off, if it is there. Returns what is to be dropped after it.
    pub(crate) fn remove(self, key: Key) -> Option<Waker> {
        let found = Found::new(key, self.find(key)?);
        let sequence = self.table.begin_change();
        self.table.take_off(&found);
        self.table.end_change(sequence);
        match found.meta.is_some_and(is_dynamic) || found.own_waker {
            false => None,
            true => self.forget(key),
        }
    }

    /// Takes a frame off a slot that stays, if there is no more to it than its name, which is a static
    /// description. Whether it has. It calls nobody, as [`insert_first`](Self::insert_first).
    #[inline(always)]
    pub(crate) fn remove_plain(self, slot: SlotRef, key: Key, name: NameRef<'_>) -> bool {
        let found = Found::new(key, slot.slot());
        let is_plain = |meta| name.is_static(meta) && !is_limited(meta);
        let is_it = found.slot.is(key) && found.meta.is_some_and(is_plain) && !found.own_waker;
        if is_it {
            let sequence = self.table.begin_change();
            self.table.take_off_plain(&found);
            self.table.end_change(sequence);
        }
        is_it
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

    /// Notes that a frame has been polled. Whether it is there and below this parent.
    ///
    #[inline]
    pub(crate) fn polled(self, key: Key, parent: Key, stamp: Stamp) -> bool {
        let Some(slot) = self.find(key) else {
            return false;
        };
        slot.stamp.store(stamp.to_bits(), Ordering::Relaxed);
        slot.parent.load(Ordering::Relaxed) & !OWN_WAKER == parent.0
    }

    /// Puts a frame below another parent. Whether it is there.
    pub(crate) fn set_parent(self, key: Key, parent: Key) -> bool {
        let Some(slot) = self.find(key) else {
            return false;
        };
        let before = slot.parent.load(Ordering::Relaxed);
        if before & !OWN_WAKER != parent.0 {
            let parent = parent.0 | before & OWN_WAKER;
            let sequence = self.table.begin_change();
            slot.parent.store(parent, Ordering::Relaxed);
            self.table.end_change(sequence);
        }
        true
    }

    /// Keeps the waker of a frame that is polled with another than its task's. Returns what is to
    /// be dropped.
    pub(crate) fn set_waker(self, key: Key, waker: &Waker) -> Option<Waker> {
        let slot = self.find(key)?;
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
        extras: &Extras<T>,
        change: impl FnOnce(&mut BTreeMap<Key, Waker>) -> R,
    ) -> R {
        // SAFETY: only the owner uses the map, which is who calls, and all its calls are in this module. None of them comes
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
    pub(crate) fn clear(self) -> Option<BTreeMap<Key, Waker>> {
        match self.used() {
            0 => None,
            used => self.clear_used(used),
        }
    }

    /// So many slots have been in use.
    fn clear_used(self, used: u32) -> Option<BTreeMap<Key, Waker>> {
        let table = self.table;
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

    /// The number of a slot that has not been in use yet, and that there is room for.
    #[inline]
    fn unused_slot(self) -> Option<u32> {
        let number = self.used() + 1;
        if self.slot(number).is_none() {
            self.extras.get_or_insert().chunks.make_room(number)?;
        }
        Some(number)
    }

    /// A number that changes when a frame comes or goes.
    pub(crate) fn version(self) -> u32 {
        self.table.sequence.load(Ordering::Relaxed)
    }

    /// When the frames were last polled.
    pub(crate) fn times(self) -> Times {
        let slots = self.slots(self.used());
        let stamp = |slot: &Slot| Stamp::from_bits(slot.stamp.load(Ordering::Relaxed));
        Times(slots.map(stamp).collect())
    }

    /// Puts the frames back to these times, all in all as if the polls since then had not been. No
    /// frame has come or gone in them.
    pub(crate) fn set_times(self, times: &Times) {
        for (slot, before) in self.slots(self.used()).zip(&times.0) {
            let stamp = Stamp::from_bits(slot.stamp.load(Ordering::Relaxed)).at_time_of(*before);
            slot.stamp.store(stamp.to_bits(), Ordering::Relaxed);
        }
    }
}

/// The owner's.
impl Table {
    /// Begins to change which frames there are, so that no reader takes what is half done for a whole. Returns the
    /// counter, for the [end](Self::end_change).
    #[inline(always)]
    pub(super) fn begin_change(&self) -> u32 {
        let sequence = self.sequence.load(Ordering::Relaxed);
        self.sequence
            .store(sequence.wrapping_add(1), Ordering::Relaxed);
        // A reader that sees any of the changes sees that the counter is odd, or has moved on.
        fence(Ordering::Release);
        sequence
    }

    #[inline(always)]
    pub(super) fn end_change(&self, sequence: u32) {
        // A reader that sees the counter even again sees all of the changes.
        self.sequence
            .store(sequence.wrapping_add(2), Ordering::Release);
    }

    /// Puts a frame into a slot, which has never been in use, or is the next that is free.
    ///
    /// The caller is in the middle of a change.
    #[inline(always)]
    fn fill(&self, slot: &Slot, key: Key, meta: &'static FrameMeta, parent: Key, stamp: Stamp) {
        if key.slot() > self.used.load(Ordering::Relaxed) {
            self.used.store(key.slot(), Ordering::Relaxed);
        } else {
            let next = slot.parent.load(Ordering::Relaxed) as u32;
            self.free.store(next, Ordering::Relaxed);
        }
        slot.stamp.store(stamp.to_bits(), Ordering::Relaxed);
        slot.parent.store(parent.0, Ordering::Relaxed);
        slot.serial.store(key.serial(), Ordering::Relaxed);
        slot.since.store(stamp.tick().0, Ordering::Relaxed);
        slot.set_meta(meta);
    }

    /// The caller is in the middle of a change.
    #[inline]
    pub(super) fn take_off(&self, found: &Found<'_>) {
        if let Some(meta) = found.meta {
            self.count_limit(meta, -1);
        }
        self.take_off_plain(found);
    }

    /// The same, if it has no limit.
    #[inline(always)]
    fn take_off_plain(&self, found: &Found<'_>) {
        let Found { key, slot, .. } = found;
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
