//! What a record has beside it: the frames of its task, and what is seldom needed.
//!
//! Most tasks have few frames and are never asked, so none of this is in the record, which is small for
//! that. It is a list:
//!
//! ```text
//! record → table, with a slot → chunk of 1 slot → of 2 → … → of 16 → extras → null
//! ```
//!
//! Each part is there only if it, or one after it, has been needed. The table and the chunks are added by
//! the poller of the task, as it needs slots for frames; the extras by whoever needs them first. Both
//! put a new part in place of the end of the chunks, by a compare-and-exchange, so neither loses what
//! the other has added. Chunks of more slots are the extras'.
//!
//! What is on the list is never freed, as the record is not: so it may be looked at without a reference
//! to the record. The extras' chunks are freed when nobody has one.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::marker::PhantomData;
use std::ptr;
use std::sync::Arc as StdArc;
use std::task::Waker;

use super::exchange::Queue;
use super::frames::{Gone, Key, Slot};
use crate::origin::Dynamic;
use crate::sync::{AtomicPtr, AtomicU32, AtomicU64, Mutex, Ordering, UnsafeCell};

/// The first part of each part of the list.
#[repr(C)]
struct Link {
    /// Null at the end. The address of the extras has [`EXTRAS`] added to it.
    next: AtomicPtr<Link>,
}

/// Added to an address.
const EXTRAS: usize = 1;

/// See the module.
pub(crate) struct Beside<T> {
    first: Link,
    owned: PhantomData<Extras<T>>,
}

/// The table of a task's frames, see [`frames`](super::frames).
#[repr(C)]
pub(crate) struct Table {
    link: Link,
    /// Odd while the owner changes which frames there are.
    pub(super) sequence: AtomicU32,
    /// How many slots have been in use.
    pub(super) used: AtomicU32,
    /// The owner's: a slot that is not in use any more, and leads to the others.
    pub(super) free: AtomicU32,
    /// How many of the frames have a limit.
    pub(super) limited: AtomicU32,
    slot: Slot,
}

#[repr(C)]
struct Chunk<const LENGTH: usize> {
    link: Link,
    slots: [Slot; LENGTH],
}

/// The dynamic parts of frames (those beyond a static description), by their keys.
pub(super) type Dynamics = HashMap<Key, StdArc<Dynamic>, BuildHasherDefault<DefaultHasher>>;

/// The rarely used parts of a task, allocated on first use. Nothing is allocated or freed while one of its locks is held.
pub(crate) struct Extras<T> {
    pub(super) queue: Mutex<Queue<T>>,
    /// Frames that ended elsewhere, or went on there.
    pub(super) gone: Mutex<Vec<(Key, Gone)>>,
    /// What frames have beyond a static description.
    pub(super) dynamic: Mutex<Dynamics>,
    /// The owner's: the wakers of frames that are polled with another than their task's.
    pub(super) wakers: UnsafeCell<BTreeMap<Key, Waker>>,
    /// How often the numbers of polls have begun again.
    pub(super) rounds: AtomicU32,
    /// How many polls only answered requests. Only the owner writes it.
    pub(super) asked_polls: AtomicU64,
    /// The chunks that are not on the list.
    later: AtomicPtr<Later>,
}

/// One for each chunk, which is null until there is one.
type Later = [AtomicPtr<Slot>; LATER];

// SAFETY: `wakers` is accessed by the owner of the frames only, of whom there is one at a time: who does
// is `unsafe` and demands it. Everything else is synchronised.
unsafe impl<T: Send> Sync for Extras<T> {}
// SAFETY: all of it is owned, and the slots are atomics.
unsafe impl<T: Send> Send for Extras<T> {}

// SAFETY: what it leads to is `Sync`, and is owned.
unsafe impl<T: Send> Sync for Beside<T> {}
// SAFETY: likewise.
unsafe impl<T: Send> Send for Beside<T> {}

/// So many chunks are on the list, after the table. Each has twice as many slots as the one before. Models can do
/// with few.
const KEPT: u32 = if cfg!(tasktrace_loom) { 2 } else { 5 };
/// The last slot that is on the list.
pub(super) const LAST_KEPT: u32 = 1 << KEPT;
/// More frames than there are slots in so many other chunks stay invisible.
const LATER: usize = 18;

