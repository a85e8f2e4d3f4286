//! Creates snapshots of a task from the live frames in its header.

use std::cell::Cell;

use super::clock::ExactInstant;
use super::frames::FrameCopy;
use super::header::Header;
use super::last_poll::LastPoll;
use super::scope;
use super::slot::FrameKey;
use crate::capture::{FrameSnapshot, RawTrace, Recording, ScopeMarker};
use crate::origin::{FrameMeta, Identity, Origin};
use crate::sync::{self, ReentrancyGuard};

/// The capacity that the buffer of a thread keeps, in frames.
const MAX_KEPT: usize = 1 << 10;

/// The frames that the last completed poll should have reached.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ExpectedFrames {
    /// The frames that are polled whenever their task is. A frame with a waker of its own is polled only when that
    /// waker is woken.
    InEachPoll,
    /// All frames: the wakers of frames that have their own were woken before this poll.
    InThisPoll,
}

/// Calls `run` with the live frames of a task. Does not poll the task.
pub(super) fn with_live_frames<R>(header: &Header, run: impl FnOnce(&[FrameSnapshot]) -> R) -> R {
    with_buffer(|frames| {
        copy_frames(header, ExpectedFrames::InEachPoll, frames);
        run(frames)
    })
}

/// Copies the live frames of a task. `expected` tells which frames the last completed poll should have reached.
fn copy_frames(header: &Header, expected: ExpectedFrames, into: &mut Vec<FrameSnapshot>) {
    // Read before the frames, which may be of a later poll: one that has not completed yet may still reach the frames
    // that it has not polled.
    let last_completed = header.last_completed();
    // A thread may see the coarse time change late, and no frame is older than its task.
    let created_at = header.created_at();
    let snapshot_of = |frame: &FrameCopy| {
        let is_held = is_held(frame.last_poll, frame.own_waker, last_completed, expected);
        // A join handle that is held but not polled is left out: its holder does not await the task, which its executor
        // polls anyway.
        if is_held && matches!(frame.identity.origin(), Origin::Wait { .. }) {
            return None;
        }
        Some(FrameSnapshot {
            key: frame.key.to_bits(),
            parent: frame.parent.to_bits(),
            since: frame.since.max(created_at).0,
            polled: frame.last_poll.began_at().max(created_at).0,
            is_held,
            identity: frame.identity.now(),
        })
    };
    into.clear();
    let copied = header.with_frames(|frames| into.extend(frames.iter().filter_map(snapshot_of)));
    if copied.is_none() {
        into.push(unreadable_frames());
    }
}

/// Returns a frame that says that the task has frames which could not be read.
fn unreadable_frames() -> FrameSnapshot {
    static UNREADABLE: FrameMeta = FrameMeta::new(
        None,
        || "(its frames kept changing: try again)::",
        file!(),
        line!(),
        column!(),
    );
    FrameSnapshot {
        key: u64::MAX,
        parent: FrameKey::TASK.to_bits(),
        identity: Identity::Static(&UNREADABLE),
        // The age is 0.
        since: u32::MAX,
        polled: u32::MAX,
        is_held: false,
    }
}

/// Takes a snapshot of a task. Does not poll it.
pub(super) fn take(header: &Header, now: ExactInstant) -> RawTrace {
    // If the caller is in a poll of the task, the frames of that poll may not have been suspended yet. This registers
    // them.
    if !sync::is_reentrant() && scope::is_polling(header) {
        let _guard = ReentrancyGuard::enter();
        scope::active_scopes(&mut Vec::new());
    }
    with_live_frames(header, |frames| {
        RawTrace::snapshot(task_marker(header), frames, now.to_snapshot_time())
    })
}

/// Completes the recording of a task that was captured in the poll that is about to end. The caller is the poller.
///
/// Frames with wakers of their own were woken before that poll. A combinator that has not polled all of its woken
/// futures wakes its task, to poll the others in the next poll. Then it is not known which frames are held.
pub(super) fn complete_capture(header: &Header, recording: Box<Recording>) -> RawTrace {
    let expected = match recording.was_woken() {
        true => ExpectedFrames::InEachPoll,
        false => ExpectedFrames::InThisPoll,
    };
    with_buffer(|frames| {
        copy_frames(header, expected, frames);
        recording.complete(
            &task_marker(header),
            frames,
            ExactInstant::now().to_snapshot_time(),
        )
    })
}

/// Calls `run` with a buffer that the thread keeps for the next call.
fn with_buffer<R>(run: impl FnOnce(&mut Vec<FrameSnapshot>) -> R) -> R {
    thread_local! {
        static BUFFER: Cell<Vec<FrameSnapshot>> = const { Cell::new(Vec::new()) };
    }

    let mut frames = BUFFER.try_with(Cell::take).unwrap_or_default();
    let result = run(&mut frames);
    // The buffer must not keep labels alive.
    frames.clear();
    frames.shrink_to(MAX_KEPT);
    let _ = BUFFER.try_with(|buffer| buffer.set(frames));
    result
}

/// Returns `true` if a frame is held but not polled: the last completed poll should have reached it and has not.
#[inline]
fn is_held(
    last_poll: LastPoll,
    own_waker: bool,
    last_completed: u32,
    expected: ExpectedFrames,
) -> bool {
    last_poll.is_before(last_completed) && (!own_waker || expected == ExpectedFrames::InThisPoll)
}

/// Returns the marker of the task itself.
pub(super) fn task_marker(header: &Header) -> ScopeMarker {
    ScopeMarker {
        task: header.id().get(),
        key: Some(FrameKey::TASK.to_bits()),
        identity: header.identity(),
        own_waker: false,
    }
}
