//! The protocol between a giver and who waits for the answer, in all interleavings that loom can tell
//! apart.
//!
//! An answer that is missed shows as a deadlock, which loom reports; one that is read while it is
//! written, as a panic of loom's cell.

use std::sync::Arc as StdArc;
use std::task::Wake;

use loom::sync::Notify;
use loom::thread;

use super::*;

fn spawn_giver(giver: Giver<u32>, answer: u32) -> thread::JoinHandle<()> {
    thread::spawn(move || giver.give(Ok(answer)))
}

#[test]
fn a_thread_is_told() {
    loom::model(|| {
        let (giver, answer) = promise();
        let giver = spawn_giver(giver, 7);
        assert!(answer.wait(None));
        assert_eq!(answer.take(), Some(Ok(7)));
        assert_eq!(answer.take(), None, "it is taken once");
        giver.join().unwrap();
    });
}

#[test]
fn an_answer_is_seen_whole_or_not_at_all() {
    loom::model(|| {
        let (giver, answer) = promise();
        let giver = spawn_giver(giver, 7);
        let taken = answer.take();
        assert!(matches!(taken, None | Some(Ok(7))));
        giver.join().unwrap();
        assert_eq!(taken.is_none(), answer.take().is_some());
    });
}

struct Signal(Notify);

impl Wake for Signal {
    fn wake(self: StdArc<Self>) {
        self.0.notify();
    }
}

/// Each poll has a waker of its own, of which the last counts.
#[test]
fn a_waker_is_woken() {
    loom::model(|| {
        let (giver, answer) = promise();
        let giver = spawn_giver(giver, 7);
        let signal = || StdArc::new(Signal(Notify::new()));
        let mut polled = answer.poll(signal().into());
        if polled.is_pending() {
            let signal = signal();
            polled = answer.poll(StdArc::clone(&signal).into());
            while polled.is_pending() {
                signal.0.wait();
                polled = answer.poll(StdArc::clone(&signal).into());
            }
        }
        assert_eq!(polled, Poll::Ready(Ok(7)));
        giver.join().unwrap();
    });
}

#[test]
fn answers_that_were_asked_for_together() {
    loom::model(|| {
        let mut answers = Answers::new(2);
        let (first, second) = (answers.promise(), answers.promise());
        let givers = [spawn_giver(first.0, 1), spawn_giver(second.0, 2)];
        // The last first, as a dump does.
        assert!(second.1.wait(None) && first.1.wait(None));
        assert_eq!(second.1.take(), Some(Ok(2)));
        assert_eq!(first.1.take(), Some(Ok(1)));
        for giver in givers {
            giver.join().unwrap();
        }
    });
}

#[test]
fn a_giver_that_goes_leaves_others_alone() {
    loom::model(|| {
        let mut answers = Answers::new(2);
        let (first, second) = (answers.promise(), answers.promise());
        let giver = thread::spawn(move || {
            drop(first.0);
            second.0.give(Ok(2));
        });
        assert!(second.1.wait(None));
        assert_eq!(first.1.take(), None);
        assert_eq!(second.1.take(), Some(Ok(2)));
        giver.join().unwrap();
    });
}
