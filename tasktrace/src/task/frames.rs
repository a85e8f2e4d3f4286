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
//! or polled by another task. Slots are [beside](super::beside) the record, and stay where they are for as
//! long as that has references. They are numbered from 1; the task itself counts as number 0. Each use of a
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
//! What a frame has beyond a static description is kept beside the table, under a lock, by key. A
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

mod read;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;
use std::ptr::{self, NonNull};
use std::sync::Arc as StdArc;
use std::task::Waker;

use super::beside::{Beside, LAST_KEPT, Table};
use super::clock::Tick;
use super::name::NameRef;
use super::stamp::Stamp;
use super::turn::{GONE, Turn};
use crate::origin::{self, FrameMeta, Identity};
use crate::sync::{AtomicPtr, AtomicU32, AtomicU64, MutexGuard, Ordering, fence, lock};

pub(crate) use read::{Copied, Peek};

/// Identifies a frame of a task: a slot and a serial number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key(u64);

impl Key {
    /// The task itself, as the parent of its outermost frames.
    pub(crate) const TASK: Self = Self(0);

    fn new(slot: u32, serial: u32) -> Self {
        Self(u64::from(slot) << 32 | u64::from(serial))
    }

    pub(crate) fn to_bits(self) -> u64 {
        self.0
    }

    #[inline]
    fn slot(self) -> u32 {
        (self.0 >> 32) as u32
    }

    #[inline]
    fn serial(self) -> u32 {
        self.0 as u32
    }
}

/// The last bits of a serial number: the frame is there. Those of a slot without one are 0.
const LIVE: u32 = 0b01;
/// [`Gone::Ended`].
const ENDED: u32 = 0b10;
/// [`Gone::Moved`].
const MOVED: u32 = 0b11;
const MARKS: u32 = 0b11;

pub(crate) struct Slot {
    /// Null while there is no frame in it. [`DYNAMIC`] or [`LIMITED`] if there is more to it than this.
    identity: AtomicPtr<FrameMeta>,
    /// See [`Stamp`].
    stamp: AtomicU64,
    /// The key of the parent. While there is no frame in it, the number of the next free slot.
    parent: AtomicU64,
    serial: AtomicU32,
    /// The tick in which it was first suspended, see [`Tick`].
    since: AtomicU32,
}

/// Stands for an [`Identity::Dynamic`] in a slot.
static DYNAMIC: FrameMeta = FrameMeta::new(None, || "", file!(), line!(), column!());
/// The same, of a frame that may not be suspended for as long as it likes.
static LIMITED: FrameMeta = FrameMeta::new(None, || "", file!(), line!(), column!());

#[inline(always)]
fn is_limited(meta: &FrameMeta) -> bool {
    origin::any_limits() && meta.limit() > 0
}

fn is_dynamic(meta: *const FrameMeta) -> bool {
    ptr::eq(meta, &raw const DYNAMIC) || ptr::eq(meta, &raw const LIMITED)
}

/// Why a frame is not to be seen any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gone {
    /// It has ended. What was below it and is still there has left it before.
    Ended,
    /// It is polled by another task now, together with all that is below it.
    Moved,
}

impl Gone {
    /// Of a frame with such a serial number.
    fn of_mark(serial: u32) -> Option<Self> {
        match serial & MARKS {
            ENDED => Some(Self::Ended),
            MOVED => Some(Self::Moved),
            _ => None,
        }
    }
}

/// What there is of the frames of a task.
pub(crate) struct Frames<'a, T> {
    pub(super) turn: &'a Turn,
    pub(super) beside: &'a Beside<T>,
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

