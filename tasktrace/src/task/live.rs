//! Where a task is, as its record has it.

use std::cell::Cell;

use super::clock::Moment;
use super::frames::Copied;
use super::record::Record;
use super::scope;
use super::slot::Key;
use super::stamp::Stamp;
use crate::capture::{Live, Marker, RawTrace, Recording};
use crate::origin::{FrameMeta, Identity, Origin};
use crate::sync::{self, Inside};

/// The capacity of the buffer of a thread, in frames.
const MOST_KEPT: usize = 1 << 10;

/// Which frames the last poll that has ended should have come to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// The frames that are polled whenever their task is. A frame with a waker of its own is polled only when that
    /// waker is woken.
    InEachPoll,
    /// All frames: the wakers of frames that have their own were woken before this poll.
    InThisPoll,
}

/// Returns the live frames of a task, without asking it.
pub(super) fn frames(record: &Record) -> Vec<Live> {
    let mut live = Vec::new();
    copy(record, Expected::InEachPoll, &mut live);
    live
}

/// Copies the live frames of a task, where the last poll that has ended was to come to these.
fn copy(record: &Record, expected: Expected, into: &mut Vec<Live>) {
    // Read before the frames are, which may be of a later poll: one that has not ended yet will
    // come to what it has not polled.
    let settled = record.settled();
    // The time may be told a step late to one thread, and no frame is older than its task.
    let made = record.made();
    let of = |frame: Copied| {
        let live = Live {
            key: frame.key.to_bits(),
            parent: frame.parent.to_bits(),
            since: frame.since.max(made).0,
            polled: frame.stamp.tick().max(made).0,
            is_held: is_held(frame.stamp, frame.own_waker, settled, expected),
            identity: frame.identity.now(),
        };
        // A task that is not polled for is not awaited. It does not need to be: unlike other futures
        // that are held, it is driven by its executor.
        let is_wait = matches!(live.identity.origin(), Origin::Wait { .. });
        (!is_wait || !live.is_held).then_some(live)
    };
    if !record.copy_frames_into(into, of) {
        into.clear();
        into.push(unread());
    }
}

/// Says that there are frames, but that nobody could read them.
fn unread() -> Live {
    static UNREAD: FrameMeta = FrameMeta::new(
        None,
        || "(its frames were changing all the time: ask again)::",
        file!(),
        line!(),
        column!(),
    );
    Live {
        key: u64::MAX,
        parent: Key::TASK.to_bits(),
        identity: Identity::Static(&UNREAD),
        // Of no age.
        since: u32::MAX,
        polled: u32::MAX,
        is_held: false,
    }
}

/// Where a task is, without asking it.
pub(super) fn snapshot(record: &Record, now: Moment) -> RawTrace {
    // The frames that the caller is in may not have been suspended yet.
    if !sync::is_inside() && scope::is_inside(record) {
        let _inside = Inside::enter();
        scope::surroundings(&mut Vec::new());
    }
    with_buffer(|live| {
        copy(record, Expected::InEachPoll, live);
        RawTrace::snapshot(marker(record), live, now.of_steps())
    })
}

/// Where a task is that has been asked, and has left this in the poll that is about to end.
///
/// Frames with wakers of their own were woken before that poll. A combinator that has not polled all woken children
/// wakes its task, to go on in the next poll: then it is not known which frames are held.
///
/// The caller is the poller.
pub(super) fn complete(record: &Record, recording: Box<Recording>) -> RawTrace {
    let expected = match recording.has_more_to_do() {
        true => Expected::InEachPoll,
        false => Expected::InThisPoll,
    };
    with_buffer(|live| {
        copy(record, expected, live);
        recording.complete(&marker(record), live, Moment::now().of_steps())
    })
}

/// Calls `run` with a buffer that the thread keeps for the next call.
fn with_buffer<R>(run: impl FnOnce(&mut Vec<Live>) -> R) -> R {
    thread_local! {
        static BUFFER: Cell<Vec<Live>> = const { Cell::new(Vec::new()) };
    }

    let mut live = BUFFER.try_with(Cell::take).unwrap_or_default();
    let result = run(&mut live);
    // It must not keep labels.
    live.clear();
    live.shrink_to(MOST_KEPT);
    let _ = BUFFER.try_with(|place| place.set(live));
    result
}

/// Whether a frame should have been polled, and was not.
///
/// The last poll that has ended was everywhere where it was going to.
#[inline]
fn is_held(stamp: Stamp, own_waker: bool, settled: u32, expected: Expected) -> bool {
    stamp.is_before(settled) && (!own_waker || expected == Expected::InThisPoll)
}

/// The task itself.
pub(super) fn marker(record: &Record) -> Marker {
    Marker {
        task: record.id().get(),
        key: Some(Key::TASK.to_bits()),
        identity: record.identity(),
        own_waker: false,
    }
}
