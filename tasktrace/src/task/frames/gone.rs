//! Frames that have ended elsewhere than in a poll of their task: how that is noted, and how the poller takes
//! them off.

use std::collections::BTreeSet;
use std::task::Waker;

use super::write::Found;
use crate::sync::{Inside, MutexGuard, Ordering, lock};
use crate::task::foreign;
use crate::task::poller::Poller;
use crate::task::record::Record;
use crate::task::slot::{ENDED, Gone, Key, MARKS, MOVED};
use crate::task::table::LAST_KEPT;
use crate::task::turn::GONE;

/// The droppers' side.
impl Record {
    /// Notes that a frame is not to be seen any more.
    #[cold]
    #[inline(never)]
    pub(crate) fn note_gone(&self, key: Key, why: Gone) {
        if key.slot() > LAST_KEPT {
            self.list_gone(key, why);
            self.turn.set(GONE);
            return;
        }
        let mark = match why {
            Gone::Ended => ENDED,
            Gone::Moved => MOVED,
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
            self.turn.set(GONE);
        }
    }

    #[cold]
    fn list_gone(&self, key: Key, why: Gone) {
        let place = &self.extras.get_or_insert().gone;
        let mut spare = Vec::new();
        loop {
            let mut list = lock(place);
            if list.len() == list.capacity() && spare.capacity() > list.len() {
                spare.extend_from_slice(&list);
                std::mem::swap(&mut *list, &mut spare);
            }
            if list.len() < list.capacity() {
                list.push((key, why));
                return;
            }
            let length = list.len();
            drop(list);
            spare.reserve(2 * length + 4);
        }
    }
}

/// The poller's side.
impl Poller<'_> {
    /// Takes off what has ended elsewhere.
    #[inline]
    pub(crate) fn take_off_gone(self) {
        if self.turn.has(GONE) {
            self.take_off_all_gone();
        }
    }

    #[cold]
    #[inline(never)]
    fn take_off_all_gone(self) {
        // Before the marks are looked at: whoever makes one after that sets it again.
        self.turn.clear(GONE);
        let inside = Inside::enter();
        let wakers = self.take_off_marked();
        drop(inside);
        // Dropping wakers runs foreign code.
        foreign::drop(wakers);
    }

    /// Returns what is to be dropped.
    fn take_off_marked(self) -> Vec<Waker> {
        let (table, used) = (&self.table, self.used());
        let slots = || (1..).zip(self.slots(used));
        let mut noted: Vec<(Key, Gone)> = slots()
            .filter_map(|(number, slot)| slot.gone(number))
            .collect();
        let marked = noted.len();
        self.copy_list(used, &mut noted);
        let listed = noted.len() - marked;
        let parents = slots().map(|(number, slot)| (slot.key(number), slot.parent()));
        let gone: Vec<Found<'_>> = all_gone(&noted, parents)
            .into_iter()
            .filter_map(|key| {
                let slot = self.slot(key.slot())?;
                (slot.key(key.slot()) == key).then(|| Found::new(key, slot))
            })
            .collect();
        // Until they are off the table: a reader that no longer finds a frame on the list does not find it
        // in the table either.
        let mut list = self.list(used);
        if let Some(list) = &mut list {
            list.drain(..listed);
        }
        // In one change: nobody sees what is inside of a frame without that.
        let sequence = table.begin_change();
        gone.iter().for_each(|found| table.take_off(found));
        table.end_change(sequence);
        drop(list);
        let forget = |found: &Found<'_>| self.forget(found.key);
        gone.iter().filter_map(forget).collect()
    }
}

impl Record {
    /// Adds the frames that are on the list.
    pub(super) fn copy_list(&self, used: u32, copy: &mut Vec<(Key, Gone)>) {
        loop {
            let Some(list) = self.list(used) else {
                return;
            };
            let length = list.len();
            if copy.capacity() - copy.len() >= length {
                copy.extend_from_slice(&list);
                return;
            }
            // Room is not made while the list is locked.
            drop(list);
            copy.reserve(length);
        }
    }

    /// The list of those in slots that cannot be marked, if there are such slots.
    fn list(&self, used: u32) -> Option<MutexGuard<'_, Vec<(Key, Gone)>>> {
        let extras = (used > LAST_KEPT).then(|| self.extras.get())??;
        Some(lock(&extras.gone))
    }
}

/// The frames that are noted, and those below one that has moved. `parents` are all frames, each
/// with its parent.
pub(super) fn all_gone(
    noted: &[(Key, Gone)],
    parents: impl Iterator<Item = (Key, Key)>,
) -> BTreeSet<Key> {
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
