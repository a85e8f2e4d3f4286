//! The live frames of a task: a table in its record that one thread writes and any may read.
//!
//! | who | may |
//! |---|---|
//! | **owner**: the poller of the task | everything; it never waits for anybody, and executes no locked instruction unless a frame has a label |
//! | **readers**: any thread that has a reference to the record | copy the table |
//! | **droppers**: who drops a frame of this task elsewhere than in a poll of it | leave a note that the frame is gone |
//!
//! # The table
//!
//! A frame has a *slot* from the poll in which it is first suspended until it is finished, dropped,
//! or polled by another task. Slots stay where they are for as long as the record has references.
//! They are numbered from 1; the task itself counts as number 0. Each use of a slot has a *serial*
//! number that no other use of a slot of this record has, so a [`Key`], which is both, never
//! identifies another frame than the one it was made for: not when its slot is used again, and not
//! when the record is used for another task. (After four billions of frames in one record the numbers
//! begin again. Should a frame from before still be there, a tree would be wrong, and nothing else.)
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
//! A slot also has for how long its frame may be suspended, for those who look at all tasks without
//! a reference to any: see [`Frames::may_be_overdue`].
//!
//! # Frames that end elsewhere
//!
//! A frame can be moved out of its task and dropped anywhere, while the task is being polled on
//! another thread. The dropper notes its key; the owner takes it off the table when it next has a
//! look, and readers leave out what is noted. A note that comes too late, when the record belongs
//! to another task, matches nothing.
//!
//! So it is with a frame that another task has begun to poll. What was below it has moved with it,
//! and goes as well, although its own frames may not have been polled over there yet.

mod read;

use std::collections::{BTreeMap, BTreeSet};
use std::ptr::{self, NonNull};
use std::sync::Arc as StdArc;
use std::task::Waker;

use super::clock::{self, Tick};
use super::stamp::Stamp;
use crate::origin::{self, Dynamic, FrameMeta, Identity};
use crate::sync::{
    AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Mutex, Ordering, UnsafeCell, fence, lock,
};

pub(crate) use read::{Copied, PEEKED, Peek};

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

pub(crate) struct Slot {
    /// Null while there is no frame in it. [`DYNAMIC`] if there is more to it than this.
    identity: AtomicPtr<FrameMeta>,
    /// See [`Stamp`].
    stamp: AtomicU64,
    /// The key of the parent. While there is no frame in it, the number of the next free slot.
    parent: AtomicU64,
    serial: AtomicU32,
    /// The tick in which it was first suspended, see [`Tick`].
    since: AtomicU32,
    /// For how many ticks it may be suspended. 0 if for ever.
    limit: AtomicU32,
}

/// Stands for an [`Identity::Dynamic`] in a slot.
static DYNAMIC: FrameMeta = FrameMeta::new(None, || "", file!(), line!(), column!());

/// The first chunk has so many slots, each other twice as many as the one before.
const FIRST_CHUNK: u32 = 4;
/// More frames than there are slots in so many chunks stay invisible.
const CHUNKS: usize = 22;
/// So many chunks stay for as long as the record does.
const KEPT: usize = 3;
/// The last slot in them.
const LAST_KEPT: u32 = (FIRST_CHUNK << KEPT) - FIRST_CHUNK;

type Chunk = AtomicPtr<Slot>;

pub(crate) struct Frames {
    sequence: AtomicU32,
    /// How many slots have been in use.
    used: AtomicU32,
    /// The owner's: a slot that is not in use any more, and leads to the others.
    free: AtomicU32,
    /// The owner's: the last serial number. Never reset.
    serial: AtomicU32,
    /// How many of the frames have a limit.
    limited: AtomicU32,
    first: Chunk,
    others: AtomicPtr<[Chunk; CHUNKS - 1]>,
    dynamic: Mutex<BTreeMap<Key, StdArc<Dynamic>>>,
    /// The owner's: the wakers of frames that are polled with another than their task's.
    wakers: UnsafeCell<BTreeMap<Key, Waker>>,
    /// Frames that ended elsewhere, or went on there.
    gone: Mutex<Vec<(Key, Gone)>>,
    /// Whether there are any on the list. Set with the list locked.
    any_gone: AtomicBool,
}

