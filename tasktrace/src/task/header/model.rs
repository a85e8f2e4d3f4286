//! Checks what readers see of a task while it is polled, in all interleavings with at most two preemptions.
//!
//! Each poll starts at a time of its own, so a time that belongs to another poll is detected. The second of the three
//! polls is only for a request, and restores the times of the first.

use loom::sync::Arc;
use loom::thread;

use super::*;
use crate::origin::FrameMeta;
use crate::task::poller::Poller;
use crate::task::requests::PollPurpose;
use crate::task::slot::FrameKey;
use crate::task::wait_limit;

static LIMITED_META: FrameMeta = FrameMeta::new(Some("limited"), || "", "", 1, 1).wait_limit(1);

const FIRST: CoarseInstant = CoarseInstant(10);
const REQUESTED: CoarseInstant = CoarseInstant(20);
const LAST: CoarseInstant = CoarseInstant(30);

fn poller(header: &Header) -> Poller<'_> {
    // SAFETY: each model has one thread that polls. Only that thread calls this, and it uses the poller only while the
    // header is alive.
    unsafe { Poller::new(&*std::ptr::from_ref(header)) }
}

/// Starts a poll.
fn begin(header: &Header, now: CoarseInstant) {
    let request = poller(header).begin_poll(Waker::noop(), 1, false);
    assert_eq!(request, PollPurpose::Task);
    let (last_poll, has_wrapped) = header.last_poll().next(now);
    assert!(!has_wrapped);
    poller(header).store_started(last_poll);
}

/// Returns a task with a frame, after its first poll.
fn polled_once() -> (Arc<Header>, FrameKey) {
    crate::origin::set_any_limits();
    let header = Arc::new(Header::empty());
    begin(&header, FIRST);
    let identity = Identity::Static(&LIMITED_META);
    let key = poller(&header).register(None, &identity, FrameKey::TASK, header.last_poll());
    poller(&header).note_suspended();
    (header, key.expect("there is room"))
}

/// Makes a poll as [`poll`](crate::task::poll) does for a probe: the task makes no progress in it.
fn poll_for_probe(header: &Header, key: FrameKey) {
    let (before, times) = (header.last_poll(), poller(header).times());
    begin(header, REQUESTED);
    let frame = header.find_frame(key).expect("it is there");
    frame.set_last_poll(header.last_poll());
    poller(header).note_suspended_without_progress(before, Some(&times));
}

#[test]
fn a_reader_sees_a_poll_with_its_own_start_time() {
    loom::model(|| {
        let (header, key) = polled_once();
        let reader = thread::spawn({
            let header = header.clone();
            move || match header.observe() {
                Observation::Running { poll, since } => {
                    assert_eq!(since, [FIRST, REQUESTED, LAST][poll as usize - 1]);
                }
                Observation::Suspended { poll, since } => {
                    assert!(poll < 3);
                    assert_eq!(since, FIRST, "of poll {poll}");
                }
                observation => panic!("it has been polled, and has not ended: {observation:?}"),
            }
        });
        poll_for_probe(&header, key);
        begin(&header, LAST);
        reader.join().unwrap();
        assert!(matches!(
            header.observe(),
            Observation::Running {
                poll: 3,
                since: LAST
            }
        ));
    });
}

#[test]
fn a_probe_does_not_change_how_long_a_frame_has_waited() {
    loom::model(|| {
        let (header, key) = polled_once();
        let reader = thread::spawn({
            let header = header.clone();
            move || {
                let limited = wait_limit::wait_limits(&header);
                for function in limited.iter().flatten() {
                    assert_eq!(function.polled, FIRST);
                }
            }
        });
        poll_for_probe(&header, key);
        reader.join().unwrap();
        let limited = wait_limit::wait_limits(&header).expect("it is at rest");
        assert_eq!(limited.len(), 1);
        assert_eq!(limited[0].polled, FIRST);
    });
}