/// Where a slot is, of those after the first, which is in the table: the chunk, and its index there.
#[inline]
fn place(number: u32) -> Option<(u32, usize)> {
    let position = number.checked_sub(1)?;
    let chunk = position.checked_ilog2()?;
    let is_one = chunk < KEPT + LATER as u32;
    is_one.then(|| (chunk, (position - (1 << chunk)) as usize))
}

impl<T> Beside<T> {
    pub(crate) fn new() -> Self {
        Self {
            first: Link {
                next: AtomicPtr::new(ptr::null_mut()),
            },
            owned: PhantomData,
        }
    }

    /// The table, if there is one.
    #[inline]
    pub(crate) fn table(&self) -> Option<&Table> {
        let first = self.first.next();
        // SAFETY: what comes first is the table, unless it is the extras. It is never freed.
        first.map(|link| unsafe { &*link.cast::<Table>() })
    }

    /// The table.
    ///
    /// # Safety
    ///
    /// There is one.
    #[inline(always)]
    pub(super) unsafe fn table_unchecked(&self) -> &Table {
        // Acquire: it is whole.
        let first = self.first.next.load(Ordering::Acquire);
        // SAFETY: as asserted by the caller, it comes first. It is never freed.
        unsafe { &*first.cast::<Table>() }
    }

    /// Whether there are extras, or chunks after which they may come.
    #[inline]
    pub(super) fn is_more_than_a_table(&self) -> bool {
        let first = self.first.next.load(Ordering::Relaxed);
        if first.is_null() || first.addr() & EXTRAS != 0 {
            return !first.is_null();
        }
        // SAFETY: parts on the list are never freed.
        let next = unsafe { &*first }.next.load(Ordering::Relaxed);
        !next.is_null()
    }

    /// The caller is the owner.
    #[inline]
    pub(super) fn table_or_insert(&self) -> &Table {
        self.table().unwrap_or_else(|| self.insert_table())
    }

    #[cold]
    #[inline(never)]
    fn insert_table(&self) -> &Table {
        let table = Box::into_raw(Box::new(Table {
            link: Link::none(),
            sequence: AtomicU32::new(0),
            used: AtomicU32::new(0),
            free: AtomicU32::new(0),
            limited: AtomicU32::new(0),
            slot: Slot::free(),
        }));
        // SAFETY: it is a part whose first part is a link.
        unsafe { self.append(table.cast()) };
        // SAFETY: it is never freed.
        unsafe { &*table }
    }

    /// The slot of this number, if there is one.
    #[inline]
    pub(super) fn slot(&self, number: u32) -> Option<&Slot> {
        self.slot_in(self.table()?, number)
    }

    /// The same where there is a table.
    #[inline]
    pub(super) fn slot_in<'a>(&'a self, table: &'a Table, number: u32) -> Option<&'a Slot> {
        match number {
            1 => Some(&table.slot),
            _ => self.slot_in_chunk(number),
        }
    }

    #[inline(never)]
    fn slot_in_chunk(&self, number: u32) -> Option<&Slot> {
        let (chunk, index) = place(number)?;
        let slots = match chunk.checked_sub(KEPT) {
            None => self.chunk(chunk)?,
            Some(later) => {
                let slots = &self.extras()?.later()?[later as usize];
                let slots = slots.load(Ordering::Acquire).cast_const();
                (!slots.is_null()).then_some(slots)?
            }
        };
        // SAFETY: the chunk has a slot of that index (`place`), and is not freed as long as there may be
        // a frame in it, or a reader.
        Some(unsafe { &*slots.add(index) })
    }

    /// The slots of a chunk that is on the list.
    #[inline]
    fn chunk(&self, chunk: u32) -> Option<*const Slot> {
        let mut link = self.first.next()?;
        for _ in 0..=chunk {
            // SAFETY: it is on the list.
            link = unsafe { (*link).next() }?;
        }
        // SAFETY: it is a chunk, in which the slots come after the link: see `Chunk`.
        Some(unsafe { link.byte_add(SLOTS) }.cast())
    }