// SAFETY: `wakers` is accessed by the owner only, of whom there is one at a time: the methods that
// do are `unsafe` and demand it. Everything else is synchronised.
unsafe impl Sync for Frames {}
// SAFETY: the slots that the pointers lead to are owned.
unsafe impl Send for Frames {}

/// Why a frame is not to be seen any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gone {
    /// It has ended. What was below it and is still there has left it before.
    Ended,
    /// It is polled by another task now, together with all that is below it.
    Moved,
}

/// A frame that is to be taken off the table.
struct Found<'a> {
    key: Key,
    slot: &'a Slot,
    is_dynamic: bool,
    own_waker: bool,
}

/// In the parent field of a slot: the frame has a waker of its own.
const OWN_WAKER: u64 = 1 << 63;

impl Frames {
    pub(crate) fn new() -> Self {
        Self {
            sequence: AtomicU32::new(0),
            used: AtomicU32::new(0),
            free: AtomicU32::new(0),
            serial: AtomicU32::new(0),
            limited: AtomicU32::new(0),
            first: AtomicPtr::new(ptr::null_mut()),
            others: AtomicPtr::new(ptr::null_mut()),
            dynamic: Mutex::new(BTreeMap::new()),
            wakers: UnsafeCell::new(BTreeMap::new()),
            gone: Mutex::new(Vec::new()),
            any_gone: AtomicBool::new(false),
        }
    }

    // The owner's side.

    /// Adds a frame. `None` if there are too many.
    ///
    /// # Safety
    ///
    /// The caller is the owner.
    pub(crate) unsafe fn insert(
        &self,
        identity: &Identity,
        parent: Key,
        stamp: Stamp,
    ) -> Option<Filed> {
        // SAFETY: the caller is the owner.
        unsafe { self.take_off_gone() };
        // 0 is that of a slot which is not in use.
        let serial = self.serial.load(Ordering::Relaxed).wrapping_add(1).max(1);
        self.serial.store(serial, Ordering::Relaxed);
        let number = match self.free.load(Ordering::Relaxed) {
            0 => self.unused_slot()?,
            number => number,
        };
        let slot = self.slot(number)?;
        let key = Key::new(number, serial);
        let meta = match identity {
            Identity::Static(meta) => ptr::from_ref(*meta),
            Identity::Dynamic(dynamic) => {
                lock(&self.dynamic).insert(key, StdArc::clone(dynamic));
                &raw const DYNAMIC
            }
        };
        let limit = limit_of(identity);
        self.change(|| {
            if number > self.used.load(Ordering::Relaxed) {
                self.used.store(number, Ordering::Relaxed);
            } else {
                let next = slot.parent.load(Ordering::Relaxed) as u32;
                self.free.store(next, Ordering::Relaxed);
            }
            slot.stamp.store(stamp.to_bits(), Ordering::Relaxed);
            slot.parent.store(parent.0, Ordering::Relaxed);
            slot.serial.store(serial, Ordering::Relaxed);
            slot.since.store(stamp.tick().0, Ordering::Relaxed);
            slot.limit.store(limit, Ordering::Relaxed);
            self.count_limit(limit, 1);
            slot.identity.store(meta.cast_mut(), Ordering::Relaxed);
        });
        let stays = number <= LAST_KEPT;
        Some(Filed {
            key,
            slot: stays.then(|| SlotRef(NonNull::from(slot))),
        })
    }

    /// Takes a frame off, if it is there. Returns what is to be dropped after it.
    ///
    /// # Safety
    ///
    /// The caller is the owner.
    pub(crate) unsafe fn remove(&self, key: Key) -> Option<Waker> {
        let found = self.found(key)?;
        self.change(|| self.take_off(&found));
        // SAFETY: the caller is the owner.
        unsafe { self.forget(&found) }
    }

