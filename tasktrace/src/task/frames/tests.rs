use std::sync::Arc;
use std::task::{Wake, Waker};

use super::*;
use crate::origin::{Identity, Origin};
use crate::task::last_poll::LastPoll;
use crate::task::poll_state::DETACHED;
use crate::task::poller::Poller;
use crate::task::slot::DetachReason;
use crate::task::table::LAST_KEPT;

static META: FrameMeta = FrameMeta::new(None, || "", "", 1, 1);

const POLL: LastPoll = LastPoll::new(1, CoarseInstant(1));

/// Returns the role of the poller of a header in a test.
pub(super) fn poller(header: &Header) -> Poller<'_> {
    // SAFETY: each test and each model has one thread that polls. Only that thread calls this, and it uses the poller
    // only while the header is alive.
    unsafe { Poller::new(&*std::ptr::from_ref(header)) }
}

fn insert(header: &Header, parent: FrameKey) -> FrameKey {
    poller(header)
        .register(None, &Identity::Static(&META), parent, POLL)
        .expect("there is room")
}

/// Notes a poll of a frame, as [`FrameState`](crate::task::frame_state::FrameState) does. Returns `false` if the frame
/// is not registered below this parent.
pub(super) fn polled(
    header: &Header,
    key: FrameKey,
    parent: FrameKey,
    last_poll: LastPoll,
) -> bool {
    let slot = header
        .find_frame(key)
        .filter(|slot| slot.parent() == parent);
    slot.inspect(|slot| slot.set_last_poll(last_poll)).is_some()
}

fn remove(header: &Header, key: FrameKey) -> Option<Waker> {
    poller(header).remove(key)
}

fn keys(header: &Header) -> Vec<FrameKey> {
    let copy = header.copy_frames().expect("no thread writes");
    copy.iter().map(|frame| frame.key).collect()
}

#[test]
fn slots_of_removed_frames_are_reused() {
    let header = &Header::empty();
    let mut live: Vec<FrameKey> = (0..1000).map(|_| insert(header, FrameKey::TASK)).collect();
    assert_eq!(keys(header), live);
    for key in live.split_off(500) {
        remove(header, key);
    }
    assert_eq!(keys(header), live);
    let used = header.used();
    for _ in 0..500 {
        insert(header, FrameKey::TASK);
    }
    assert_eq!(keys(header).len(), 1000);
    assert_eq!(header.used(), used, "slots are reused");
}

#[test]
fn a_key_of_a_removed_frame_is_rejected() {
    let header = &Header::empty();
    let old = insert(header, FrameKey::TASK);
    remove(header, old);
    let new = insert(header, FrameKey::TASK);
    assert_eq!(old.slot(), new.slot());

    assert!(!polled(header, old, FrameKey::TASK, POLL));
    remove(header, old);
    header.mark_detached(old, DetachReason::Ended);
    poller(header).remove_detached();
    assert!(!header.is_below(old, FrameKey::TASK));
    assert!(poller(header).set_waker(old, Waker::noop()).is_none());
    assert_eq!(keys(header), [new]);

    poller(header).clear_frames();
    // SAFETY: the frames have been removed above, and no other thread uses the header.
    unsafe { header.side_table.get_or_insert().reset() };
    assert_eq!(keys(header), []);
    assert!(!polled(header, new, FrameKey::TASK, POLL));
}

#[test]
fn a_detached_frame_is_not_copied() {
    let header = &Header::empty();
    let [one, two] = [(); 2].map(|()| insert(header, FrameKey::TASK));
    header.mark_detached(one, DetachReason::Ended);
    assert_eq!(keys(header), [two]);
    assert!(
        header.side_table.get().is_none(),
        "a mark allocates nothing"
    );
    poller(header).remove_detached();
    assert_eq!(keys(header), [two]);
}

#[test]
fn frames_below_a_moved_frame_are_detached_with_it() {
    let header = &Header::empty();
    let [moves, stays] = [(); 2].map(|()| insert(header, FrameKey::TASK));
    let child = insert(header, moves);
    insert(header, child);
    let other = insert(header, stays);
    header.mark_detached(moves, DetachReason::Moved);
    assert_eq!(keys(header), [stays, other]);
    poller(header).remove_detached();
    assert_eq!(keys(header), [stays, other]);
    assert!(!polled(header, child, moves, POLL));

    // A frame that has ended leaves the frames below it.
    header.mark_detached(stays, DetachReason::Ended);
    assert_eq!(keys(header), [other]);
    poller(header).remove_detached();
    assert_eq!(keys(header), [other]);
}

#[test]
fn detaching_a_frame_late_does_not_affect_the_next_one_in_its_slot() {
    let header = &Header::empty();
    let old = insert(header, FrameKey::TASK);
    remove(header, old);
    let new = insert(header, FrameKey::TASK);
    header.mark_detached(old, DetachReason::Ended);
    assert_eq!(keys(header), [new]);
    assert!(
        !header.poll_state.has(DETACHED),
        "there is nothing to remove"
    );
    header.mark_detached(new, DetachReason::Moved);
    header.mark_detached(new, DetachReason::Ended);
    assert_eq!(keys(header), []);
}

