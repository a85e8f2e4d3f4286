//! What is seen of a task while it is polled, in all interleavings that loom can tell apart.
//!
//! Each poll begins at a time of its own, so a time that is taken for that of another poll shows.
//! The poll in the middle is for the sake of somebody who asks, and puts the times back.

use loom::sync::Arc;
use loom::thread;

use super::*;
use crate::origin::FrameMeta;
use crate::task::exchange::Request;
use crate::task::limited;
use crate::task::poller::Poller;
use crate::task::slot::Key;

static LIMITED_META: FrameMeta = FrameMeta::new(Some("limited"), || "", "", 1, 1).wait_limit(1);

const FIRST: Tick = Tick(10);
const ASKED: Tick = Tick(20);
const LAST: Tick = Tick(30);

fn poller(record: &Record) -> Poller<'_> {
    // SAFETY: each model has one thread that polls. It is the one that calls this, and uses the poller while the record is there.
    unsafe { Poller::new(&*std::ptr::from_ref(record)) }
}

fn begin(record: &Record, now: Tick) {
    let request = poller(record).begin_poll(Waker::noop(), 1, false);
    assert_eq!(request, Request::None);
    let (stamp, begin_again) = record.stamp().next(now);
    assert!(!begin_again);
    poller(record).note_poll_of(stamp);
}

/// A record with a frame, after its first poll.
fn polled_once() -> (Arc<Record>, Key) {
    crate::origin::set_any_limits();
    let record = Arc::new(Record::empty());
    begin(&record, FIRST);
    let identity = Identity::Static(&LIMITED_META);
    let key = poller(&record).register(None, &identity, Key::TASK, record.stamp());
    poller(&record).note_settled();
    (record, key.expect("there is room"))
}

/// A poll as [`drive`](crate::task::drive) makes it for a probe.
fn poll_for_nothing_else(record: &Record, key: Key) {
    let (before, times) = (record.stamp(), poller(record).times());
    begin(record, ASKED);
    let frame = record.find_frame(key).expect("it is there");
    frame.set_stamp(record.stamp());
    poller(record).note_settled_idle(before, Some(&times));
}

#[test]
fn a_poll_is_seen_with_the_time_at_which_it_began() {
    loom::model(|| {
        let (record, key) = polled_once();
        let reader = thread::spawn({
            let record = record.clone();
            move || match record.sight() {
                Sight::Running { poll, since } => {
                    assert_eq!(since, [FIRST, ASKED, LAST][poll as usize - 1]);
                }
                Sight::Resting { poll, since } => {
                    assert!(poll < 3);
                    assert_eq!(since, FIRST, "of poll {poll}");
                }
                sight => panic!("it has been polled, and has not ended: {sight:?}"),
            }
        });
        poll_for_nothing_else(&record, key);
        begin(&record, LAST);
        reader.join().unwrap();
        assert!(matches!(
            record.sight(),
            Sight::Running {
                poll: 3,
                since: LAST
            }
        ));
    });
}

#[test]
fn what_is_polled_for_nothing_else_has_been_waiting_all_along() {
    loom::model(|| {
        let (record, key) = polled_once();
        let reader = thread::spawn({
            let record = record.clone();
            move || {
                let limited = limited::of(&record);
                for function in limited.iter().flatten() {
                    assert_eq!(function.polled, FIRST);
                }
            }
        });
        poll_for_nothing_else(&record, key);
        reader.join().unwrap();
        let limited = limited::of(&record).expect("it is at rest");
        assert_eq!(limited.len(), 1);
        assert_eq!(limited[0].polled, FIRST);
    });
}