    /// All slots that have been in use, in the order of their numbers, as far as the chunks on the list
    /// go. The table has so many.
    #[inline]
    pub(super) fn kept_slots(&self, used: u32) -> impl Iterator<Item = &Slot> {
        let first = self.table().filter(|_| used > 0);
        let mut left = used.saturating_sub(1);
        let mut length = 1;
        let mut link = first.map(|table| &raw const table.link);
        let mut slots: &[Slot] = first.map_or(&[], |table| std::slice::from_ref(&table.slot));
        std::iter::from_fn(move || {
            if slots.is_empty() {
                if left == 0 || length > 1 << (KEPT - 1) {
                    return None;
                }
                // SAFETY: it is on the list.
                link = unsafe { (*link?).next() };
                let count = left.min(length);
                // SAFETY: as in `chunk`; and it has so many.
                slots = unsafe {
                    std::slice::from_raw_parts(link?.byte_add(SLOTS).cast(), count as usize)
                };
                left -= count;
                length *= 2;
            }
            let (slot, others) = slots.split_first()?;
            slots = others;
            Some(slot)
        })
    }

    /// All slots that have been in use, in the order of their numbers. The table has so many.
    pub(super) fn slots(&self, used: u32) -> impl Iterator<Item = &Slot> {
        let mut left = used.saturating_sub(LAST_KEPT);
        let extras = (left > 0).then(|| self.extras()).flatten();
        let later = extras.and_then(Extras::later).into_iter().flatten();
        let later = later.zip(KEPT..).map_while(move |(chunk, number)| {
            let slots = chunk.load(Ordering::Acquire);
            let count = left.min(1 << number);
            left -= count;
            // SAFETY: it has so many slots, and is not freed as long as there may be frames in it, or a
            // reader.
            (!slots.is_null()).then(|| unsafe { std::slice::from_raw_parts(slots, count as usize) })
        });
        self.kept_slots(used).chain(later.flatten())
    }

    /// Makes sure that there is a slot of this number, if there can be: that there are those before is
    /// sure. `None` if there are too many.
    ///
    /// The caller is the owner.
    #[inline]
    pub(super) fn make_room(&self, number: u32) -> Option<()> {
        match number {
            1 => Some(()),
            _ => self.make_room_in_chunk(number),
        }
    }

    #[inline(never)]
    fn make_room_in_chunk(&self, number: u32) -> Option<()> {
        if self.slot_in_chunk(number).is_some() {
            return Some(());
        }
        let (chunk, _) = place(number)?;
        if let Some(later) = chunk.checked_sub(KEPT) {
            let slots: Box<[Slot]> = (0..1_u32 << chunk).map(|_| Slot::free()).collect();
            let later = &self.extras_or_insert().later_or_insert()[later as usize];
            // Release: whoever sees the pointer sees slots.
            later.store(Box::into_raw(slots).cast(), Ordering::Release);
            return Some(());
        }
        let made: *mut Link = match chunk {
            0 => Chunk::<1>::make(),
            1 => Chunk::<2>::make(),
            2 => Chunk::<4>::make(),
            3 => Chunk::<8>::make(),
            _ => Chunk::<16>::make(),
        };
        // SAFETY: it is a part whose first part is a link.
        unsafe { self.append(made) };
        Some(())
    }

    /// Adds a part after the chunks, before the extras.
    ///
    /// The caller is the owner, so no other chunk is added meanwhile.
    ///
    /// # Safety
    ///
    /// It is the first part of one that is not on a list, from a box, and given up by the caller.
    unsafe fn append(&self, part: *mut Link) {
        let (place, mut end) = self.last();
        loop {
            // SAFETY: as asserted by the caller.
            unsafe { &*part }.next.store(end, Ordering::Relaxed);
            // Release: whoever sees the part sees what is in it.
            match place
                .next
                .compare_exchange(end, part, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => return,
                // Nobody else adds chunks: those are the extras.
                Err(now) => end = now,
            }
        }
    }

    /// The extras, if there are any.
    #[inline]
    pub(super) fn extras(&self) -> Option<&Extras<T>> {
        let (_, end) = self.last();
        // SAFETY: it is from a list of this type.
        unsafe { extras_at(end) }
    }

    /// The last place on the list, and what was in it: the extras, or nothing yet. By now, there may be a
    /// chunk in it.
    #[inline]
    fn last(&self) -> (&Link, *mut Link) {
        let mut place = &self.first;
        loop {
            // Acquire: what is in it is seen.
            let next = place.next.load(Ordering::Acquire);
            if !is_part(next) {
                return (place, next);
            }
            // SAFETY: parts on the list are never freed.
            place = unsafe { &*next };
        }
    }

    pub(super) fn extras_or_insert(&self) -> &Extras<T> {
        self.extras().unwrap_or_else(|| self.insert_extras())
    }

