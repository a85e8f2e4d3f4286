//! The protocol of [`Handshake`], in all interleavings that loom can tell apart. A room that two
//! use at the same time shows as a panic of loom's cell.
//!
//! A signal handler is a thread here. That it interrupts another thread of the program makes no
//! difference to the two that share a room: the asker is never the thread that is asked.

use loom::thread;

use super::*;
use crate::sync::Arc;

const THREAD: u64 = 7;

fn shared() -> Arc<Handshake<u32>> {
    Arc::new(Handshake::new(0))
}

fn handler(shared: &Arc<Handshake<u32>>, thread: u64, value: u32) -> thread::JoinHandle<()> {
    let shared = Arc::clone(shared);
    thread::spawn(move || shared.answer(thread, |room| *room = value))
}

/// Asks, and tells what has come of it.
fn ask(shared: &Handshake<u32>, looks: usize) -> Result<(), Unanswered> {
    // SAFETY: each model has one asker, and asks again only after an answer or none.
    unsafe {
        shared.with_room(|room| *room = 1);
        shared.ask(THREAD);
    }
    for _ in 0..looks {
        if shared.is_answered() {
            break;
        }
        thread::yield_now();
    }
    // SAFETY: as above.
    unsafe { shared.give_up() }
}

fn room(shared: &Handshake<u32>) -> u32 {
    // SAFETY: as above.
    unsafe { shared.with_room(|room| *room) }
}

#[test]
fn an_answer_is_seen_whole_or_not_at_all() {
    loom::model(|| {
        let shared = shared();
        let handler = handler(&shared, THREAD, 2);
        match ask(&shared, 1) {
            Ok(()) => assert_eq!(room(&shared), 2),
            Err(Unanswered::NotBegun) => assert_eq!(room(&shared), 1),
            Err(Unanswered::Unfinished) => {}
        }
        handler.join().unwrap();
    });
}

#[test]
fn a_handler_that_comes_late_does_no_harm() {
    loom::model(|| {
        let shared = shared();
        let late = handler(&shared, THREAD, 2);
        if ask(&shared, 0) != Err(Unanswered::Unfinished) {
            // It may answer this one.
            match ask(&shared, 1) {
                Ok(()) => assert_eq!(room(&shared), 2),
                Err(Unanswered::NotBegun) => assert_eq!(room(&shared), 1),
                Err(Unanswered::Unfinished) => {}
            }
        }
        late.join().unwrap();
    });
}

#[test]
fn another_thread_does_not_answer() {
    loom::model(|| {
        let shared = shared();
        let other = handler(&shared, THREAD + 1, 3);
        assert_eq!(ask(&shared, 1), Err(Unanswered::NotBegun));
        assert_eq!(room(&shared), 1);
        other.join().unwrap();
    });
}

#[test]
fn two_handlers_answer_once() {
    loom::model(|| {
        let shared = shared();
        let handlers = [handler(&shared, THREAD, 2), handler(&shared, THREAD, 3)];
        match ask(&shared, 1) {
            Ok(()) => assert!([2, 3].contains(&room(&shared))),
            Err(Unanswered::NotBegun) => assert_eq!(room(&shared), 1),
            Err(Unanswered::Unfinished) => {}
        }
        for handler in handlers {
            handler.join().unwrap();
        }
    });
}

/// What a handler has not finished is taken back when it has.
#[test]
fn a_room_that_was_left_comes_back() {
    loom::model(|| {
        let shared = shared();
        let slow = handler(&shared, THREAD, 2);
        if ask(&shared, 0) == Err(Unanswered::Unfinished) {
            while !shared.is_answered() {
                thread::yield_now();
            }
            assert_eq!(room(&shared), 2);
            // It can be asked again, and nobody answers any more.
            assert_eq!(ask(&shared, 1), Err(Unanswered::NotBegun));
            assert_eq!(room(&shared), 1);
        }
        slow.join().unwrap();
    });
}
