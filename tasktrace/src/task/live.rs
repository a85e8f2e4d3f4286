//! Where a task is, as its record has it.

use std::cell::OnceCell;
use std::time::Duration;

use super::clock::{Moment, Tick};
use super::frames::{Copied, Peek};
use super::record::Record;
use super::scope;
use super::slot::Key;
use super::stamp::Stamp;
use crate::capture::{Alive, Draft, FEW, Form, Live, LiveFrame, Marker, Now, RawTrace, Times};
use crate::origin::{FrameMeta, Identity, Origin};
use crate::sync::{self, Inside};

/// Which frames the last poll that has ended should have come to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// The frames that are polled whenever their task is. A frame with a waker of its own is polled only when that
    /// waker is woken.
    InEachPoll,
    /// All frames: the wakers of frames that have their own were woken before this poll.
    InThisPoll,
}

/// The live frames of a task, without asking it.
pub(super) fn frames(record: &Record, now: Moment) -> Vec<Live> {
    frames_after(record, Expected::InEachPoll, Some(now))
}

/// The live frames of a task, where the last poll that has ended was to come to these, with the times as of
/// `now`, or of when they are told.
fn frames_after(record: &Record, expected: Expected, now: Option<Moment>) -> Vec<Live> {
    // Read before the frames are, which may be of a later poll: one that has not ended yet will
    // come to what it has not polled.
    let settled = record.settled();
    let known = OnceCell::new();
    let now = || now.unwrap_or_else(|| *known.get_or_init(Moment::now));
    // The time may be told a step late to one thread, and no frame is older than its task.
    let made = record.made();
    let of = |frame: Copied| {
        let live = Live {
            key: frame.key.to_bits(),
            parent: frame.parent.to_bits(),
            age: frame.since.max(made).until(now()),
            not_polled_for: is_held(frame.stamp, frame.own_waker, settled, expected)
                .then(|| frame.stamp.tick().max(made).until(now())),
            identity: frame.identity.now(),
            told: now().of_steps(),
        };
        // A task that is not polled for is not awaited. It does not need to be: unlike other futures
        // that are held, it is driven by its executor.
        let is_wait = matches!(live.identity.origin(), Origin::Wait { .. });
        (!is_wait || live.not_polled_for.is_none()).then_some(live)
    };
    let live = record.copy_frames_as(of);
    live.unwrap_or_else(|| vec![unread()])
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
        age: Duration::ZERO,
        not_polled_for: None,
        told: Moment::now().of_steps(),
    }
}

/// Where a task is, without asking it.
pub(super) fn snapshot(record: &Record, now: Moment) -> RawTrace {
    // The frames that the caller is in may not have been suspended yet.
    if !sync::is_inside() && scope::is_inside(record) {
        let _inside = Inside::enter();
        scope::surroundings(&mut Vec::new());
    }
    let task = marker(record);
    let expected = Expected::InEachPoll;
    let known = peek(record, now, expected, |live| {
        RawTrace::snapshot_as_known(&task, live)
    });
    known.unwrap_or_else(|| RawTrace::snapshot(&task, &frames_after(record, expected, Some(now))))
}

/// Where a task is that has been asked, and has left this in the poll that is about to end.
///
/// Frames with wakers of their own were woken before that poll. A combinator that has not polled all woken children
/// wakes its task, to go on in the next poll: then it is not known which frames are held.
///
/// The caller is the poller.
pub(super) fn complete(record: &Record, draft: Box<Draft>) -> RawTrace {
    let task = marker(record);
    let expected = match draft.has_more_to_do() {
        true => Expected::InEachPoll,
        false => Expected::InThisPoll,
    };
    let known = peek(record, Moment::now(), expected, |live| {
        draft.complete_as_known(&task, live)
    });
    known.unwrap_or_else(|| draft.complete(&task, &frames_after(record, expected, None)))
}

/// Calls `look` with the live frames of a task, of which only that is copied which the table says. `None` if
/// there is more to them, or if they have changed meanwhile.
#[inline]
fn peek<R>(
    record: &Record,
    now: Moment,
    expected: Expected,
    look: impl FnOnce(&Slots) -> Option<R>,
) -> Option<R> {
    // In this order, as in `frames`.
    let settled = record.settled();
    let slots =
        record.peek_frames(|slots| Slots::copy(slots, settled, record.made(), now, expected));
    look(&slots.flatten()?)
}

/// The live frames of a task, as the table has them.
struct Slots {
    count: usize,
    keys: [u64; FEW],
    parents: [u64; FEW],
    metas: [*const FrameMeta; FEW],
    since: [u32; FEW],
    polled: [u32; FEW],
    is_held: [bool; FEW],
    now: Now,
}

impl Slots {
    /// `None` if they are not few, or if there is more to them.
    #[inline]
    fn copy(
        slots: Peek<'_>,
        settled: u32,
        made: Tick,
        now: Moment,
        expected: Expected,
    ) -> Option<Self> {
        let count = slots.len();
        if count > FEW {
            return None;
        }
        let mut copy = Self {
            count,
            keys: [0; FEW],
            parents: [0; FEW],
            metas: [std::ptr::null(); FEW],
            since: [0; FEW],
            polled: [0; FEW],
            is_held: [false; FEW],
            now: now.of_steps(),
        };
        let is_complete = slots.each(|at, frame| {
            copy.keys[at] = frame.key.to_bits();
            copy.parents[at] = frame.parent.to_bits();
            copy.metas[at] = frame.meta;
            copy.since[at] = frame.since.max(made).0;
            copy.polled[at] = frame.stamp.tick().max(made).0;
            copy.is_held[at] = is_held(frame.stamp, frame.own_waker, settled, expected);
        });
        is_complete.then_some(copy)
    }
}

/// Whether a frame should have been polled, and was not.
///
/// The last poll that has ended was everywhere where it was going to.
#[inline]
fn is_held(stamp: Stamp, own_waker: bool, settled: u32, expected: Expected) -> bool {
    stamp.is_before(settled) && (!own_waker || expected == Expected::InThisPoll)
}

impl Alive for Slots {
    #[inline]
    fn count(&self) -> usize {
        self.count
    }

    #[inline]
    fn key(&self, at: usize) -> u64 {
        self.keys[at]
    }

    #[inline]
    fn parent(&self, at: usize) -> u64 {
        self.parents[at]
    }

    #[inline]
    fn is(&self, at: usize, frame: &LiveFrame) -> bool {
        matches!(frame.identity, Identity::Static(meta) if std::ptr::eq(self.metas[at], meta))
            && self.is_held[at] == frame.is_held
    }

    #[inline]
    fn kind(&self) -> usize {
        let last = self.count.checked_sub(1);
        last.map_or(0, |last| self.metas[last].addr())
    }

    #[inline]
    fn times(&self, form: &Form) -> Times {
        Times::in_steps(form, self.now, |at| self.since[at], |at| self.polled[at])
    }
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