#[test]
fn frames_in_slots_that_cannot_be_marked_are_listed() {
    let header = &Header::empty();
    let live: Vec<FrameKey> = (0..2 * LAST_KEPT)
        .map(|_| insert(header, FrameKey::TASK))
        .collect();
    let (kept, later) = live.split_at(LAST_KEPT as usize);
    header.mark_detached(kept[0], DetachReason::Ended);
    header.mark_detached(later[0], DetachReason::Ended);
    let stays: Vec<FrameKey> = kept[1..].iter().chain(&later[1..]).copied().collect();
    assert_eq!(keys(header), stays);
    poller(header).remove_detached();
    assert_eq!(keys(header), stays);
    assert!(!header.poll_state.has(DETACHED));
    // Their slots are reused.
    let new: Vec<FrameKey> = (0..2).map(|_| insert(header, FrameKey::TASK)).collect();
    assert!(new.iter().all(|key| key.slot() <= 2 * LAST_KEPT));
}

#[test]
fn a_label_is_dropped_with_its_frame() {
    let header = &Header::empty();
    let label: Arc<str> = "a label".into();
    let identity = Identity::new(Origin::Function(&META), Some(label.clone()), Some(7));
    let key = poller(header)
        .register(None, &identity, FrameKey::TASK, POLL)
        .unwrap();
    let copy = header.copy_frames().unwrap();
    assert_eq!(copy[0].identity.label(), Some(label.clone()));
    assert_eq!(copy[0].identity.awaits(), [7]);
    drop((copy, identity));
    remove(header, key);
    assert_eq!(Arc::strong_count(&label), 1);
}

#[test]
fn replaced_and_removed_wakers_are_returned() {
    struct Counted;
    impl Wake for Counted {
        fn wake(self: Arc<Self>) {}
    }
    let counted = Arc::new(Counted);
    let waker = Waker::from(counted.clone());
    let header = &Header::empty();
    let key = insert(header, FrameKey::TASK);
    let own = poller(header);
    assert!(own.set_waker(key, &waker).is_none());
    assert!(
        own.set_waker(key, &waker).is_none(),
        "the waker is already stored"
    );
    assert_eq!(own.wakers().len(), 1);
    let replaced = own.set_waker(key, Waker::noop());
    assert!(replaced.is_some_and(|replaced| replaced.will_wake(&waker)));
    assert!(own.set_waker(key, &waker).is_some());
    assert!(header.copy_frames().unwrap()[0].own_waker);
    assert!(
        polled(header, key, FrameKey::TASK, POLL),
        "the flag is not a part of the parent"
    );
    assert!(remove(header, key).is_some());
    drop(waker);
    assert_eq!(Arc::strong_count(&counted), 1);
}

#[test]
fn a_reused_slot_gets_another_key() {
    let header = &Header::empty();
    let first = insert(header, FrameKey::TASK);
    let second = insert(header, FrameKey::TASK);
    remove(header, first);
    let again = insert(header, FrameKey::TASK);
    assert_eq!(again.slot(), first.slot());
    assert_ne!(again, first);
    assert_eq!(keys(header), [again, second]);
    remove(header, first);
    assert_eq!(
        keys(header),
        [again, second],
        "the key is that of another frame"
    );
    assert!(poller(header).clear_frames().is_none());
    assert_eq!(insert(header, FrameKey::TASK).slot(), 1, "none was in use");
    header.mark_detached(insert(header, FrameKey::TASK), DetachReason::Ended);
    assert_eq!(
        insert(header, FrameKey::TASK).slot(),
        2,
        "the detached frame was removed before"
    );
}

#[test]
fn a_frame_that_is_registered_again_keeps_its_key() {
    let header = &Header::empty();
    let [parent, child] = [(); 2].map(|()| insert(header, FrameKey::TASK));
    let again = |key, last_poll| {
        let identity = Identity::Static(&META);
        poller(header).register(Some(key), &identity, parent, last_poll)
    };
    let later = LastPoll::new(2, CoarseInstant(2));
    assert_eq!(again(child, later), Some(child));
    let seen = &header.copy_frames().unwrap()[1];
    assert_eq!((seen.parent, seen.last_poll), (parent, later));
    remove(header, child);
    assert_ne!(again(child, later), Some(child), "it has ended");
}

#[test]
fn slots_are_found_by_number_and_in_order() {
    let header = &Header::empty();
    let live: Vec<FrameKey> = (0..3 * LAST_KEPT)
        .map(|_| insert(header, FrameKey::TASK))
        .collect();
    for (number, key) in (1..).zip(live) {
        assert_eq!(key.slot(), number);
        assert!(header.slot(number).is_some_and(|slot| slot.contains(key)));
        let in_order: Vec<_> = header.slots(number).map(std::ptr::from_ref).collect();
        let by_number = (1..=number).filter_map(|number| header.slot(number));
        assert!(by_number.map(std::ptr::from_ref).eq(in_order));
    }
    assert_eq!(header.kept_slots(u32::MAX).count(), LAST_KEPT as usize);
}
