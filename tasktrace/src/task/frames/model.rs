//! [`Frames`] in all interleavings that loom can tell apart.
//!
//! Each frame has its parent for an identity: the two words are written one after the other, so a
//! copy that mixes the fields of two frames shows. Each model lets the poller do one thing while a
//! reader copies: loom tries all ways in which the steps of the two can be interleaved, and all
//! values that a relaxed load may return.

use std::sync::Arc as StdArc;

use loom::sync::Arc;
use loom::thread;

use super::tests::{polled, poller};
use super::*;
use crate::origin::{Identity, Origin};
use crate::task::slot::Gone;
use crate::task::stamp::Stamp;
use crate::task::table::LAST_KEPT;

static ONE: FrameMeta = FrameMeta::new(Some("one"), || "", "", 1, 1);
static TWO: FrameMeta = FrameMeta::new(Some("two"), || "", "", 2, 2);

const FIRST: Stamp = Stamp::new(1, Tick(1));
const SECOND: Stamp = Stamp::new(2, Tick(2));

fn insert(record: &Record, meta: &'static FrameMeta, parent: Key, stamp: Stamp) -> Key {
    register(record, None, meta, parent, stamp)
}

fn register(
    record: &Record,
    known: Option<Key>,
    meta: &'static FrameMeta,
    parent: Key,
    stamp: Stamp,
) -> Key {
    let key = poller(record).register(known, &Identity::Static(meta), parent, stamp);
    key.expect("there is room")
}

fn remove(record: &Record, key: Key) {
    assert!(poller(record).remove(key).is_none());
}

fn name(frame: &Copied) -> &'static str {
    frame.identity.origin().name()
}

fn copy(record: &Record) -> Option<Vec<Copied>> {
    let mut copy = read::Draft::default();
    let mut frames = Vec::new();
    let is_copied = record.try_copy(&mut copy) && record.complete(&copy, &mut frames, Some);
    is_copied.then_some(frames)
}

/// Lets the poller `change` what `prepare` has made, and hands what a reader sees to `check`.
fn model<T: Send + 'static>(
    prepare: impl Fn(&Record) -> T + Send + Sync + 'static,
    change: impl Fn(&Record, T) + Send + Sync + 'static,
    check: impl Fn(Vec<Copied>) + Send + Sync + 'static,
) {
    let parts = StdArc::new((prepare, change, check));
    loom::model(move || {
        let (prepare, change, check) = &*parts;
        let record = Arc::new(Record::empty());
        let prepared = prepare(&record);
        let reader = {
            let record = record.clone();
            thread::spawn(move || copy(&record))
        };
        change(&record, prepared);
        if let Some(copy) = reader.join().unwrap() {
            check(copy);
        }
    });
}

#[test]
fn a_new_frame_is_seen_whole() {
    model(
        |_| (),
        |record, ()| {
            let one = insert(record, &ONE, Key::TASK, FIRST);
            insert(record, &TWO, one, FIRST);
        },
        |copy| {
            for frame in &copy {
                match name(frame) {
                    "one" => assert_eq!(frame.parent, Key::TASK),
                    _ => assert_eq!(frame.parent, copy[0].key, "its parent was there before it"),
                }
                assert_eq!(frame.since, Tick(1));
            }
        },
    );
}

#[test]
fn a_slot_that_is_used_again_is_never_seen_half() {
    model(
        |record| insert(record, &ONE, Key::TASK, FIRST),
        |record, one| {
            remove(record, one);
            let parent = Key::new(7, 7);
            let two = insert(record, &TWO, parent, SECOND);
            assert_eq!(two.slot(), one.slot());
            assert_ne!(two, one);
        },
        |copy| {
            for frame in copy {
                match name(&frame) {
                    "one" => assert_eq!((frame.parent, frame.since), (Key::TASK, Tick(1))),
                    _ => assert_eq!((frame.parent, frame.since), (Key::new(7, 7), Tick(2))),
                }
            }
        },
    );
}

