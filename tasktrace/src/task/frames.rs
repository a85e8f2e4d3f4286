//! The live frames of a task: a table in its record that one thread writes and any may read.
//!
//! | who | may |
//! |---|---|
//! | **owner**: the poller of the task | everything; it never waits for anybody, and executes no locked instruction unless a frame has a label |
//! | **readers**: any thread that has a reference to the record | copy the table |
//! | **droppers**: who drops a frame of this task elsewhere than in a poll of it | mark its slot |
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
//! A sequence counter is odd while the owner changes which frames there are. A reader copies, and
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
//! suspended for longer than it is allowed to: see [`Frames::may_be_overdue`]. A static description says
//! for how long that is, and is always there to be looked at.
//!
//! # Frames that end elsewhere
//!
//! A frame can be moved out of its task and dropped anywhere, while the task is being polled on
//! another thread. The dropper marks its slot, by changing the serial number in it, if that is still the
//! frame's, and says in the record's [`turn`](super::turn) that it has; the owner takes the frame off the
//! table when it next has a look, and readers leave out what is marked. A dropper that comes too late, when
//! the slot is another frame's, changes nothing. It need not have a reference to the record, so this goes
//! for the slots only that are never freed; a frame in another is put on a list instead.
//!
//! So it is with a frame that another task has begun to poll. What was below it has moved with it,
//! and goes as well, although its own frames may not have been polled over there yet.

mod gone;
mod read;

use std::collections::BTreeMap;
use std::ptr::{self, NonNull};
use std::sync::Arc as StdArc;
use std::task::Waker;

use super::clock::Tick;
use super::extras::{Dynamics, ExtrasCell};
use super::foreign;
use super::name::NameRef;
use super::slot::{
    DYNAMIC, Filed, Key, LIMITED, LIVE, OWN_WAKER, Slot, SlotRef, is_dynamic, is_limited,
};
use super::stamp::Stamp;
use super::table::{self, LAST_KEPT, Table};
use super::turn::{GONE, Turn};
use crate::origin::{self, FrameMeta, Identity};
use crate::sync::map::{has_room, larger};
use crate::sync::{Inside, Ordering, fence, lock};

use gone::all_gone;
pub(crate) use read::{Copied, Peek};

/// What there is of the frames of a task.
pub(crate) struct Frames<'a, T> {
    pub(super) turn: &'a Turn,
    pub(super) table: &'a Table,
    pub(super) extras: &'a ExtrasCell<T>,
}

impl<T> Clone for Frames<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Frames<'_, T> {}

/// A frame that is to be taken off the table.
struct Found<'a> {
    key: Key,
    slot: &'a Slot,
    meta: *const FrameMeta,
    own_waker: bool,
}

impl<'a> Found<'a> {
    #[inline]
    fn new(key: Key, slot: &'a Slot) -> Self {
        Self {
            key,
            slot,
            meta: slot.identity.load(Ordering::Relaxed),
            own_waker: slot.parent.load(Ordering::Relaxed) & OWN_WAKER != 0,
        }
    }
}

/// So many slots are looked at without a reference to the record.
const GLANCED_AT: u32 = 4;

impl<'a, T> Frames<'a, T> {
    // The owner's side.