/// In the parent field of a slot: the frame has a waker of its own.
const OWN_WAKER: u64 = 1 << 63;

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
        // SAFETY: the caller is the owner.
        unsafe { self.take_off_gone() };
        let table = self.beside.table_or_insert();
        let number = match table.free.load(Ordering::Relaxed) {
            0 => self.unused_slot(table)?,
            number => number,
        };
        let slot = self.beside.slot_in(table, number)?;
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
            key: NonZeroU64::new(key.0)?,
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
        let table = self.beside.table()?;
        let is_next = match table.free.load(Ordering::Relaxed) {
            0 => table.used.load(Ordering::Relaxed) == 0,
            free => free == 1,
        };
        if !is_next || is_limited(meta) || self.turn.has(GONE) {
            return None;
        }
        let sequence = table.sequence.load(Ordering::Relaxed);
        let (slot, key) = (table.slot(), Key::new(1, sequence << 1 | LIVE));
        table.change_from(sequence, || table.fill(slot, key, meta, Key::TASK, stamp));
        Some(Filed {
            key: NonZeroU64::new(key.0)?,
            slot: Some(SlotRef(NonNull::from(slot))),
        })
    }

    /// Keeps what there is to a frame beyond a static description. Returns what stands for it.
    #[cold]
    fn keep_dynamic(self, name: NameRef, key: Key) -> *const FrameMeta {
        let identity = name.get();
        if let Identity::Dynamic(dynamic) = &*identity {
            let dynamic = StdArc::clone(dynamic);
            lock(&self.beside.extras_or_insert().dynamic).insert(key, dynamic);
        }
        match identity.stalled_after() {
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
        let (table, slot) = self.beside.table().zip(self.find(key))?;
        let found = Found::new(key, slot);
        table.change(|| table.take_off(&found));
        match is_dynamic(found.meta) || found.own_waker {
            false => None,
            // SAFETY: the caller is the owner.
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
        let (slot, table) = unsafe { (slot.0.as_ref(), self.beside.table_unchecked()) };
        let found = Found::new(key, slot);
        if !slot.is(key) || !name.is_static(found.meta) || found.own_waker {
            return false;
        }
        // SAFETY: it is the address of a static description.
        if is_limited(unsafe { &*found.meta }) {
            return false;
        }
        table.change(|| table.take_off_plain(&found));
        true
    }

    /// Removes what is kept beside the table of a frame that has been taken off. Returns what is to
    /// be dropped.
    ///
    /// # Safety
    ///
    /// The caller is the owner.
    #[cold]
    #[inline(never)]
    unsafe fn forget(self, key: Key) -> Option<Waker> {
        let extras = self.beside.extras()?;
        let removed = lock(&extras.dynamic).remove(&key);
        drop(removed);
        // SAFETY: the caller is the owner.
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
        let Some((table, slot)) = self.beside.table().zip(self.find(key)) else {
            return false;
        };
        let before = slot.parent.load(Ordering::Relaxed);
        if before & !OWN_WAKER != parent.0 {
            let parent = parent.0 | before & OWN_WAKER;
            table.change(|| slot.parent.store(parent, Ordering::Relaxed));
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
        let (table, slot) = self.beside.table().zip(self.find(key))?;
        let extras = self.beside.extras_or_insert();
        // SAFETY: the caller is the owner, and `will_wake` calls nobody's code.
        let known = extras.wakers.with(|wakers| unsafe {
            let known = (*wakers).get(&key);
            known.is_some_and(|known| known.will_wake(waker))
        });
        if known {
            return None;
        }
        let waker = waker.clone();
        let parent = slot.parent.load(Ordering::Relaxed);
        table.change(|| slot.parent.store(parent | OWN_WAKER, Ordering::Relaxed));
        // SAFETY: the caller is the owner.
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
        let Some(extras) = self.beside.extras() else {
            return Vec::new();
        };
        // SAFETY: the caller is the owner. Cloning a waker is somebody else's code, but no poll of
        // this task, which alone could change the map.
        extras
            .wakers
            .with(|wakers| unsafe { &*wakers }.values().cloned().collect())
    }

    /// Takes off what has ended elsewhere.
    ///
    /// # Safety
    ///
    /// The caller is the owner.
    #[inline]
    pub(crate) unsafe fn take_off_gone(self) {
        if self.turn.has(GONE) {
            // SAFETY: the caller is the owner.
            unsafe { self.take_off_all_gone() };
        }
    }

    /// # Safety
    ///
    /// The caller is the owner.
    #[cold]
    #[inline(never)]
    unsafe fn take_off_all_gone(self) {
        // Before the marks are looked at: whoever makes one after that sets it again.
        self.turn.clear(GONE);
        if let Some(table) = self.beside.table() {
            // SAFETY: the caller is the owner.
            drop(unsafe { self.take_off_marked(table) });
        }
    }

    /// Returns what is to be dropped.
    ///
    /// # Safety
    ///
    /// The caller is the owner.
    unsafe fn take_off_marked(self, table: &Table) -> Vec<Waker> {
        let used = table.used.load(Ordering::Relaxed);
        let slots = || (1..).zip(self.beside.slots(used));
        let mut noted: Vec<(Key, Gone)> = slots()
            .filter_map(|(number, slot)| slot.gone(number))
            .collect();
        // Until they are off the table: a reader that no longer finds a frame on the list does not find it
        // in the table either.
        let mut list = self.list(used);
        noted.extend(list.iter_mut().flat_map(|list| list.drain(..)));
        let parents = slots().map(|(number, slot)| {
            let parent = slot.parent.load(Ordering::Relaxed) & !OWN_WAKER;
            (slot.key(number), Key(parent))
        });
        let gone: Vec<Found<'_>> = all_gone(&noted, parents)
            .into_iter()
            .filter_map(|key| {
                let slot = self.beside.slot(key.slot())?;
                (slot.key(key.slot()) == key).then(|| Found::new(key, slot))
            })
            .collect();
        // In one change: nobody sees what is inside of a frame without that.
        table.change(|| gone.iter().for_each(|found| table.take_off(found)));
        // SAFETY: the caller is the owner.
        let forget = |found: &Found<'_>| unsafe { self.forget(found.key) };
        gone.iter().filter_map(forget).collect()
    }

    /// The list of those in slots that cannot be marked, if there are such slots.
    fn list(self, used: u32) -> Option<MutexGuard<'a, Vec<(Key, Gone)>>> {
        let extras = (used > LAST_KEPT).then(|| self.beside.extras())??;
        Some(lock(&extras.gone))
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
        let table = self.beside.table()?;
        match table.used.load(Ordering::Relaxed) {
            0 => None,
            // SAFETY: the caller is the owner.
            used => unsafe { self.clear_used(table, used) },
        }
    }

    /// # Safety
    ///
    /// The caller is the owner, and so many slots are in use.
    unsafe fn clear_used(self, table: &Table, used: u32) -> Option<BTreeMap<Key, Waker>> {
        table.change(|| {
            for slot in self.beside.slots(used) {
                slot.identity.store(ptr::null_mut(), Ordering::Relaxed);
                slot.serial.store(0, Ordering::Relaxed);
            }
            table.used.store(0, Ordering::Relaxed);
            table.free.store(0, Ordering::Relaxed);
            table.limited.store(0, Ordering::Relaxed);
        });
        let extras = self.beside.extras()?;
        let dynamic = std::mem::take(&mut *lock(&extras.dynamic));
        drop(dynamic);
        // SAFETY: the caller is the owner.
        let wakers = extras
            .wakers
            .with_mut(|wakers| std::mem::take(unsafe { &mut *wakers }));
        Some(wakers)
    }

    #[inline]
    fn find(self, key: Key) -> Option<&'a Slot> {
        let table = self.beside.table()?;
        if key.slot() > table.used.load(Ordering::Relaxed) {
            return None;
        }
        let slot = self.beside.slot(key.slot())?;
        slot.is(key).then_some(slot)
    }

    /// The number of a slot that has not been in use yet, and that there is room for.
    #[inline]
    fn unused_slot(self, table: &Table) -> Option<u32> {
        let number = table.used.load(Ordering::Relaxed) + 1;
        self.beside.make_room(number)?;
        Some(number)
    }

    /// A number that changes when a frame comes or goes.
    ///
    /// The caller is the owner.
    pub(crate) fn version(self) -> u32 {
        let table = self.beside.table();
        table.map_or(0, |table| table.sequence.load(Ordering::Relaxed))
    }

    /// How many slots have been in use.
    #[inline]
    fn used(self) -> u32 {
        let table = self.beside.table();
        table.map_or(0, |table| table.used.load(Ordering::Relaxed))
    }

    /// When the frames were last polled.
    ///
    /// The caller is the owner.
    pub(crate) fn times(self) -> Times {
        let slots = self.beside.slots(self.used());
        let stamp = |slot: &Slot| Stamp::from_bits(slot.stamp.load(Ordering::Relaxed));
        Times(slots.map(stamp).collect())
    }

    /// Puts the frames back to these times, all in all as if the polls since then had not been. No
    /// frame has come or gone in them.
    ///
    /// The caller is the owner.
    pub(crate) fn set_times(self, times: &Times) {
        for (slot, before) in self.beside.slots(self.used()).zip(&times.0) {
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
        let Some(table) = self.beside.table() else {
            return false;
        };
        let limited = table.limited.load(Ordering::Relaxed);
        if limited == 0 {
            return false;
        }
        let used = table.used.load(Ordering::Relaxed).min(GLANCED_AT);
        let mut seen = 0;
        for slot in self.beside.kept_slots(used) {
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

    // The droppers' side.

    /// Notes that a frame is not to be seen any more.
    pub(crate) fn note_gone(self, key: Key, why: Gone) {
        if key.slot() > LAST_KEPT {
            lock(&self.beside.extras_or_insert().gone).push((key, why));
            self.turn.set(GONE);
            return;
        }
        let mark = match why {
            Gone::Ended => ENDED,
            Gone::Moved => MOVED,
        };
        let marked = self.beside.slot(key.slot()).is_some_and(|slot| {
            let marked = slot.serial.compare_exchange(
                key.serial(),
                key.serial() & !MARKS | mark,
                Ordering::AcqRel,
                Ordering::Relaxed,
            );
            marked.is_ok()
        });
        if marked {
            self.turn.set(GONE);
        }
    }

    /// Forgets what was noted about frames that could not be marked.
    pub(crate) fn forget_gone(self) {
        if let Some(extras) = self.beside.extras() {
            lock(&extras.gone).clear();
        }
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

/// Where a frame was filed.
#[derive(Clone, Copy)]
pub(crate) struct Filed {
    /// That of a frame, so not 0: then two registers are enough for an `Option`.
    key: NonZeroU64,
    /// If that stays there for as long as the record does.
    pub(crate) slot: Option<SlotRef>,
}

impl Filed {
    #[inline(always)]
    pub(crate) fn key(self) -> Key {
        Key(self.key.get())
    }
}

/// A slot that stays where it is for as long as the record does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SlotRef(NonNull<Slot>);

impl SlotRef {
    /// Notes that a frame has been polled, if it is here, below this parent, and without a waker of
    /// its own. Whether it is.
    ///
    /// # Safety
    ///
    /// The slot is one of a record that is still there, and the caller is its owner.
    #[inline(always)]
    pub(crate) unsafe fn polled(self, key: Key, parent: Key, stamp: Stamp) -> bool {
        // SAFETY: as asserted by the caller.
        let slot = unsafe { self.0.as_ref() };
        let is_it = slot.is(key) && slot.parent.load(Ordering::Relaxed) == parent.0;
        if is_it {
            slot.stamp.store(stamp.to_bits(), Ordering::Relaxed);
        }
        is_it
    }
}

/// When each frame was last polled, by slots.
pub(crate) struct Times(Vec<Stamp>);

impl Slot {
    /// The key of the frame that is in it, or was.
    #[inline]
    fn key(&self, number: u32) -> Key {
        let serial = self.serial.load(Ordering::Relaxed);
        Key::new(number, serial & !MARKS | LIVE)
    }

    /// What is in it, if that is not to be seen any more.
    fn gone(&self, number: u32) -> Option<(Key, Gone)> {
        let serial = self.serial.load(Ordering::Acquire);
        let why = Gone::of_mark(serial)?;
        Some((Key::new(number, serial & !MARKS | LIVE), why))
    }

    /// Whether this frame is in it. No other has the same serial number.
    #[inline]
    fn is(&self, key: Key) -> bool {
        self.serial.load(Ordering::Relaxed) == key.serial()
    }

    /// For models.
    #[cfg(all(test, tasktrace_loom))]
    pub(super) fn has_frame(&self) -> bool {
        !self.identity.load(Ordering::Relaxed).is_null()
    }

    pub(super) fn free() -> Self {
        Self {
            identity: AtomicPtr::new(ptr::null_mut()),
            stamp: AtomicU64::new(0),
            parent: AtomicU64::new(0),
            serial: AtomicU32::new(0),
            since: AtomicU32::new(0),
        }
    }
}

/// The frames that are noted, and those below one that has moved. `parents` are all frames, each
/// with its parent.
fn all_gone(noted: &[(Key, Gone)], parents: impl Iterator<Item = (Key, Key)>) -> BTreeSet<Key> {
    let mut gone: BTreeSet<Key> = noted.iter().map(|(key, _)| *key).collect();
    let moved = noted.iter().filter(|(_, why)| *why == Gone::Moved);
    let mut moved: Vec<Key> = moved.map(|(key, _)| *key).collect();
    if moved.is_empty() {
        return gone;
    }
    let below: BTreeSet<(Key, Key)> = parents.map(|(key, parent)| (parent, key)).collect();
    while let Some(parent) = moved.pop() {
        let children = below.range((parent, Key(0))..=(parent, Key(u64::MAX)));
        moved.extend(
            children
                .map(|(_, child)| *child)
                .filter(|child| gone.insert(*child)),
        );
    }
    gone
}

#[cfg(test)]
mod tests;

#[cfg(all(test, tasktrace_loom))]
mod model;
