use std::sync::Arc;
use std::task::{Wake, Waker};

use super::*;
use crate::origin::{Identity, Origin};
use crate::task::poller::Poller;
use crate::task::slot::Gone;
use crate::task::stamp::Stamp;
use crate::task::table::LAST_KEPT;
use crate::task::turn::GONE;

static META: FrameMeta = FrameMeta::new(None, || "", "", 1, 1);

const STAMP: Stamp = Stamp::new(1, Tick(1));

/// The poller of a record that is in a test.
pub(super) fn poller(record: &Record) -> Poller<'_> {
    // SAFETY: each test and each model has one thread that polls, and uses the poller while the record is there.
    unsafe { Poller::new(&*std::ptr::from_ref(record)) }
}

fn insert(record: &Record, parent: Key) -> Key {
    poller(record)
        .register(None, &Identity::Static(&META), parent, STAMP)
        .expect("there is room")
}

/// Notes that a frame has been polled, as [`Head`](crate::task::head::Head) does.
pub(super) fn polled(record: &Record, key: Key, parent: Key, stamp: Stamp) -> bool {
    let slot = record
        .find_frame(key)
        .filter(|slot| slot.parent() == parent);
    slot.inspect(|slot| slot.set_stamp(stamp)).is_some()
}

fn remove(record: &Record, key: Key) -> Option<Waker> {
    poller(record).remove(key)
}

fn keys(record: &Record) -> Vec<Key> {
    let copy = record.copy_frames().expect("nobody is writing");
    copy.iter().map(|frame| frame.key).collect()
}

#[test]
fn many_come_and_go() {
    let record = &Record::empty();
    let mut live: Vec<Key> = (0..1000).map(|_| insert(record, Key::TASK)).collect();
    assert_eq!(keys(record), live);
    for key in live.split_off(500) {
        remove(record, key);
    }
    assert_eq!(keys(record), live);
    let used = record.used();
    for _ in 0..500 {
        insert(record, Key::TASK);
    }
    assert_eq!(keys(record).len(), 1000);
    assert_eq!(record.used(), used, "slots are used again");
}

#[test]
fn a_key_that_is_out_of_date_is_no_key() {
    let record = &Record::empty();
    let old = insert(record, Key::TASK);
    remove(record, old);
    let new = insert(record, Key::TASK);
    assert_eq!(old.slot(), new.slot());

    assert!(!polled(record, old, Key::TASK, STAMP));
    remove(record, old);
    record.note_gone(old, Gone::Ended);
    poller(record).take_off_gone();
    assert!(!record.is_below(old, Key::TASK));
    assert!(poller(record).set_waker(old, Waker::noop()).is_none());
    assert_eq!(keys(record), [new]);

    poller(record).clear_frames();
    // SAFETY: there are no frames, and nobody else has a reference to the record.
    unsafe { record.extras.get_or_insert().reset() };
    assert_eq!(keys(record), []);
    assert!(!polled(record, new, Key::TASK, STAMP));
}

#[test]
fn what_is_noted_as_gone_is_not_seen() {
    let record = &Record::empty();
    let [one, two] = [(); 2].map(|()| insert(record, Key::TASK));
    record.note_gone(one, Gone::Ended);
    assert_eq!(keys(record), [two]);
    assert!(record.extras.get().is_none(), "that takes no memory");
    poller(record).take_off_gone();
    assert_eq!(keys(record), [two]);
}

#[test]
fn what_is_below_a_frame_that_moves_goes_with_it() {
    let record = &Record::empty();
    let [moves, stays] = [(); 2].map(|()| insert(record, Key::TASK));
    let child = insert(record, moves);
    insert(record, child);
    let other = insert(record, stays);
    record.note_gone(moves, Gone::Moved);
    assert_eq!(keys(record), [stays, other]);
    poller(record).take_off_gone();
    assert_eq!(keys(record), [stays, other]);
    assert!(!polled(record, child, moves, STAMP));

    // But what has ended may leave something behind.
    record.note_gone(stays, Gone::Ended);
    assert_eq!(keys(record), [other]);
    poller(record).take_off_gone();
    assert_eq!(keys(record), [other]);
}

#[test]
fn what_is_noted_late_changes_nothing() {
    let record = &Record::empty();
    let old = insert(record, Key::TASK);
    remove(record, old);
    let new = insert(record, Key::TASK);
    record.note_gone(old, Gone::Ended);
    assert_eq!(keys(record), [new]);
    assert!(!record.turn.has(GONE), "there is nothing to look at");
    record.note_gone(new, Gone::Moved);
    record.note_gone(new, Gone::Ended);
    assert_eq!(keys(record), []);
}

