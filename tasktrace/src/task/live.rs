//! Where a task is, as its record has it.

use std::cell::OnceCell;
use std::time::Duration;

use super::clock::Moment;
use super::frames::{Copied, Key, Peek};
use super::record::Record;
use super::scope;
use super::stamp::Stamp;
use crate::capture::{Alive, Draft, FEW, Live, Marker, Now, RawTrace};
use crate::origin::{FrameMeta, Identity, Origin};

/// The live frames of a task, without asking it.
pub(super) fn frames(record: &Record) -> Vec<Live> {
    // Read before the frames are, which may be of a later poll: one that has not ended yet will
    // come to what it has not polled.
    let settled = record.settled();
    let now = OnceCell::new();
    let now = || *now.get_or_init(Moment::now);
    let of = |frame: Copied| {
        let live = Live {
            key: frame.key.to_bits(),
            parent: frame.parent.to_bits(),
            age: frame.since.until(now()),
            not_polled_for: is_held(frame.stamp, frame.own_waker, settled)
                .then(|| frame.stamp.tick().until(now())),
            identity: frame.identity.now(),
        };
        // A task that is not polled for is not awaited. It does not need to be: unlike other futures
        // that are held, it is driven by its executor.
        let is_wait = matches!(live.identity.origin(), Origin::Wait { .. });
        (!is_wait || live.not_polled_for.is_none()).then_some(live)
    };
    let live = record.frames().copy_as(of);
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
    }
}

/// Where a task is, without asking it.
pub(super) fn snapshot(record: &Record, now: Moment) -> RawTrace {
    // The frames that the caller is in may not have been suspended yet.
    if scope::is_inside(record) {
        scope::surroundings(&mut Vec::new());
    }
    let task = marker(record);
    let known = peek(record, now, |live| RawTrace::snapshot_as_known(&task, live));
    known.unwrap_or_else(|| RawTrace::snapshot(&task, &frames(record)))
}

/// Where a task is that has been asked, and has left this in the poll that is about to end.
///
/// The caller is the poller.
pub(super) fn complete(record: &Record, draft: Box<Draft>) -> RawTrace {
    let task = marker(record);
    let known = peek(record, Moment::now(), |live| {
        draft.complete_as_known(&task, live)
    });
    known.unwrap_or_else(|| draft.complete(&task, &frames(record)))
}

/// Calls `look` with the live frames of a task, of which only that is copied which the table says. `None` if
/// there is more to them, or if they have changed meanwhile.
#[inline]
fn peek<R>(record: &Record, now: Moment, look: impl FnOnce(&Slots) -> Option<R>) -> Option<R> {
    // In this order, as in `frames`.
    let settled = record.settled();
    let slots = record
        .frames()
        .peek(|slots| Slots::copy(slots, settled, now));
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
    fn copy<T>(slots: Peek<'_, T>, settled: u32, now: Moment) -> Option<Self> {
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
            copy.since[at] = frame.since.0;
            copy.polled[at] = frame.stamp.tick().0;
            copy.is_held[at] = is_held(frame.stamp, frame.own_waker, settled);
        });
        is_complete.then_some(copy)
    }
}

/// Whether a frame should have been polled, and was not.
///
/// The last poll that has ended was everywhere where it was going to.
/// What has a waker of its own is polled when that is woken, not in each poll.
#[inline]
fn is_held(stamp: Stamp, own_waker: bool, settled: u32) -> bool {
    stamp.is_before(settled) && !own_waker
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
    fn is(&self, at: usize, identity: &Identity) -> bool {
        matches!(identity, Identity::Static(meta) if std::ptr::eq(self.metas[at], *meta))
    }

    #[inline]
    fn is_held(&self, at: usize) -> bool {
        self.is_held[at]
    }

    #[inline]
    fn kind(&self) -> usize {
        let last = self.count.checked_sub(1);
        last.map_or(0, |last| self.metas[last].addr())
    }

    #[inline]
    fn now(&self) -> Option<Now> {
        Some(self.now)
    }

    #[inline]
    fn since(&self, at: usize) -> u32 {
        self.since[at]
    }

    #[inline]
    fn polled(&self, at: usize) -> u32 {
        self.polled[at]
    }

    // These are for who has no steps.

    fn age(&self, _: usize) -> u64 {
        0
    }

    fn not_polled_for(&self, _: usize) -> u64 {
        0
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
