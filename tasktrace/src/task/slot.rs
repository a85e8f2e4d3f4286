//! Stores one frame of a task in a slot, and identifies it by a key.

use std::ptr;

use super::last_poll::LastPoll;
use crate::origin::FrameMeta;
use crate::sync::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

/// Identifies a frame of a task: the number of its slot, and a serial number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct FrameKey(pub(super) u64);

impl FrameKey {
    /// The key of the task itself, which is the parent of its outermost frames.
    pub(crate) const TASK: Self = Self(0);

    pub(super) fn new(slot: u32, serial: u32) -> Self {
        Self(u64::from(slot) << 32 | u64::from(serial))
    }

    pub(crate) fn to_bits(self) -> u64 {
        self.0
    }

    #[inline]
    pub(super) fn slot(self) -> u32 {
        (self.0 >> 32) as u32
    }

    #[inline]
    pub(super) fn serial(self) -> u32 {
        self.0 as u32
    }
}

/// The mark of a live frame: the lowest two bits of the serial number. Those of an empty slot are 0.
pub(super) const LIVE: u32 = 0b01;
/// The mark of a frame that was detached with [`DetachReason::Ended`].
pub(super) const ENDED: u32 = 0b10;
/// The mark of a frame that was detached with [`DetachReason::Moved`].
pub(super) const MOVED: u32 = 0b11;
/// The bits of a mark.
pub(super) const MARKS: u32 = 0b11;

/// A slot for one frame. Only the poller writes to it, but other threads may mark its serial number.
pub(crate) struct Slot {
    /// The static description of the frame. [`DYNAMIC`] or [`DYNAMIC_LIMITED`] if the frame has an
    /// [`Identity::Dynamic`](crate::origin::Identity::Dynamic), and null while the slot is empty.
    meta: AtomicPtr<FrameMeta>,
    /// The [`LastPoll`] of the frame.
    last_poll: AtomicU64,
    /// The key of the parent, and [`OWN_WAKER`]. While the slot is empty, the number of the next free slot.
    pub(super) parent: AtomicU64,
    /// The serial number of the frame, and its mark. 0 while the slot is empty.
    pub(super) serial: AtomicU32,
    /// The [`CoarseInstant`](super::clock::CoarseInstant) of the poll in which the frame was registered.
    pub(super) since: AtomicU32,
}

/// Stands for an [`Identity::Dynamic`](crate::origin::Identity::Dynamic) without a wait limit.
pub(super) static DYNAMIC: FrameMeta = FrameMeta::new(None, || "", file!(), line!(), column!());
/// Stands for an [`Identity::Dynamic`](crate::origin::Identity::Dynamic) with a wait limit.
pub(super) static DYNAMIC_LIMITED: FrameMeta =
    FrameMeta::new(None, || "", file!(), line!(), column!());

/// Returns `true` if `meta` stands for a dynamic identity, which is in the side table.
pub(super) fn is_dynamic(meta: &'static FrameMeta) -> bool {
    ptr::eq(meta, &raw const DYNAMIC) || ptr::eq(meta, &raw const DYNAMIC_LIMITED)
}

/// A flag in the field `parent`: the frame is polled with a waker other than its parent's.
pub(super) const OWN_WAKER: u64 = 1 << 63;

impl Slot {
    /// Returns the key of the frame's parent.
    #[inline]
    pub(super) fn parent(&self) -> FrameKey {
        FrameKey(self.parent.load(Ordering::Relaxed) & !OWN_WAKER)
    }

    #[inline]
    pub(super) fn last_poll(&self) -> LastPoll {
        LastPoll::from_bits(self.last_poll.load(Ordering::Relaxed))
    }

    #[inline]
    pub(super) fn set_last_poll(&self, last_poll: LastPoll) {
        self.last_poll.store(last_poll.to_bits(), Ordering::Relaxed);
    }

    /// Returns `true` if the frame is polled with a waker other than its parent's.
    #[inline]
    pub(super) fn has_own_waker(&self) -> bool {
        self.parent.load(Ordering::Relaxed) & OWN_WAKER != 0
    }

    /// Returns the key of the frame in this slot, whose number is `number`. A mark does not change the key.
    #[inline]
    pub(super) fn key(&self, number: u32) -> FrameKey {
        let serial = self.serial.load(Ordering::Relaxed);
        FrameKey::new(number, serial & !MARKS | LIVE)
    }

    /// Returns the static description of the frame, or [`DYNAMIC`] or [`DYNAMIC_LIMITED`]. `None` if the slot is empty.
    #[inline]
    pub(super) fn meta(&self) -> Option<&'static FrameMeta> {
        // SAFETY: the pointer is null, or came from a `&'static FrameMeta` in `set_meta`, which alone stores others.
        unsafe { self.meta.load(Ordering::Relaxed).as_ref() }
    }

    #[inline]
    pub(super) fn set_meta(&self, meta: &'static FrameMeta) {
        let meta = ptr::from_ref(meta).cast_mut();
        self.meta.store(meta, Ordering::Relaxed);
    }

    /// Marks the slot as empty.
    #[inline]
    pub(super) fn clear_meta(&self) {
        self.meta.store(ptr::null_mut(), Ordering::Relaxed);
    }

    /// Returns the key of the frame and the reason, if the frame is marked as detached.
    pub(super) fn detached(&self, number: u32) -> Option<(FrameKey, DetachReason)> {
        let serial = self.serial.load(Ordering::Acquire);
        let reason = DetachReason::of_mark(serial)?;
        Some((FrameKey::new(number, serial & !MARKS | LIVE), reason))
    }

    /// Returns `true` if the slot contains this frame, and the frame is not detached. A serial number is not reused
    /// before a billion changes of the table (see [`frames`](super::frames)).
    #[inline]
    pub(super) fn contains(&self, key: FrameKey) -> bool {
        self.serial.load(Ordering::Relaxed) == key.serial()
    }

    /// Returns `true` if the slot is in use.
    #[cfg(all(test, tasktrace_loom))]
    pub(super) fn has_frame(&self) -> bool {
        self.meta().is_some()
    }

    pub(super) fn empty() -> Self {
        Self {
            meta: AtomicPtr::new(ptr::null_mut()),
            last_poll: AtomicU64::new(0),
            parent: AtomicU64::new(0),
            serial: AtomicU32::new(0),
            since: AtomicU32::new(0),
        }
    }
}

/// The reason why a frame was detached from its task outside a poll of the task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DetachReason {
    /// The frame ended. The frames below it that are still alive have left it before.
    Ended,
    /// The frame is now polled by another task, together with all frames below it.
    Moved,
}

impl DetachReason {
    /// Returns the reason in the mark of a serial number.
    pub(super) fn of_mark(serial: u32) -> Option<Self> {
        match serial & MARKS {
            ENDED => Some(Self::Ended),
            MOVED => Some(Self::Moved),
            _ => None,
        }
    }
}