    #[cold]
    #[inline(never)]
    fn insert_extras(&self) -> &Extras<T> {
        let made = Box::into_raw(Box::new(Extras::<T>::new()));
        let link = made.cast::<Link>().map_addr(|address| address | EXTRAS);
        loop {
            let (place, _) = self.last();
            // Release: whoever sees them sees what is in them.
            let inserted = place.next.compare_exchange(
                ptr::null_mut(),
                link,
                Ordering::AcqRel,
                Ordering::Acquire,
            );
            let Err(now) = inserted else {
                // SAFETY: they are never freed.
                return unsafe { &*made };
            };
            // Somebody else has added them, or a chunk.
            // SAFETY: it is from a list of this type.
            if let Some(extras) = unsafe { extras_at(now) } {
                // SAFETY: nobody has seen these.
                drop(unsafe { Box::from_raw(made) });
                return extras;
            }
        }
    }

    /// Has what leads to the slots fetched from memory: it is needed soon, and not before.
    #[inline]
    pub(super) fn prefetch(&self) {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

            let first = self.first.next.load(Ordering::Relaxed);
            // SAFETY: it does nothing that could be seen, wherever the pointer leads.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(first.cast()) };
        }
    }

    /// Frees the chunks that are not on the list.
    ///
    /// # Safety
    ///
    /// No slot in them is in use, and nobody else has a reference to the record.
    #[inline]
    pub(super) unsafe fn shrink(&self) {
        if let Some(extras) = self.extras() {
            // SAFETY: as asserted by the caller.
            unsafe { extras.free_later() };
        }
    }
}

/// Where the slots of a chunk begin: after the link, whatever their number.
const SLOTS: usize = std::mem::offset_of!(Chunk<1>, slots);

const _: () = assert!(SLOTS == std::mem::offset_of!(Chunk<16>, slots));

impl<const LENGTH: usize> Chunk<LENGTH> {
    fn make() -> *mut Link {
        let chunk = Self {
            link: Link::none(),
            slots: std::array::from_fn(|_| Slot::free()),
        };
        Box::into_raw(Box::new(chunk)).cast()
    }
}

impl Link {
    fn none() -> Self {
        Self {
            next: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// The table or a chunk that comes next.
    #[inline]
    fn next(&self) -> Option<*const Self> {
        // Acquire: what is in it is seen.
        let next = self.next.load(Ordering::Acquire).cast_const();
        is_part(next).then_some(next)
    }
}

/// Whether what was in a place on the list is a table or a chunk.
#[inline]
fn is_part(next: *const Link) -> bool {
    !next.is_null() && next.addr() & EXTRAS == 0
}

/// The extras, if they were in a place on the list.
///
/// # Safety
///
/// The list has extras of this type, and lives for as long as what is returned.
#[inline]
unsafe fn extras_at<'a, T>(next: *mut Link) -> Option<&'a Extras<T>> {
    let extras = next.map_addr(|address| address & !EXTRAS);
    // SAFETY: it has the mark of extras, and as asserted by the caller. They are never freed.
    (next.addr() & EXTRAS != 0).then(|| unsafe { &*extras.cast() })
}

impl Table {
    /// The first slot.
    #[inline]
    pub(super) fn slot(&self) -> &Slot {
        &self.slot
    }
}

impl<T> Extras<T> {
    fn new() -> Self {
        Self {
            queue: Mutex::new(Queue::new()),
            gone: Mutex::new(Vec::new()),
            dynamic: Mutex::new(Dynamics::default()),
            wakers: UnsafeCell::new(BTreeMap::new()),
            rounds: AtomicU32::new(0),
            asked_polls: AtomicU64::new(0),
            later: AtomicPtr::new(ptr::null_mut()),
        }
    }

    fn later(&self) -> Option<&Later> {
        // SAFETY: null, or from a box that is dropped with this. Acquire: what is in it is seen.
        unsafe { self.later.load(Ordering::Acquire).as_ref() }
    }

    /// The caller is the owner.
    fn later_or_insert(&self) -> &Later {
        self.later().unwrap_or_else(|| {
            let later = std::array::from_fn(|_| AtomicPtr::new(ptr::null_mut()));
            let later = Box::into_raw(Box::<Later>::new(later));
            self.later.store(later, Ordering::Release);
            // SAFETY: as above.
            unsafe { &*later }
        })
    }

    /// # Safety
    ///
    /// No slot in them is in use, and nobody else looks at them.
    unsafe fn free_later(&self) {
        let later = self.later().into_iter().flatten();
        for (chunk, length) in later.zip((KEPT..).map(|chunk| 1_usize << chunk)) {
            let first = chunk.load(Ordering::Relaxed);
            if !first.is_null() {
                chunk.store(ptr::null_mut(), Ordering::Relaxed);
                // SAFETY: it is from a boxed slice of this length, and as asserted by the caller.
                drop(unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(first, length)) });
            }
        }
    }
}