    /// Adds a frame. `None` if there are too many.
    ///
    /// # Safety
    ///
    /// The caller is the owner.
    #[inline]
    pub(crate) unsafe fn insert(self, name: NameRef, parent: Key, stamp: Stamp) -> Option<Filed> {
        // SAFETY: the caller asserts that it is the owner (`# Safety` above), which is all that this call demands.
        unsafe { self.take_off_gone() };
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
            Some(meta) => ptr::from_ref(meta),
            None => self.keep_dynamic(name, key),
        };
        table.change_from(sequence, || {
            table.fill(slot, key, meta, parent, stamp);
            table.count_limit(meta, 1);
        });
        let stays = number <= LAST_KEPT;
        Some(Filed {
            key,
            slot: stays.then(|| SlotRef(NonNull::from(slot))),
        })
    }

    /// Adds an outermost frame of the task, if it is like most: there is no more to it than a static description,
    /// and the first slot is the next that is free.
    ///
    /// It calls nobody, so its caller has no registers to save.
    ///
    /// # Safety
    ///
    /// The caller is the owner.
    #[inline(always)]
    pub(crate) unsafe fn insert_first(
        self,
        meta: &'static FrameMeta,
        stamp: Stamp,
    ) -> Option<Filed> {
        let table = self.table;
        let is_next = match table.free.load(Ordering::Relaxed) {
            0 => table.used.load(Ordering::Relaxed) == 0,
            free => free == 1,
        };
        if !is_next || is_limited(meta) || self.turn.has(GONE) {
            return None;
        }
        let sequence = table.sequence.load(Ordering::Relaxed);
        let (slot, key) = (&table.slots[0], Key::new(1, sequence << 1 | LIVE));
        table.change_from(sequence, || table.fill(slot, key, meta, Key::TASK, stamp));
        Some(Filed {
            key,
            slot: Some(SlotRef(NonNull::from(slot))),
        })
    }

    /// Keeps what there is to a frame beyond a static description. Returns what stands for it.
    #[cold]
    fn keep_dynamic(self, name: NameRef, key: Key) -> *const FrameMeta {
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
            None => &raw const DYNAMIC,
            Some(_) => &raw const LIMITED,
        }
    }

    /// Takes a frame off, if it is there. Returns what is to be dropped after it.
    ///
    /// # Safety
    ///
    /// The caller is the owner.
    pub(crate) unsafe fn remove(self, key: Key) -> Option<Waker> {
        let found = Found::new(key, self.find(key)?);
        self.table.change(|| self.table.take_off(&found));
        match is_dynamic(found.meta) || found.own_waker {
            false => None,
            // SAFETY: the caller asserts that it is the owner (`# Safety` above), which is all that this call demands.
            true => unsafe { self.forget(key) },
        }
    }

    /// Takes a frame off a slot that stays, if there is no more to it than its name, which is a static
    /// description. Whether it has. It calls nobody, as [`insert_first`](Self::insert_first).
    ///
    /// # Safety
    ///
    /// The caller is the owner, and the slot is one of this record.
    #[inline(always)]
    pub(crate) unsafe fn remove_plain(self, slot: SlotRef, key: Key, name: NameRef) -> bool {
        // SAFETY: as asserted by the caller.
        let slot = unsafe { slot.0.as_ref() };
        let found = Found::new(key, slot);
        if !slot.is(key) || !name.is_static(found.meta) || found.own_waker {
            return false;
        }
        // SAFETY: it is the address of a static description.
        if is_limited(unsafe { &*found.meta }) {
            return false;
        }
        self.table.change(|| self.table.take_off_plain(&found));
        true
    }

    /// Removes what is kept in the extras of a frame that has been taken off. Returns what is to
    /// be dropped.
    ///
    /// # Safety
    ///
    /// The caller is the owner.
    #[cold]
    #[inline(never)]
    unsafe fn forget(self, key: Key) -> Option<Waker> {
        let _inside = Inside::enter();
        let extras = self.extras.get()?;
        let removed = lock(&extras.dynamic).remove(&key);
        drop(removed);
        // SAFETY: the caller asserts that it is the owner (`# Safety` above), which is all that this call demands.
        extras
            .wakers
            .with_mut(|wakers| unsafe { &mut *wakers }.remove(&key))
    }

    /// Whether it is that of a frame which is there, or of the task.
    #[inline]
    pub(crate) fn has(self, key: Key) -> bool {
        key == Key::TASK || self.find(key).is_some()
    }

    /// Notes that a frame has been polled. Whether it is there and below this parent.
    ///
    /// The caller is the owner; if it is not, a time is wrong.
    #[inline]
    pub(crate) fn polled(self, key: Key, parent: Key, stamp: Stamp) -> bool {
        let Some(slot) = self.find(key) else {
            return false;
        };
        slot.stamp.store(stamp.to_bits(), Ordering::Relaxed);
        slot.parent.load(Ordering::Relaxed) & !OWN_WAKER == parent.0
    }

    /// Whether a frame is there still, and below this parent.
    ///
    /// # Safety
    ///
    /// It was filed in this record.
    #[inline]
    pub(crate) unsafe fn is_below(self, filed: Filed, parent: Key) -> bool {
        let slot = match filed.slot {
            // SAFETY: as asserted by the caller, it is one of the record, and stays.
            Some(slot) => Some(unsafe { slot.0.as_ref() }).filter(|slot| slot.is(filed.key())),
            None => self.find(filed.key()),
        };
        slot.is_some_and(|slot| slot.parent.load(Ordering::Relaxed) & !OWN_WAKER == parent.0)
    }

    /// Puts a frame below another parent. Whether it is there.
    ///
    /// # Safety
    ///
    /// The caller is the owner.
    pub(crate) unsafe fn set_parent(self, key: Key, parent: Key) -> bool {
        let Some(slot) = self.find(key) else {
            return false;
        };
        let before = slot.parent.load(Ordering::Relaxed);
        if before & !OWN_WAKER != parent.0 {
            let parent = parent.0 | before & OWN_WAKER;
            self.table
                .change(|| slot.parent.store(parent, Ordering::Relaxed));
        }
        true
    }

    /// Keeps the waker of a frame that is polled with another than its task's. Returns what is to
    /// be dropped.
    ///
    /// # Safety
    ///
    /// The caller is the owner.
    pub(crate) unsafe fn set_waker(self, key: Key, waker: &Waker) -> Option<Waker> {
        let slot = self.find(key)?;
        let extras = self.extras.get_or_insert();
        // SAFETY: the caller is the owner, and `will_wake` calls nobody's code.
        let known = extras.wakers.with(|wakers| unsafe {
            let known = (*wakers).get(&key);
            known.is_some_and(|known| known.will_wake(waker))
        });
        if known {
            return None;
        }
        let waker = foreign::clone(waker)?;
        let parent = slot.parent.load(Ordering::Relaxed);
        self.table
            .change(|| slot.parent.store(parent | OWN_WAKER, Ordering::Relaxed));
        let _inside = Inside::enter();
        // SAFETY: only the owner may change the map (`# Safety` of this function), and the caller is the owner. `_inside`
        // keeps a traced allocator that the insertion calls from coming here again, so there is no other reference.
        extras
            .wakers
            .with_mut(|wakers| unsafe { &mut *wakers }.insert(key, waker))
    }

    /// The wakers of all frames that are polled with another than their task's.
    ///
    /// # Safety
    ///
    /// The caller is the owner.
    pub(crate) unsafe fn wakers(self) -> Vec<Waker> {
        let Some(extras) = self.extras.get() else {
            return Vec::new();
        };
        extras.wakers.with(|wakers| {
            // SAFETY: only the owner changes the map, and only in a poll of this task. The caller is the owner (`# Safety`
            // above), and a waker's `clone` runs foreign code but does not poll this task, so the map does not change
            // while this reference exists.
            unsafe { &*wakers }
                .values()
                .filter_map(foreign::clone)
                .collect()
        })
    }

    /// Whether there have been any, in this task.
    #[inline]
    pub(crate) fn any_used(self) -> bool {
        self.used() != 0
    }

    /// Takes all frames off. Returns what is to be dropped.
    ///
    /// # Safety
    ///
    /// The caller is the owner.
    #[inline]
    pub(crate) unsafe fn clear(self) -> Option<BTreeMap<Key, Waker>> {
        match self.used() {
            0 => None,
            // SAFETY: the caller asserts that it is the owner (`# Safety` above), which is all that this call demands.
            used => unsafe { self.clear_used(used) },
        }
    }

    /// # Safety
    ///
    /// The caller is the owner, and so many slots are in use.
    unsafe fn clear_used(self, used: u32) -> Option<BTreeMap<Key, Waker>> {
        let table = self.table;
        table.change(|| {
            for slot in self.slots(used) {
                slot.identity.store(ptr::null_mut(), Ordering::Relaxed);
                slot.serial.store(0, Ordering::Relaxed);
            }
            table.used.store(0, Ordering::Relaxed);
            table.free.store(0, Ordering::Relaxed);
            table.limited.store(0, Ordering::Relaxed);
        });
        let extras = self.extras.get()?;
        let dynamic = std::mem::take(&mut *lock(&extras.dynamic));
        drop(dynamic);
        // SAFETY: the caller asserts that it is the owner (`# Safety` above), which is all that this call demands.
        let wakers = extras
            .wakers
            .with_mut(|wakers| std::mem::take(unsafe { &mut *wakers }));
        Some(wakers)
    }

    #[inline]
    fn find(self, key: Key) -> Option<&'a Slot> {
        if key.slot() > self.used() {
            return None;
        }
        self.slot(key.slot()).filter(|slot| slot.is(key))
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

    /// The slot of this number, if there is one.
    #[inline]
    fn slot(self, number: u32) -> Option<&'a Slot> {
        let inline = self.table.slot(number);
        inline.or_else(|| self.extras.get()?.chunks.slot(number))
    }

    /// So many slots, in the order of their numbers.
    fn slots(self, used: u32) -> impl Iterator<Item = &'a Slot> {
        self.slots_in(used, table::CHUNKS)
    }

    /// The same as far as they are never freed: who has no reference to the record may look at these.
    #[inline]
    fn kept_slots(self, used: u32) -> impl Iterator<Item = &'a Slot> {
        self.slots_in(used, table::KEPT)
    }

    #[inline]
    fn slots_in(self, used: u32, chunks: usize) -> impl Iterator<Item = &'a Slot> {
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
    pub(super) fn make_room_in_model(self) -> u32 {
        let chunks = &self.extras.get_or_insert().chunks;
        chunks.make_room(LAST_KEPT).expect("there are not many");
        LAST_KEPT
    }

    /// Whether there are slots up to this number, and no frames in them.
    #[cfg(all(test, tasktrace_loom))]
    pub(super) fn has_free_slots_in_model(self, last: u32) -> bool {
        let slots: Vec<_> = self.kept_slots(last).collect();
        assert!(slots.iter().all(|slot| !slot.has_frame()));
        slots.len() == last as usize
    }

    /// A number that changes when a frame comes or goes.
    ///
    /// The caller is the owner.
    pub(crate) fn version(self) -> u32 {
        self.table.sequence.load(Ordering::Relaxed)
    }

    /// How many slots have been in use.
    #[inline]
    fn used(self) -> u32 {
        self.table.used.load(Ordering::Relaxed)
    }

    /// When the frames were last polled.
    ///
    /// The caller is the owner.
    pub(crate) fn times(self) -> Times {
        let slots = self.slots(self.used());
        let stamp = |slot: &Slot| Stamp::from_bits(slot.stamp.load(Ordering::Relaxed));
        Times(slots.map(stamp).collect())
    }

    /// Puts the frames back to these times, all in all as if the polls since then had not been. No
    /// frame has come or gone in them.
    ///
    /// The caller is the owner.
    pub(crate) fn set_times(self, times: &Times) {
        for (slot, before) in self.slots(self.used()).zip(&times.0) {
            let stamp = Stamp::from_bits(slot.stamp.load(Ordering::Relaxed)).at_time_of(*before);
            slot.stamp.store(stamp.to_bits(), Ordering::Relaxed);
        }
    }

    // Who has no reference.

    /// Whether one of the frames has a limit and may have come to it, as far as can be said at a
    /// glance. The caller need not have a reference to the record: only the first slots are looked
    /// at, which stay where they are for as long as the record does. If there are limits elsewhere,
    /// they may have been come to.
    pub(crate) fn may_be_overdue(self, now: Tick) -> bool {
        let limited = self.table.limited.load(Ordering::Relaxed);
        if limited == 0 {
            return false;
        }
        let used = self.used().min(GLANCED_AT);
        let mut seen = 0;
        for slot in self.kept_slots(used) {
            // SAFETY: null, or static.
            let meta = unsafe { slot.identity.load(Ordering::Relaxed).as_ref() };
            // Of what is not static it is not known here.
            let limit = meta.map_or(0, FrameMeta::limit);
            if limit == 0 {
                continue;
            }
            seen += 1;
            let polled = Stamp::from_bits(slot.stamp.load(Ordering::Relaxed)).tick();
            if now.0.saturating_sub(polled.0) >= limit {
                return true;
            }
        }
        seen < limited
    }
}

