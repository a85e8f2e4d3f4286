//! Checks the protocol of [`Handshake`] in all interleavings with at most two preemptions. If two threads use the
//! buffer at the same time, loom's cell panics.
//!
//! A thread stands in for the signal handler. The real handler runs on the interrupted thread, which is never the
//! requester, so a separate thread has the same interleavings with the requester.

use loom::thread;

use super::*;
use crate::sync::Arc;

const THREAD: u64 = 7;

fn shared() -> Arc<Handshake<u32>> {
    Arc::new(Handshake::new(0))
}

fn handler(shared: &Arc<Handshake<u32>>, thread: u64, value: u32) -> thread::JoinHandle<()> {
    let shared = Arc::clone(shared);
    thread::spawn(move || shared.answer(thread, |buffer| *buffer = value))
}

/// Posts a request, checks for the answer up to `checks` times, and then withdraws the request.
fn request(shared: &Handshake<u32>, checks: usize) -> Result<(), RequestError> {
    // SAFETY: each model has one requester, which calls this again only after its last request was answered, or
    // withdrawn before the handler started.
    unsafe {
        shared.with_buffer(|buffer| *buffer = 1);
        shared.post_request(THREAD);
    }
    for _ in 0..checks {
        if shared.is_answered() {
            break;
        }
        thread::yield_now();
    }
    // SAFETY: each model has one requester, which calls this function.
    unsafe { shared.withdraw() }
}

fn buffer(shared: &Handshake<u32>) -> u32 {
    // SAFETY: each model has one requester. It calls this function only after its last request was answered, or
    // withdrawn before the handler started.
    unsafe { shared.with_buffer(|buffer| *buffer) }
}

#[test]
fn a_requester_reads_a_whole_answer_or_none() {
    loom::model(|| {
        let shared = shared();
        let handler = handler(&shared, THREAD, 2);
        match request(&shared, 1) {
            Ok(()) => assert_eq!(buffer(&shared), 2),
            Err(RequestError::NotStarted) => assert_eq!(buffer(&shared), 1),
            Err(RequestError::Unfinished) => {}
        }
        handler.join().unwrap();
    });
}

#[test]
fn a_late_handler_does_not_corrupt_the_next_request() {
    loom::model(|| {
        let shared = shared();
        let late = handler(&shared, THREAD, 2);
        if request(&shared, 0) != Err(RequestError::Unfinished) {
            // The late handler may answer this request.
            match request(&shared, 1) {
                Ok(()) => assert_eq!(buffer(&shared), 2),
                Err(RequestError::NotStarted) => assert_eq!(buffer(&shared), 1),
                Err(RequestError::Unfinished) => {}
            }
        }
        late.join().unwrap();
    });
}

#[test]
fn a_handler_on_another_thread_does_not_answer() {
    loom::model(|| {
        let shared = shared();
        let other = handler(&shared, THREAD + 1, 3);
        assert_eq!(request(&shared, 1), Err(RequestError::NotStarted));
        assert_eq!(buffer(&shared), 1);
        other.join().unwrap();
    });
}

#[test]
fn one_of_two_handlers_answers() {
    loom::model(|| {
        let shared = shared();
        let handlers = [handler(&shared, THREAD, 2), handler(&shared, THREAD, 3)];
        match request(&shared, 1) {
            Ok(()) => assert!([2, 3].contains(&buffer(&shared))),
            Err(RequestError::NotStarted) => assert_eq!(buffer(&shared), 1),
            Err(RequestError::Unfinished) => {}
        }
        for handler in handlers {
            handler.join().unwrap();
        }
    });
}

#[test]
fn an_abandoned_buffer_is_usable_after_its_handler_has_finished() {
    loom::model(|| {
        let shared = shared();
        let slow = handler(&shared, THREAD, 2);
        if request(&shared, 0) == Err(RequestError::Unfinished) {
            while !shared.is_answered() {
                thread::yield_now();
            }
            assert_eq!(buffer(&shared), 2);
            // Another request can be posted, and no handler is left to answer it.
            assert_eq!(request(&shared, 1), Err(RequestError::NotStarted));
            assert_eq!(buffer(&shared), 1);
        }
        slow.join().unwrap();
    });
}