#[test]
fn what_cannot_be_marked_is_on_a_list() {
    let record = &Record::empty();
    let live: Vec<Key> = (0..2 * LAST_KEPT)
        .map(|_| insert(record, Key::TASK))
        .collect();
    let (kept, later) = live.split_at(LAST_KEPT as usize);
    record.note_gone(kept[0], Gone::Ended);
    record.note_gone(later[0], Gone::Ended);
    let stays: Vec<Key> = kept[1..].iter().chain(&later[1..]).copied().collect();
    assert_eq!(keys(record), stays);
    poller(record).take_off_gone();
    assert_eq!(keys(record), stays);
    assert!(!record.turn.has(GONE));
    // Their slots are used again.
    let new: Vec<Key> = (0..2).map(|_| insert(record, Key::TASK)).collect();
    assert!(new.iter().all(|key| key.slot() <= 2 * LAST_KEPT));
}

#[test]
fn labels_go_with_their_frames() {
    let record = &Record::empty();
    let label: Arc<str> = "a label".into();
    let identity = Identity::new(Origin::Function(&META), Some(label.clone()), Some(7));
    let key = poller(record)
        .register(None, &identity, Key::TASK, STAMP)
        .unwrap();
    let copy = record.copy_frames().unwrap();
    assert_eq!(copy[0].identity.label(), Some(label.clone()));
    assert_eq!(copy[0].identity.awaits(), [7]);
    drop((copy, identity));
    remove(record, key);
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
    let record = &Record::empty();
    let key = insert(record, Key::TASK);
    let own = poller(record);
    assert!(own.set_waker(key, &waker).is_none());
    assert!(own.set_waker(key, &waker).is_none(), "it is the same");
    assert_eq!(own.wakers().len(), 1);
    let replaced = own.set_waker(key, Waker::noop());
    assert!(replaced.is_some_and(|replaced| replaced.will_wake(&waker)));
    assert!(own.set_waker(key, &waker).is_some());
    assert!(record.copy_frames().unwrap()[0].own_waker);
    assert!(
        polled(record, key, Key::TASK, STAMP),
        "the mark is no parent"
    );
    assert!(remove(record, key).is_some());
    drop(waker);
    assert_eq!(Arc::strong_count(&counted), 1);
}

#[test]
fn a_slot_is_used_again_with_another_key() {
    let record = &Record::empty();
    let first = insert(record, Key::TASK);
    let second = insert(record, Key::TASK);
    remove(record, first);
    let again = insert(record, Key::TASK);
    assert_eq!(again.slot(), first.slot());
    assert_ne!(again, first);
    assert_eq!(keys(record), [again, second]);
    remove(record, first);
    assert_eq!(keys(record), [again, second], "it is another frame");
    assert!(poller(record).clear_frames().is_none());
    assert_eq!(insert(record, Key::TASK).slot(), 1, "none was in use");
    record.note_gone(insert(record, Key::TASK), Gone::Ended);
    assert_eq!(
        insert(record, Key::TASK).slot(),
        2,
        "that was taken off before"
    );
}

#[test]
fn a_frame_that_is_registered_again_keeps_its_key() {
    let record = &Record::empty();
    let [parent, child] = [(); 2].map(|()| insert(record, Key::TASK));
    let again = |key, stamp| {
        let identity = Identity::Static(&META);
        poller(record).register(Some(key), &identity, parent, stamp)
    };
    let later = Stamp::new(2, Tick(2));
    assert_eq!(again(child, later), Some(child));
    let seen = &record.copy_frames().unwrap()[1];
    assert_eq!((seen.parent, seen.stamp), (parent, later));
    remove(record, child);
    assert_ne!(again(child, later), Some(child), "it has ended");
}

#[test]
fn slots_are_found_by_their_numbers_and_in_their_order() {
    let record = &Record::empty();
    let live: Vec<Key> = (0..3 * LAST_KEPT)
        .map(|_| insert(record, Key::TASK))
        .collect();
    for (number, key) in (1..).zip(live) {
        assert_eq!(key.slot(), number);
        assert!(record.slot(number).is_some_and(|slot| slot.is(key)));
        let in_order: Vec<_> = record.slots(number).map(std::ptr::from_ref).collect();
        let by_number = (1..=number).filter_map(|number| record.slot(number));
        assert!(by_number.map(std::ptr::from_ref).eq(in_order));
    }
    assert_eq!(record.kept_slots(u32::MAX).count(), LAST_KEPT as usize);
}