/// The owner's.
impl Table {
    /// Changes which frames there are, so that no reader takes what is half done for a whole.
    #[inline(always)]
    fn change(&self, change: impl FnOnce()) {
        self.change_from(self.sequence.load(Ordering::Relaxed), change);
    }

    /// The same for who knows what the counter is.
    #[inline(always)]
    fn change_from(&self, sequence: u32, change: impl FnOnce()) {
        self.sequence
            .store(sequence.wrapping_add(1), Ordering::Relaxed);
        // A reader that sees any of the changes sees that the counter is odd, or has moved on.
        fence(Ordering::Release);
        change();
        // A reader that sees the counter even again sees all of the changes.
        self.sequence
            .store(sequence.wrapping_add(2), Ordering::Release);
    }

    /// Puts a frame into a slot, which has never been in use, or is the next that is free.
    ///
    /// The caller is in the middle of a change.
    #[inline(always)]
    fn fill(&self, slot: &Slot, key: Key, meta: *const FrameMeta, parent: Key, stamp: Stamp) {
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
        slot.identity.store(meta.cast_mut(), Ordering::Relaxed);
    }

    /// The caller is in the middle of a change.
    #[inline]
    fn take_off(&self, found: &Found<'_>) {
        self.count_limit(found.meta, -1);
        self.take_off_plain(found);
    }