impl<T> Drop for Extras<T> {
    fn drop(&mut self) {
        // SAFETY: there is nobody else.
        unsafe { self.free_later() };
        let later = self.later.load(Ordering::Relaxed);
        if !later.is_null() {
            // SAFETY: it is from such a box, and there is nobody else.
            drop(unsafe { Box::from_raw(later) });
        }
    }
}

/// Records are never dropped, but those of tests and models are.
impl<T> Drop for Beside<T> {
    fn drop(&mut self) {
        let (_, extras) = self.last();
        if !extras.is_null() {
            let extras = extras.map_addr(|address| address & !EXTRAS);
            // SAFETY: they are from such a box, and there is nobody else.
            drop(unsafe { Box::from_raw(extras.cast::<Extras<T>>()) });
        }
        let Some(table) = self.first.next() else {
            return;
        };
        // SAFETY: as above.
        let table = unsafe { Box::from_raw(table.cast::<Table>().cast_mut()) };
        let mut next = table.link.next();
        for chunk in 0.. {
            let Some(link) = next else {
                return;
            };
            // SAFETY: it is on the list.
            next = unsafe { (*link).next() };
            // SAFETY: each was made with this length, and there is nobody else.
            unsafe { free_chunk(link.cast_mut(), chunk) };
        }
    }
}

/// # Safety
///
/// It is that chunk of a list, and nobody uses it.
unsafe fn free_chunk(link: *mut Link, chunk: u32) {
    // SAFETY: as asserted by the caller, it is from such a box.
    unsafe {
        match chunk {
            0 => drop(Box::from_raw(link.cast::<Chunk<1>>())),
            1 => drop(Box::from_raw(link.cast::<Chunk<2>>())),
            2 => drop(Box::from_raw(link.cast::<Chunk<4>>())),
            3 => drop(Box::from_raw(link.cast::<Chunk<8>>())),
            _ => drop(Box::from_raw(link.cast::<Chunk<16>>())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        assert_eq!(place(0), None, "that is the task");
        assert_eq!(place(1), None, "that is in the table");
        assert_eq!(place(2), Some((0, 0)));
        assert_eq!(place(3), Some((1, 0)));
        assert_eq!(place(4), Some((1, 1)));
        assert_eq!(place(5), Some((2, 0)));
        assert_eq!(place(LAST_KEPT), Some((KEPT - 1, 15)));
        let last = 1 << (KEPT + LATER as u32);
        assert_eq!(
            place(last),
            Some((KEPT + LATER as u32 - 1, last as usize / 2 - 1))
        );
        assert_eq!(place(last + 1), None);
        assert_eq!(place(u32::MAX), None);
    }

    #[test]
    fn slots_are_found_by_their_numbers_and_in_their_order() {
        let beside = Beside::<()>::new();
        beside.table_or_insert();
        for number in 1..=3 * LAST_KEPT {
            // The extras come between two chunks.
            if number == 5 {
                beside.extras_or_insert().rounds.store(7, Ordering::Relaxed);
            }
            let is_in_a_new_chunk = (number - 1).is_power_of_two();
            assert_eq!(beside.slot(number).is_none(), is_in_a_new_chunk);
            beside.make_room(number).expect("there are not many");
            let slots: Vec<*const Slot> = beside.slots(number).map(ptr::from_ref).collect();
            assert_eq!(slots.len(), number as usize);
            for (number, slot) in (1..).zip(slots) {
                assert!(
                    beside
                        .slot(number)
                        .is_some_and(|found| ptr::eq(found, slot))
                );
            }
        }
        let rounds = beside
            .extras()
            .map(|extras| extras.rounds.load(Ordering::Relaxed));
        assert_eq!(rounds, Some(7));
        assert_eq!(beside.kept_slots(u32::MAX).count(), LAST_KEPT as usize);
    }
}

#[cfg(all(test, tasktrace_loom))]
mod model;
