use std::sync::Arc;
use std::task::Wake;

use super::*;
use crate::origin::Origin;

static META: FrameMeta = FrameMeta::new(None, || "", "", 1, 1);

const STAMP: Stamp = Stamp::new(1, Tick(1));

fn insert(frames: &Frames, parent: Key) -> Key {
    // SAFETY: a test is the owner of its frames.
    unsafe { frames.insert(&Identity::Static(&META), parent, STAMP) }
        .expect("there is room")
        .key
}

fn remove(frames: &Frames, key: Key) -> Option<Waker> {
    // SAFETY: a test is the owner of its frames.
    unsafe { frames.remove(key) }
}

fn keys(frames: &Frames) -> Vec<Key> {
    let copy = frames.copy().expect("nobody is writing");
    copy.iter().map(|frame| frame.key).collect()
}

#[test]
fn places() {
    assert_eq!(place(0), None, "that is the task");
    assert_eq!(place(1), Some((0, 0)));
    assert_eq!(place(4), Some((0, 3)));
    assert_eq!(place(5), Some((1, 0)));
    assert_eq!(place(12), Some((1, 7)));
    assert_eq!(place(13), Some((2, 0)));
    let last: u32 = chunk_lengths().sum();
    assert_eq!(place(last).map(|(chunk, _)| chunk), Some(CHUNKS - 1));
    assert_eq!(place(last + 1), None);
    assert_eq!(place(u32::MAX), None);
}

#[test]
fn many_come_and_go() {
    let frames = Frames::new();
    let mut live: Vec<Key> = (0..1000).map(|_| insert(&frames, Key::TASK)).collect();
    assert_eq!(keys(&frames), live);
    for key in live.split_off(500) {
        remove(&frames, key);
    }
    assert_eq!(keys(&frames), live);
    let used = frames.used.load(Ordering::Relaxed);
    for _ in 0..500 {
        insert(&frames, Key::TASK);
    }
    assert_eq!(keys(&frames).len(), 1000);
    assert_eq!(
        frames.used.load(Ordering::Relaxed),
        used,
        "slots are used again"
    );
}

#[test]
fn a_key_that_is_out_of_date_is_no_key() {
    let frames = Frames::new();
    let old = insert(&frames, Key::TASK);
    remove(&frames, old);
    let new = insert(&frames, Key::TASK);
    assert_eq!(old.slot(), new.slot());

    assert!(!frames.polled(old, Key::TASK, STAMP));
    remove(&frames, old);
    frames.note_gone(old, Gone::Ended);
    // SAFETY: a test is the owner of its frames.
    unsafe {
        frames.take_off_gone();
        assert!(!frames.set_parent(old, new));
        assert!(frames.set_waker(old, Waker::noop()).is_none());
    }
    assert_eq!(keys(&frames), [new]);

    // SAFETY: likewise, and there is nobody else.
    unsafe {
        frames.clear();
        frames.shrink();
    }
    assert_eq!(keys(&frames), []);
    assert!(!frames.polled(new, Key::TASK, STAMP));
}

#[test]
fn what_is_noted_as_gone_is_not_seen() {
    let frames = Frames::new();
    let [one, two] = [(); 2].map(|()| insert(&frames, Key::TASK));
    frames.note_gone(one, Gone::Ended);
    assert_eq!(keys(&frames), [two]);
    // SAFETY: a test is the owner of its frames.
    unsafe { frames.take_off_gone() };
    assert_eq!(keys(&frames), [two]);
}

#[test]
fn what_is_below_a_frame_that_moves_goes_with_it() {
    let frames = Frames::new();
    let [moves, stays] = [(); 2].map(|()| insert(&frames, Key::TASK));
    let child = insert(&frames, moves);
    insert(&frames, child);
    let other = insert(&frames, stays);
    frames.note_gone(moves, Gone::Moved);
    assert_eq!(keys(&frames), [stays, other]);
    // SAFETY: a test is the owner of its frames.
    unsafe { frames.take_off_gone() };
    assert_eq!(keys(&frames), [stays, other]);
    assert!(!frames.polled(child, moves, STAMP));

    // But what has ended may leave something behind.
    frames.note_gone(stays, Gone::Ended);
    assert_eq!(keys(&frames), [other]);
    // SAFETY: likewise.
    unsafe { frames.take_off_gone() };
    assert_eq!(keys(&frames), [other]);
}

#[test]
fn labels_go_with_their_frames() {
    let frames = Frames::new();
    let label: Arc<str> = "a label".into();
    let identity = Identity::new(Origin::Function(&META), Some(label.clone()), Some(7));
    // SAFETY: a test is the owner of its frames.
    let key = unsafe { frames.insert(&identity, Key::TASK, STAMP) }
        .unwrap()
        .key;
    let copy = frames.copy().unwrap();
    assert_eq!(copy[0].identity.label(), Some(label.clone()));
    assert_eq!(copy[0].identity.awaits(), [7]);
    drop((copy, identity));
    remove(&frames, key);
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
    let frames = Frames::new();
    let key = insert(&frames, Key::TASK);
    // SAFETY: a test is the owner of its frames.
    unsafe {
        assert!(frames.set_waker(key, &waker).is_none());
        assert!(frames.set_waker(key, &waker).is_none(), "it is the same");
        assert_eq!(frames.wakers().len(), 1);
        let replaced = frames.set_waker(key, Waker::noop());
        assert!(replaced.is_some_and(|replaced| replaced.will_wake(&waker)));
        assert!(frames.set_waker(key, &waker).is_some());
    }
    assert!(frames.copy().unwrap()[0].own_waker);
    assert!(
        frames.polled(key, Key::TASK, STAMP),
        "the mark is no parent"
    );
    assert!(remove(&frames, key).is_some());
    drop(waker);
    assert_eq!(Arc::strong_count(&counted), 1);
}