    /// The same, if it has no limit.
    #[inline(always)]
    fn take_off_plain(&self, found: &Found<'_>) {
        let Found { key, slot, .. } = found;
        slot.identity.store(ptr::null_mut(), Ordering::Relaxed);
        slot.serial.store(0, Ordering::Relaxed);
        let next = self.free.load(Ordering::Relaxed);
        slot.parent.store(u64::from(next), Ordering::Relaxed);
        self.free.store(key.slot(), Ordering::Relaxed);
    }

    #[inline]
    fn count_limit(&self, meta: *const FrameMeta, more: i32) {
        if origin::any_limits() {
            self.count_known_limit(meta, more);
        }
    }

    #[cold]
    fn count_known_limit(&self, meta: *const FrameMeta, more: i32) {
        // SAFETY: null, or static.
        let limit = unsafe { meta.as_ref() }.map_or(0, FrameMeta::limit);
        if limit > 0 || ptr::eq(meta, &raw const LIMITED) {
            let limited = self.limited.load(Ordering::Relaxed);
            let limited = limited.wrapping_add_signed(more);
            self.limited.store(limited, Ordering::Relaxed);
        }
    }
}

/// When each frame was last polled, by slots.
pub(crate) struct Times(Vec<Stamp>);

#[cfg(test)]
mod tests;

#[cfg(all(test, tasktrace_loom))]
mod model;