    fn found(&self, key: Key) -> Option<Found<'_>> {
        let slot = self.find(key)?;
        Some(Found {
            key,
            slot,
            is_dynamic: ptr::eq(slot.identity.load(Ordering::Relaxed), &raw const DYNAMIC),
            own_waker: slot.parent.load(Ordering::Relaxed) & OWN_WAKER != 0,
        })
    }

    /// The caller is the owner, and in the middle of a change.
    fn take_off(&self, found: &Found<'_>) {
        let Found { key, slot, .. } = found;
        slot.identity.store(ptr::null_mut(), Ordering::Relaxed);
        slot.serial.store(0, Ordering::Relaxed);
        self.count_limit(slot.limit.load(Ordering::Relaxed), -1);
        let next = self.free.load(Ordering::Relaxed);
        slot.parent.store(u64::from(next), Ordering::Relaxed);
        self.free.store(key.slot(), Ordering::Relaxed);
    }

    /// The caller is the owner.
    #[inline]
    fn count_limit(&self, limit: u32, more: i32) {
        if limit > 0 {
            let limited = self.limited.load(Ordering::Relaxed);
            let limited = limited.wrapping_add_signed(more);
            self.limited.store(limited, Ordering::Relaxed);
        }
    }

    /// Removes what is kept beside the table of a frame that has been taken off. Returns what is to
    /// be dropped.
    ///
    /// # Safety
    ///
    /// The caller is the owner.
    #[inline]
    unsafe fn forget(&self, found: &Found<'_>) -> Option<Waker> {
        match found.is_dynamic || found.own_waker {
            false => None,
            // SAFETY: the caller is the owner.
            true => unsafe { self.forget_more(found) },
        }
    }

    /// # Safety
    ///
    /// The caller is the owner.
    #[cold]
    unsafe fn forget_more(&self, found: &Found<'_>) -> Option<Waker> {
        if found.is_dynamic {
            let removed = lock(&self.dynamic).remove(&found.key);
            drop(removed);
        }
        if !found.own_waker {
            return None;
        }
        // SAFETY: the caller is the owner.
        self.wakers
            .with_mut(|wakers| unsafe { &mut *wakers }.remove(&found.key))
    }

    /// Whether it is that of a frame which is there, or of the task.
    #[inline]
    pub(crate) fn has(&self, key: Key) -> bool {
        key == Key::TASK || self.find(key).is_some()
    }

    /// Notes that a frame has been polled. Whether it is there and below this parent.
    ///
    /// The caller is the owner; if it is not, a time is wrong.
    #[inline]
    pub(crate) fn polled(&self, key: Key, parent: Key, stamp: Stamp) -> bool {
        let Some(slot) = self.find(key) else {
            return false;
        };
        slot.stamp.store(stamp.to_bits(), Ordering::Relaxed);
        slot.parent.load(Ordering::Relaxed) & !OWN_WAKER == parent.0
    }

    /// Whether a frame is there, and below this parent.
    pub(crate) fn is_below(&self, key: Key, parent: Key) -> bool {
        let slot = self.find(key);
        slot.is_some_and(|slot| slot.parent.load(Ordering::Relaxed) & !OWN_WAKER == parent.0)
    }

    /// Puts a frame below another parent. Whether it is there.
    ///
    /// # Safety
    ///
    /// The caller is the owner.
    pub(crate) unsafe fn set_parent(&self, key: Key, parent: Key) -> bool {
        let Some(slot) = self.find(key) else {
            return false;
        };
        let before = slot.parent.load(Ordering::Relaxed);
        if before & !OWN_WAKER != parent.0 {
            let parent = parent.0 | before & OWN_WAKER;
            self.change(|| slot.parent.store(parent, Ordering::Relaxed));
        }
        true
    }

    /// Keeps the waker of a frame that is polled with another than its task's. Returns what is to
    /// be dropped.
    ///
    /// # Safety
    ///
    /// The caller is the owner.
    pub(crate) unsafe fn set_waker(&self, key: Key, waker: &Waker) -> Option<Waker> {
        let slot = self.find(key)?;
        // SAFETY: the caller is the owner, and `will_wake` calls nobody's code.
        let known = self.wakers.with(|wakers| unsafe {
            let known = (*wakers).get(&key);
            known.is_some_and(|known| known.will_wake(waker))
        });
        if known {
            return None;
        }
        let waker = waker.clone();
        let parent = slot.parent.load(Ordering::Relaxed);
        self.change(|| slot.parent.store(parent | OWN_WAKER, Ordering::Relaxed));
        // SAFETY: the caller is the owner.
        self.wakers
            .with_mut(|wakers| unsafe { &mut *wakers }.insert(key, waker))
    }

    /// The wakers of all frames that are polled with another than their task's.
    ///
    /// # Safety
    ///
    /// The caller is the owner.
    pub(crate) unsafe fn wakers(&self) -> Vec<Waker> {
        // SAFETY: the caller is the owner. Cloning a waker is somebody else's code, but no poll of
        // this task, which alone could change the map.
        self.wakers
            .with(|wakers| unsafe { &*wakers }.values().cloned().collect())
    }

    /// Takes off what has ended elsewhere.
    ///
    /// # Safety
    ///
    /// The caller is the owner.
    #[inline]
    pub(crate) unsafe fn take_off_gone(&self) {
        if self.any_gone.load(Ordering::Relaxed) {
            // SAFETY: the caller is the owner.
            unsafe { self.take_off_all_gone() };
        }
    }

    /// # Safety
    ///
    /// The caller is the owner.
    #[cold]
    unsafe fn take_off_all_gone(&self) {
        let mut gone = lock(&self.gone);
        let noted = std::mem::take(&mut *gone);
        let used = 1..=self.used.load(Ordering::Relaxed);
        let in_use = used.filter_map(|number| Some((number, self.slot(number)?)));
        let parents = in_use.map(|(number, slot)| {
            let parent = slot.parent.load(Ordering::Relaxed) & !OWN_WAKER;
            (
                Key::new(number, slot.serial.load(Ordering::Relaxed)),
                Key(parent),
            )
        });
        let gone_now: Vec<Found<'_>> = all_gone(&noted, parents)
            .into_iter()
            .filter_map(|key| self.found(key))
            .collect();
        // In one change: nobody sees what is inside of a frame without that.
        self.change(|| gone_now.iter().for_each(|found| self.take_off(found)));
        // SAFETY: the caller is the owner.
        let forget = |found| unsafe { self.forget(found) };
        let wakers: Vec<Waker> = gone_now.iter().filter_map(forget).collect();
        // With the list locked, and Release: a reader that no longer finds a frame on it does not
        // find it in the table either, and neither does one that finds that there is no list.
        self.any_gone.store(false, Ordering::Release);
        drop(gone);
        drop((noted, wakers));
    }

    /// Takes all frames off. Returns what is to be dropped.
    ///
    /// # Safety
    ///
    /// The caller is the owner.
    #[inline]
    pub(crate) unsafe fn clear(&self) -> Option<BTreeMap<Key, Waker>> {
        match self.used.load(Ordering::Relaxed) {
            0 => None,
            // SAFETY: the caller is the owner.
            used => Some(unsafe { self.clear_used(used) }),
        }
    }

    /// # Safety
    ///
    /// The caller is the owner, and so many slots are in use.
    unsafe fn clear_used(&self, used: u32) -> BTreeMap<Key, Waker> {
        self.change(|| {
            for slot in (1..=used).filter_map(|number| self.slot(number)) {
                slot.identity.store(ptr::null_mut(), Ordering::Relaxed);
                slot.serial.store(0, Ordering::Relaxed);
            }
            self.used.store(0, Ordering::Relaxed);
            self.free.store(0, Ordering::Relaxed);
            self.limited.store(0, Ordering::Relaxed);
        });
        let dynamic = std::mem::take(&mut *lock(&self.dynamic));
        drop(dynamic);
        // SAFETY: the caller is the owner.
        self.wakers
            .with_mut(|wakers| std::mem::take(unsafe { &mut *wakers }))
    }

    /// Gives back memory that the next task is unlikely to need. The first chunks stay, because they
    /// are [looked at](Self::may_be_overdue) without a reference, and [remembered](SlotRef).
    ///
    /// # Safety
    ///
    /// Nobody else has a reference to the record, and it is empty.
    #[inline]
    pub(crate) unsafe fn shrink(&self) {
        if !self.others.load(Ordering::Relaxed).is_null() {
            // SAFETY: as asserted by the caller.
            unsafe { self.free_chunks(KEPT) };
        }
    }

    /// Frees all chunks from this one on, which is not the first.
    ///
    /// # Safety
    ///
    /// Nobody else uses them.
    #[cold]
    unsafe fn free_chunks(&self, from: usize) {
        // SAFETY: it is null, or from a box that is freed when nobody has a reference to the record.
        let Some(others) = (unsafe { self.others.load(Ordering::Relaxed).as_ref() }) else {
            return;
        };
        for (chunk, length) in others.iter().zip(chunk_lengths().skip(1)).skip(from - 1) {
            // SAFETY: as asserted by the caller.
            unsafe { free_chunk(chunk, length) };
            chunk.store(ptr::null_mut(), Ordering::Relaxed);
        }
    }

    /// Changes which frames there are, so that no reader takes what is half done for a whole.
    #[inline]
    fn change(&self, change: impl FnOnce()) {
        let sequence = self.sequence.load(Ordering::Relaxed);
        self.sequence
            .store(sequence.wrapping_add(1), Ordering::Relaxed);
        // A reader that sees any of the changes sees that the counter is odd, or has moved on.
        fence(Ordering::Release);
        change();
        // A reader that sees the counter even again sees all of the changes.
        self.sequence
            .store(sequence.wrapping_add(2), Ordering::Release);
    }

    #[inline]
    fn find(&self, key: Key) -> Option<&Slot> {
        if key.slot() > self.used.load(Ordering::Relaxed) {
            return None;
        }
        let slot = self.slot(key.slot())?;
        slot.is(key).then_some(slot)
    }

    /// The number of a slot that has not been in use yet, and that there is room for.
    fn unused_slot(&self) -> Option<u32> {
        let number = self.used.load(Ordering::Relaxed) + 1;
        let (chunk, _) = place(number)?;
        let chunk = match chunk {
            0 => &self.first,
            _ => &self.others_or_insert()[chunk - 1],
        };
        if chunk.load(Ordering::Relaxed).is_null() {
            let length = chunk_lengths().nth(place(number)?.0)?;
            let slots: Box<[Slot]> = (0..length).map(|_| Slot::free()).collect();
            let first = Box::into_raw(slots).cast::<Slot>();
            // Release: whoever sees the pointer sees slots.
            chunk.store(first, Ordering::Release);
        }
        Some(number)
    }

    fn others_or_insert(&self) -> &[Chunk; CHUNKS - 1] {
        let mut others = self.others.load(Ordering::Relaxed);
        if others.is_null() {
            let new = std::array::from_fn(|_| AtomicPtr::new(ptr::null_mut()));
            others = Box::into_raw(Box::new(new));
            self.others.store(others, Ordering::Release);
        }
        // SAFETY: it is from a box that is freed when nobody has a reference to the record.
        unsafe { &*others }
    }

    #[inline]
    fn slot(&self, number: u32) -> Option<&Slot> {
        let (chunk, index) = place(number)?;
        let first = if chunk == 0 {
            self.first.load(Ordering::Acquire)
        } else {
            // SAFETY: it is null, or from a box that is freed when nobody has a reference to the
            // record. Acquire: the pointers in it were written before it was.
            let others = unsafe { self.others.load(Ordering::Acquire).as_ref() }?;
            others.get(chunk - 1)?.load(Ordering::Acquire)
        };
        if first.is_null() {
            return None;
        }
        // SAFETY: the chunk has a slot of that index (`place`), and is freed together with the
        // above.
        Some(unsafe { &*first.add(index) })
    }

    /// A number that changes when a frame comes or goes.
    ///
    /// The caller is the owner.
    pub(crate) fn version(&self) -> u32 {
        self.sequence.load(Ordering::Relaxed)
    }

    /// When the frames were last polled.
    ///
    /// The caller is the owner.
    pub(crate) fn times(&self) -> Times {
        let used = 1..=self.used.load(Ordering::Relaxed);
        let stamp = |number| {
            let slot = self.slot(number);
            slot.map_or(0, |slot| slot.stamp.load(Ordering::Relaxed))
        };
        Times(used.map(stamp).map(Stamp::from_bits).collect())
    }

    /// Puts the frames back to these times, all in all as if the polls since then had not been. No
    /// frame has come or gone in them.
    ///
    /// The caller is the owner.
    pub(crate) fn set_times(&self, times: &Times) {
        for (number, before) in (1..).zip(&times.0) {
            if let Some(slot) = self.slot(number) {
                let stamp =
                    Stamp::from_bits(slot.stamp.load(Ordering::Relaxed)).at_time_of(*before);
                slot.stamp.store(stamp.to_bits(), Ordering::Relaxed);
            }
        }
    }

    // Who has no reference.

    /// Whether one of the frames has a limit and may have come to it, as far as can be said at a
    /// glance. The caller need not have a reference to the record: only the first chunk is looked
    /// at, which stays where it is for as long as the record does. If there are limits elsewhere,
    /// they may have been come to.
    pub(crate) fn may_be_overdue(&self, now: Tick) -> bool {
        let limited = self.limited.load(Ordering::Relaxed);
        if limited == 0 {
            return false;
        }
        let used = 1..=self.used.load(Ordering::Relaxed).min(FIRST_CHUNK);
        let mut seen = 0;
        for slot in used.filter_map(|number| self.slot(number)) {
            let limit = slot.limit.load(Ordering::Relaxed);
            if limit == 0 || slot.identity.load(Ordering::Relaxed).is_null() {
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
    pub(crate) fn note_gone(&self, key: Key, why: Gone) {
        let mut gone = lock(&self.gone);
        gone.push((key, why));
        self.any_gone.store(true, Ordering::Relaxed);
    }

    /// Forgets what was noted about frames that are gone.
    pub(crate) fn forget_gone(&self) {
        if self.any_gone.load(Ordering::Relaxed) {
            let mut gone = lock(&self.gone);
            self.any_gone.store(false, Ordering::Relaxed);
            let gone = std::mem::take(&mut *gone);
            drop(gone);
        }
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        // SAFETY: there is no other reference. Records are never dropped, but those of models are.
        unsafe {
            self.free_chunks(1);
            free_chunk(&self.first, FIRST_CHUNK);
            let others = self.others.load(Ordering::Relaxed);
            if !others.is_null() {
                drop(Box::from_raw(others));
            }
        }
    }
}

/// Where a frame was filed.
pub(crate) struct Filed {
    pub(crate) key: Key,
    /// If that stays there for as long as the record does.
    pub(crate) slot: Option<SlotRef>,
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
    /// Whether this frame is in it. No other has the same serial number.
    #[inline]
    fn is(&self, key: Key) -> bool {
        self.serial.load(Ordering::Relaxed) == key.serial()
    }

    fn free() -> Self {
        Self {
            identity: AtomicPtr::new(ptr::null_mut()),
            stamp: AtomicU64::new(0),
            parent: AtomicU64::new(0),
            serial: AtomicU32::new(0),
            since: AtomicU32::new(0),
            limit: AtomicU32::new(0),
        }
    }
}

/// For how many ticks a frame may be suspended, 0 if for ever. One that is also a task has its limit
/// there.
fn limit_of(identity: &Identity) -> u32 {
    if !origin::any_limits() {
        return 0;
    }
    let limit = identity.stalled_after();
    limit.map_or(0, clock::steps_in)
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

/// The chunk that a slot is in, and its index there.
#[inline]
fn place(number: u32) -> Option<(usize, usize)> {
    // As if there were a chunk before the first, of as many slots.
    let position = number.checked_sub(1)?.checked_add(FIRST_CHUNK)?;
    let chunk = position.ilog2() - FIRST_CHUNK.ilog2();
    let index = position - (FIRST_CHUNK << chunk);
    ((chunk as usize) < CHUNKS).then_some((chunk as usize, index as usize))
}

fn chunk_lengths() -> impl Iterator<Item = u32> {
    (0..CHUNKS).map(|chunk| FIRST_CHUNK << chunk)
}

/// # Safety
///
/// Nobody else uses the chunk, which is null or has this length.
unsafe fn free_chunk(chunk: &Chunk, length: u32) {
    let first = chunk.load(Ordering::Relaxed);
    if !first.is_null() {
        let slots = ptr::slice_from_raw_parts_mut(first, length as usize);
        // SAFETY: it is from a boxed slice of this length.
        drop(unsafe { Box::from_raw(slots) });
    }
}

#[cfg(test)]
mod tests;

#[cfg(all(test, tasktrace_loom))]
mod model;
