//! Checks the table of frames in all interleavings with at most two preemptions.
//!
//! Each frame's description implies its parent. The two words are written one after the other, so a copy that mixes the
//! fields of two frames is detected. In each model the poller makes one change while a reader copies: loom tries all
//! ways to interleave the steps of the two, and all values that a relaxed load may return.

use std::sync::Arc as StdArc;

use loom::sync::Arc;
use loom::thread;

use super::tests::{polled, poller};
use super::*;
use crate::origin::{Identity, Origin};
use crate::task::last_poll::LastPoll;
use crate::task::slot::DetachReason;
use crate::task::table::LAST_KEPT;

static ONE: FrameMeta = FrameMeta::new(Some("one"), || "", "", 1, 1);
static TWO: FrameMeta = FrameMeta::new(Some("two"), || "", "", 2, 2);

const FIRST: LastPoll = LastPoll::new(1, CoarseInstant(1));
const SECOND: LastPoll = LastPoll::new(2, CoarseInstant(2));

fn insert(
    header: &Header,
    meta: &'static FrameMeta,
    parent: FrameKey,
    last_poll: LastPoll,
) -> FrameKey {
    register(header, None, meta, parent, last_poll)
}

fn register(
    header: &Header,
    known: Option<FrameKey>,
    meta: &'static FrameMeta,
    parent: FrameKey,
    last_poll: LastPoll,
) -> FrameKey {
    let key = poller(header).register(known, &Identity::Static(meta), parent, last_poll);
    key.expect("there is room")
}

fn remove(header: &Header, key: FrameKey) {
    assert!(poller(header).remove(key).is_none());
}

fn name(frame: &FrameCopy) -> &'static str {
    frame.identity.origin().name()
}

fn copy(header: &Header) -> Option<Vec<FrameCopy>> {
    let mut copy = read::TableCopy::default();
    header.try_copy(&mut copy).then_some(copy.frames)
}

/// Runs `change` on a header that `prepare` has set up, while a reader copies its frames, and passes the copy to
/// `check`.
fn model<T: Send + 'static>(
    prepare: impl Fn(&Header) -> T + Send + Sync + 'static,
    change: impl Fn(&Header, T) + Send + Sync + 'static,
    check: impl Fn(Vec<FrameCopy>) + Send + Sync + 'static,
) {
    let parts = StdArc::new((prepare, change, check));
    loom::model(move || {
        let (prepare, change, check) = &*parts;
        let header = Arc::new(Header::empty());
        let prepared = prepare(&header);
        let reader = {
            let header = header.clone();
            thread::spawn(move || copy(&header))
        };
        change(&header, prepared);
        if let Some(copy) = reader.join().unwrap() {
            check(copy);
        }
    });
}

#[test]
fn a_new_frame_is_copied_whole() {
    model(
        |_| (),
        |header, ()| {
            let one = insert(header, &ONE, FrameKey::TASK, FIRST);
            insert(header, &TWO, one, FIRST);
        },
        |copy| {
            for frame in &copy {
                match name(frame) {
                    "one" => assert_eq!(frame.parent, FrameKey::TASK),
                    _ => assert_eq!(frame.parent, copy[0].key, "its parent was there before it"),
                }
                assert_eq!(frame.since, CoarseInstant(1));
            }
        },
    );
}

#[test]
fn a_copy_never_mixes_two_frames_of_a_reused_slot() {
    model(
        |header| insert(header, &ONE, FrameKey::TASK, FIRST),
        |header, one| {
            remove(header, one);
            let parent = FrameKey::new(7, 7);
            let two = insert(header, &TWO, parent, SECOND);
            assert_eq!(two.slot(), one.slot());
            assert_ne!(two, one);
        },
        |copy| {
            for frame in copy {
                match name(&frame) {
                    "one" => assert_eq!(
                        (frame.parent, frame.since),
                        (FrameKey::TASK, CoarseInstant(1))
                    ),
                    _ => assert_eq!(
                        (frame.parent, frame.since),
                        (FrameKey::new(7, 7), CoarseInstant(2))
                    ),
                }
            }
        },
    );
}

