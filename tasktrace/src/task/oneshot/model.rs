//! Checks the oneshot channel in all interleavings with at most two preemptions.
//!
//! A missed answer shows as a deadlock, and an answer that is read while it is written as a panic of loom's cell.

use std::sync::Arc as StdArc;
use std::task::Wake;

use loom::sync::Notify;
use loom::thread;

use super::*;

fn spawn_sender(sender: Sender<u32>, answer: u32) -> thread::JoinHandle<()> {
    thread::spawn(move || sender.send(Ok(answer)))
}

#[test]
fn a_thread_that_waits_is_notified() {
    loom::model(|| {
        let (sender, receiver) = channel();
        let sender = spawn_sender(sender, 7);
        assert!(receiver.wait(None));
        assert_eq!(receiver.take(), Some(Ok(7)));
        assert_eq!(receiver.take(), None, "it is taken once");
        sender.join().unwrap();
    });
}

#[test]
fn an_answer_is_seen_whole_or_not_at_all() {
    loom::model(|| {
        let (sender, receiver) = channel();
        let sender = spawn_sender(sender, 7);
        let taken = receiver.take();
        assert!(matches!(taken, None | Some(Ok(7))));
        sender.join().unwrap();
        assert_eq!(taken.is_none(), receiver.take().is_some());
    });
}

struct NotifyOnWake(Notify);

impl Wake for NotifyOnWake {
    fn wake(self: StdArc<Self>) {
        self.0.notify();
    }
}

/// Each poll passes a waker of its own, and only the last waker must be woken.
#[test]
fn the_waker_of_the_last_poll_is_woken() {
    loom::model(|| {
        let (sender, receiver) = channel();
        let sender = spawn_sender(sender, 7);
        let signal = || StdArc::new(NotifyOnWake(Notify::new()));
        let mut polled = receiver.poll(signal().into());
        if polled.is_pending() {
            let signal = signal();
            polled = receiver.poll(StdArc::clone(&signal).into());
            while polled.is_pending() {
                signal.0.wait();
                polled = receiver.poll(StdArc::clone(&signal).into());
            }
        }
        assert_eq!(polled, Poll::Ready(Ok(7)));
        sender.join().unwrap();
    });
}

#[test]
fn answers_of_a_batch_can_be_awaited_in_any_order() {
    loom::model(|| {
        let mut batch = ChannelBatch::new(2);
        let (first, second) = (batch.channel(), batch.channel());
        let senders = [spawn_sender(first.0, 1), spawn_sender(second.0, 2)];
        // The last first, as a dump waits.
        assert!(second.1.wait(None) && first.1.wait(None));
        assert_eq!(second.1.take(), Some(Ok(2)));
        assert_eq!(first.1.take(), Some(Ok(1)));
        for sender in senders {
            sender.join().unwrap();
        }
    });
}

#[test]
fn a_dropped_sender_does_not_disturb_other_channels_of_the_batch() {
    loom::model(|| {
        let mut batch = ChannelBatch::new(2);
        let (first, second) = (batch.channel(), batch.channel());
        let sender = thread::spawn(move || {
            drop(first.0);
            second.0.send(Ok(2));
        });
        assert!(second.1.wait(None));
        assert_eq!(first.1.take(), None);
        assert_eq!(second.1.take(), Some(Ok(2)));
        sender.join().unwrap();
    });
}