#[test]
fn a_frame_is_below_one_parent_or_the_other() {
    model(
        |record| insert(record, &ONE, Key::TASK, FIRST),
        |record, one| {
            assert!(polled(record, one, Key::TASK, SECOND));
            register(record, Some(one), &ONE, Key::new(7, 7), SECOND);
        },
        |copy| {
            let [one] = &copy[..] else {
                panic!("it was there all the time");
            };
            assert!([Key::TASK, Key::new(7, 7)].contains(&one.parent));
            assert!([FIRST, SECOND].contains(&one.stamp));
        },
    );
}

#[test]
fn a_frame_that_ends_elsewhere_is_taken_off_once() {
    loom::model(|| {
        let record = Arc::new(Record::empty());
        let one = insert(&record, &ONE, Key::TASK, FIRST);
        let dropper = thread::spawn({
            let record = record.clone();
            move || {
                record.note_gone(one, Gone::Ended);
                let copy = record.copy_frames().unwrap_or_default();
                assert!(copy.iter().all(|frame| frame.key != one));
            }
        });
        let two = insert(&record, &TWO, Key::TASK, FIRST);
        dropper.join().unwrap();
        poller(&record).take_off_gone();
        assert!(record.find_frame(one).is_none());
        assert!(record.find_frame(two).is_some());
    });
}

#[test]
fn nothing_is_seen_without_what_has_moved_from_around_it() {
    model(
        |record| {
            let one = insert(record, &ONE, Key::TASK, FIRST);
            insert(record, &TWO, one, FIRST);
            one
        },
        |record, one| {
            record.note_gone(one, Gone::Moved);
            poller(record).take_off_gone();
        },
        |copy| {
            let names: Vec<_> = copy.iter().map(name).collect();
            assert!(names != ["two"]);
        },
    );
}

/// In a slot that is looked at after so many others, which are free.
fn insert_after(record: &Record, others: u32, meta: &'static FrameMeta, parent: Key) -> Key {
    let others = (0..others).map(|_| insert(record, &ONE, Key::TASK, FIRST));
    let others: Vec<Key> = others.collect();
    let key = insert(record, meta, parent, FIRST);
    others.into_iter().for_each(|other| remove(record, other));
    key
}

#[test]
fn nothing_is_seen_without_what_has_ended_around_it() {
    // It is looked at before that.
    ends_in_what_ends(|record| {
        let outer = insert_after(record, 1, &ONE, Key::TASK);
        (insert(record, &TWO, outer, FIRST), outer)
    });
}

#[test]
fn nothing_is_seen_without_what_has_ended_around_it_and_is_not_marked() {
    ends_in_what_ends(|record| {
        let outer = insert_after(record, LAST_KEPT, &ONE, Key::TASK);
        (insert(record, &TWO, outer, FIRST), outer)
    });
}

#[test]
fn nothing_that_is_not_marked_is_seen_without_what_has_ended_around_it() {
    ends_in_what_ends(|record| {
        let outer = insert(record, &ONE, Key::TASK, FIRST);
        let inner = insert_after(record, LAST_KEPT, &TWO, outer);
        (inner, outer)
    });
}

/// `prepare` makes a frame inside of another.
fn ends_in_what_ends(prepare: fn(&Record) -> (Key, Key)) {
    model(
        prepare,
        |record, (inner, outer)| {
            record.note_gone(inner, Gone::Ended);
            record.note_gone(outer, Gone::Ended);
        },
        |copy| {
            let names: Vec<_> = copy.iter().map(name).collect();
            assert!(names != ["two"]);
        },
    );
}

#[test]
fn a_label_is_that_of_its_frame() {
    let label = |text: &str| Identity::new(Origin::Function(&ONE), Some(text.into()), None);
    loom::model(move || {
        let record = Arc::new(Record::empty());
        let one = poller(&record)
            .register(None, &label("one"), Key::TASK, FIRST)
            .unwrap();
        let reader = thread::spawn({
            let record = record.clone();
            move || copy(&record)
        });
        remove(&record, one);
        poller(&record)
            .register(None, &label("two"), Key::TASK, SECOND)
            .unwrap();
        for frame in reader.join().unwrap().unwrap_or_default() {
            let expected = if frame.since == Tick(1) { "one" } else { "two" };
            assert_eq!(frame.identity.label().as_deref(), Some(expected));
        }
    });
}
