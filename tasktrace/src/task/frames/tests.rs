use std::sync::Arc;
use std::task::{Wake, Waker};

use super::*;
use crate::origin::{Identity, Origin};
use crate::task::name::{Name, NameRef};
use crate::task::slot::Gone;
use crate::task::table::LAST_KEPT;
use crate::task::turn::GONE;

static META: FrameMeta = FrameMeta::new(None, || "", "", 1, 1);

const STAMP: Stamp = Stamp::new(1, Tick(1));

/// What there is of a record.
pub(super) struct Record {
    turn: Turn,
    table: Table,
    extras: ExtrasCell<()>,
}

impl Record {
    pub(super) fn new() -> Self {
        Self {
            turn: Turn::new(),
            table: Table::new(),
            extras: ExtrasCell::new(),
        }
    }

    pub(super) fn frames(&self) -> Frames<'_, ()> {
        Frames {
            turn: &self.turn,
            table: &self.table,
            extras: &self.extras,
        }
    }
}

/// The frames of a test, which is their owner.
pub(super) fn owner<T>(frames: Frames<'_, T>) -> Owner<'_, T> {
    // SAFETY: each test and each model has one thread that is the owner of its frames.
    unsafe { frames.owner() }
}

fn insert(frames: Frames<'_, ()>, parent: Key) -> Key {
    owner(frames)
        .insert(NameRef::of_static(&META), parent, STAMP)
        .expect("there is room")
        .key()
}

fn remove(frames: Frames<'_, ()>, key: Key) -> Option<Waker> {
    owner(frames).remove(key)
}

fn keys(frames: Frames<'_, ()>) -> Vec<Key> {
    let copy = frames.copy().expect("nobody is writing");
    copy.iter().map(|frame| frame.key).collect()
}

#[test]
fn many_come_and_go() {
    let record = Record::new();
    let frames = record.frames();
    let mut live: Vec<Key> = (0..1000).map(|_| insert(frames, Key::TASK)).collect();
    assert_eq!(keys(frames), live);
    for key in live.split_off(500) {
        remove(frames, key);
    }
    assert_eq!(keys(frames), live);
    let used = frames.used();
    for _ in 0..500 {
        insert(frames, Key::TASK);
    }
    assert_eq!(keys(frames).len(), 1000);
    assert_eq!(frames.used(), used, "slots are used again");
}

#[test]
fn a_key_that_is_out_of_date_is_no_key() {
    let record = Record::new();
    let frames = record.frames();
    let old = insert(frames, Key::TASK);
    remove(frames, old);
    let new = insert(frames, Key::TASK);
    assert_eq!(old.slot(), new.slot());

    assert!(!owner(frames).polled(old, Key::TASK, STAMP));
    remove(frames, old);
    frames.note_gone(old, Gone::Ended);
    owner(frames).take_off_gone();
    assert!(!owner(frames).set_parent(old, new));
    assert!(owner(frames).set_waker(old, Waker::noop()).is_none());
    assert_eq!(keys(frames), [new]);

    owner(frames).clear();
    // SAFETY: there are no frames, and nobody else has a reference to the record.
    unsafe { record.extras.get_or_insert().chunks.shrink() };
    assert_eq!(keys(frames), []);
    assert!(!owner(frames).polled(new, Key::TASK, STAMP));
}

#[test]
fn what_is_noted_as_gone_is_not_seen() {
    let record = Record::new();
    let frames = record.frames();
    let [one, two] = [(); 2].map(|()| insert(frames, Key::TASK));
    frames.note_gone(one, Gone::Ended);
    assert_eq!(keys(frames), [two]);
    assert!(record.extras.get().is_none(), "that takes no memory");
    owner(frames).take_off_gone();
    assert_eq!(keys(frames), [two]);
}

#[test]
fn what_is_below_a_frame_that_moves_goes_with_it() {
    let record = Record::new();
    let frames = record.frames();
    let [moves, stays] = [(); 2].map(|()| insert(frames, Key::TASK));
    let child = insert(frames, moves);
    insert(frames, child);
    let other = insert(frames, stays);
    frames.note_gone(moves, Gone::Moved);
    assert_eq!(keys(frames), [stays, other]);
    owner(frames).take_off_gone();
    assert_eq!(keys(frames), [stays, other]);
    assert!(!owner(frames).polled(child, moves, STAMP));

    // But what has ended may leave something behind.
    frames.note_gone(stays, Gone::Ended);
    assert_eq!(keys(frames), [other]);
    owner(frames).take_off_gone();
    assert_eq!(keys(frames), [other]);
}

#[test]
fn what_is_noted_late_changes_nothing() {
    let record = Record::new();
    let frames = record.frames();
    let old = insert(frames, Key::TASK);
    remove(frames, old);
    let new = insert(frames, Key::TASK);
    frames.note_gone(old, Gone::Ended);
    assert_eq!(keys(frames), [new]);
    assert!(!record.turn.has(GONE), "there is nothing to look at");
    frames.note_gone(new, Gone::Moved);
    frames.note_gone(new, Gone::Ended);
    assert_eq!(keys(frames), []);
}

#[test]
fn what_cannot_be_marked_is_on_a_list() {
    let record = Record::new();
    let frames = record.frames();
    let live: Vec<Key> = (0..2 * LAST_KEPT)
        .map(|_| insert(frames, Key::TASK))
        .collect();
    let (kept, later) = live.split_at(LAST_KEPT as usize);
    frames.note_gone(kept[0], Gone::Ended);
    frames.note_gone(later[0], Gone::Ended);
    let stays: Vec<Key> = kept[1..].iter().chain(&later[1..]).copied().collect();
    assert_eq!(keys(frames), stays);
    owner(frames).take_off_gone();
    assert_eq!(keys(frames), stays);
    assert!(!record.turn.has(GONE));
    // Their slots are used again.
    let new: Vec<Key> = (0..2).map(|_| insert(frames, Key::TASK)).collect();
    assert!(new.iter().all(|key| key.slot() <= 2 * LAST_KEPT));
}

#[test]
fn labels_go_with_their_frames() {
    let record = Record::new();
    let frames = record.frames();
    let label: Arc<str> = "a label".into();
    let identity = Identity::new(Origin::Function(&META), Some(label.clone()), Some(7));
    let name = Name::new(identity.clone());
    let key = owner(frames)
        .insert(name.get(), Key::TASK, STAMP)
        .unwrap()
        .key();
    let copy = frames.copy().unwrap();
    assert_eq!(copy[0].identity.label(), Some(label.clone()));
    assert_eq!(copy[0].identity.awaits(), [7]);
    drop((copy, identity, name));
    remove(frames, key);
    assert_eq!(Arc::strong_count(&label), 1);
}

#[test]
fn wakers_are_handed_back() {
    struct Counted;
    impl Wake for Counted {
        fn wake(self: Arc<Self>) {}
    }
    let counted = Arc::new(Counted);
    let waker = Waker::from(counted.clone());
    let record = Record::new();
    let frames = record.frames();
    let key = insert(frames, Key::TASK);
    let own = owner(frames);
    assert!(own.set_waker(key, &waker).is_none());
    assert!(own.set_waker(key, &waker).is_none(), "it is the same");
    assert_eq!(own.wakers().len(), 1);
    let replaced = own.set_waker(key, Waker::noop());
    assert!(replaced.is_some_and(|replaced| replaced.will_wake(&waker)));
    assert!(own.set_waker(key, &waker).is_some());
    assert!(frames.copy().unwrap()[0].own_waker);
    assert!(
        owner(frames).polled(key, Key::TASK, STAMP),
        "the mark is no parent"
    );
    assert!(remove(frames, key).is_some());
    drop(waker);
    assert_eq!(Arc::strong_count(&counted), 1);
}

#[test]
fn the_first_slot_is_filled_and_emptied_like_any_other() {
    static OTHER: FrameMeta = FrameMeta::new(None, || "", "", 1, 1);

    let record = Record::new();
    let frames = record.frames();
    let insert_first = || owner(frames).insert_first(&META, STAMP);
    let remove_plain = |filed: Filed, meta: &'static FrameMeta| {
        owner(frames).remove_plain(filed.slot.unwrap(), filed.key(), NameRef::of_static(meta))
    };
    let first = insert_first().unwrap().key();
    assert!(insert_first().is_none(), "it is in use");
    let second = insert(frames, Key::TASK);
    remove(frames, first);
    let again = insert_first().unwrap();
    assert_eq!(again.key().slot(), first.slot());
    assert_ne!(again.key(), first);
    assert_eq!(keys(frames), [again.key(), second]);
    assert!(!remove_plain(again, &OTHER), "it is called otherwise");
    assert!(remove_plain(again, &META));
    assert!(!remove_plain(again, &META), "it is not there any more");
    assert_eq!(keys(frames), [second]);
    // Of two free slots, the one that was given back last is the next.
    let first = insert_first().unwrap();
    assert!(remove_plain(first, &META));
    remove(frames, second);
    assert!(insert_first().is_none());
    assert!(owner(frames).clear().is_none());
    let first = insert_first().unwrap();
    assert_eq!(first.key().slot(), 1, "none was in use");
    let second = insert(frames, Key::TASK);
    assert!(remove_plain(first, &META));
    frames.note_gone(second, Gone::Ended);
    assert!(insert_first().is_none(), "others are taken off before");
}

#[test]
fn slots_are_found_by_their_numbers_and_in_their_order() {
    let record = Record::new();
    let frames = record.frames();
    let live: Vec<Key> = (0..3 * LAST_KEPT)
        .map(|_| insert(frames, Key::TASK))
        .collect();
    for (number, key) in (1..).zip(live) {
        assert_eq!(key.slot(), number);
        assert!(frames.slot(number).is_some_and(|slot| slot.is(key)));
        let in_order: Vec<_> = frames.slots(number).map(std::ptr::from_ref).collect();
        let by_number = (1..=number).filter_map(|number| frames.slot(number));
        assert!(by_number.map(std::ptr::from_ref).eq(in_order));
    }
    assert_eq!(frames.kept_slots(u32::MAX).count(), LAST_KEPT as usize);
}