#[test]
fn a_moved_frame_is_below_the_old_or_the_new_parent() {
    model(
        |header| insert(header, &ONE, FrameKey::TASK, FIRST),
        |header, one| {
            assert!(polled(header, one, FrameKey::TASK, SECOND));
            register(header, Some(one), &ONE, FrameKey::new(7, 7), SECOND);
        },
        |copy| {
            let [one] = &copy[..] else {
                panic!("it was there all the time");
            };
            assert!([FrameKey::TASK, FrameKey::new(7, 7)].contains(&one.parent));
            assert!([FIRST, SECOND].contains(&one.last_poll));
        },
    );
}

#[test]
fn a_detached_frame_is_removed_once() {
    loom::model(|| {
        let header = Arc::new(Header::empty());
        let one = insert(&header, &ONE, FrameKey::TASK, FIRST);
        let dropper = thread::spawn({
            let header = header.clone();
            move || {
                header.mark_detached(one, DetachReason::Ended);
                let copy = header.copy_frames().unwrap_or_default();
                assert!(copy.iter().all(|frame| frame.key != one));
            }
        });
        let two = insert(&header, &TWO, FrameKey::TASK, FIRST);
        dropper.join().unwrap();
        poller(&header).remove_detached();
        assert!(header.find_frame(one).is_none());
        assert!(header.find_frame(two).is_some());
    });
}

#[test]
fn an_inner_frame_is_not_copied_without_the_outer_one_that_moved() {
    model(
        |header| {
            let one = insert(header, &ONE, FrameKey::TASK, FIRST);
            insert(header, &TWO, one, FIRST);
            one
        },
        |header, one| {
            header.mark_detached(one, DetachReason::Moved);
            poller(header).remove_detached();
        },
        |copy| {
            let names: Vec<_> = copy.iter().map(name).collect();
            assert!(names != ["two"]);
        },
    );
}

/// Registers a frame in a slot that a reader reads after `others` empty slots.
fn insert_after(
    header: &Header,
    others: u32,
    meta: &'static FrameMeta,
    parent: FrameKey,
) -> FrameKey {
    let others = (0..others).map(|_| insert(header, &ONE, FrameKey::TASK, FIRST));
    let others: Vec<FrameKey> = others.collect();
    let key = insert(header, meta, parent, FIRST);
    others.into_iter().for_each(|other| remove(header, other));
    key
}

#[test]
fn an_inner_frame_is_not_copied_without_the_outer_one_that_ended() {
    // The slot of the inner frame is read first.
    detach_inner_then_outer(|header| {
        let outer = insert_after(header, 1, &ONE, FrameKey::TASK);
        (insert(header, &TWO, outer, FIRST), outer)
    });
}

#[test]
fn an_inner_frame_is_not_copied_without_a_listed_outer_one() {
    detach_inner_then_outer(|header| {
        let outer = insert_after(header, LAST_KEPT, &ONE, FrameKey::TASK);
        (insert(header, &TWO, outer, FIRST), outer)
    });
}

#[test]
fn a_listed_inner_frame_is_not_copied_without_the_outer_one() {
    detach_inner_then_outer(|header| {
        let outer = insert(header, &ONE, FrameKey::TASK, FIRST);
        let inner = insert_after(header, LAST_KEPT, &TWO, outer);
        (inner, outer)
    });
}

/// Detaches an inner frame and then the outer one, which `prepare` returns in this order, while a reader copies.
fn detach_inner_then_outer(prepare: fn(&Header) -> (FrameKey, FrameKey)) {
    model(
        prepare,
        |header, (inner, outer)| {
            header.mark_detached(inner, DetachReason::Ended);
            header.mark_detached(outer, DetachReason::Ended);
        },
        |copy| {
            let names: Vec<_> = copy.iter().map(name).collect();
            assert!(names != ["two"]);
        },
    );
}

#[test]
fn a_copied_label_belongs_to_its_frame() {
    let label = |text: &str| Identity::new(Origin::Function(&ONE), Some(text.into()), None);
    loom::model(move || {
        let header = Arc::new(Header::empty());
        let one = poller(&header)
            .register(None, &label("one"), FrameKey::TASK, FIRST)
            .unwrap();
        let reader = thread::spawn({
            let header = header.clone();
            move || copy(&header)
        });
        remove(&header, one);
        poller(&header)
            .register(None, &label("two"), FrameKey::TASK, SECOND)
            .unwrap();
        for frame in reader.join().unwrap().unwrap_or_default() {
            let expected = if frame.since == CoarseInstant(1) {
                "one"
            } else {
                "two"
            };
            assert_eq!(frame.identity.label().as_deref(), Some(expected));
        }
    });
}
