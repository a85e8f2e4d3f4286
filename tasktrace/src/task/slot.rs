//! A place for a frame, and what identifies the one that is in it.

use std::ptr;

use super::stamp::Stamp;
use crate::origin::FrameMeta;
use crate::sync::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

/// Identifies a frame of a task: a slot and a serial number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key(pub(super) u64);

impl Key {
    /// The task itself, as the parent of its outermost frames.
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

/// The last bits of a serial number: the frame is there. Those of a slot without one are 0.
pub(super) const LIVE: u32 = 0b01;
/// [`Gone::Ended`].
pub(super) const ENDED: u32 = 0b10;
/// [`Gone::Moved`].
pub(super) const MOVED: u32 = 0b11;
pub(super) const MARKS: u32 = 0b11;

pub(crate) struct Slot {
    /// Null while there is no frame in it. [`DYNAMIC`] or [`LIMITED`] if there is more to it than this.
    identity: AtomicPtr<FrameMeta>,
    /// See [`Stamp`].
    stamp: AtomicU64,
    /// The key of the parent. While there is no frame in it, the number of the next free slot.
    pub(super) parent: AtomicU64,
    pub(super) serial: AtomicU32,
    /// The tick in which it was first suspended, see [`Tick`](super::clock::Tick).
    pub(super) since: AtomicU32,
}

/// Stands for an [`Identity::Dynamic`](crate::origin::Identity::Dynamic) in a slot.
pub(super) static DYNAMIC: FrameMeta = FrameMeta::new(None, || "", file!(), line!(), column!());
/// The same, of a frame that may not be suspended for as long as it likes.
pub(super) static LIMITED: FrameMeta = FrameMeta::new(None, || "", file!(), line!(), column!());

pub(super) fn is_dynamic(meta: &'static FrameMeta) -> bool {
    ptr::eq(meta, &raw const DYNAMIC) || ptr::eq(meta, &raw const LIMITED)
}

/// In the parent field of a slot: the frame has a waker of its own.
pub(super) const OWN_WAKER: u64 = 1 << 63;

impl Slot {
    /// The key of what the frame in it is below.
    #[inline]
    pub(super) fn parent(&self) -> Key {
        Key(self.parent.load(Ordering::Relaxed) & !OWN_WAKER)
    }

    /// When it was last polled.
    #[inline]
    pub(super) fn stamp(&self) -> Stamp {
        Stamp::from_bits(self.stamp.load(Ordering::Relaxed))
    }

    #[inline]
    pub(super) fn set_stamp(&self, stamp: Stamp) {
        self.stamp.store(stamp.to_bits(), Ordering::Relaxed);
    }

    /// Whether the frame in it has a waker of its own.
    #[inline]
    pub(super) fn has_own_waker(&self) -> bool {
        self.parent.load(Ordering::Relaxed) & OWN_WAKER != 0
    }

    /// The key of the frame that is in it, or was.
    #[inline]
    pub(super) fn key(&self, number: u32) -> Key {
        let serial = self.serial.load(Ordering::Relaxed);
        Key::new(number, serial & !MARKS | LIVE)
    }

    /// The static description of the frame in it, or what stands for another.
    #[inline]
    pub(super) fn meta(&self) -> Option<&'static FrameMeta> {
        // SAFETY: it is null, or was made of a `&'static FrameMeta` by `set_meta`, which alone writes it.
        unsafe { self.identity.load(Ordering::Relaxed).as_ref() }
    }

    #[inline]
    pub(super) fn set_meta(&self, meta: &'static FrameMeta) {
        let meta = ptr::from_ref(meta).cast_mut();
        self.identity.store(meta, Ordering::Relaxed);
    }

    /// There is no frame in it.
    #[inline]
    pub(super) fn clear_meta(&self) {
        self.identity.store(ptr::null_mut(), Ordering::Relaxed);
    }

    /// What is in it, if that is not to be seen any more.
    pub(super) fn gone(&self, number: u32) -> Option<(Key, Gone)> {
        let serial = self.serial.load(Ordering::Acquire);
        let why = Gone::of_mark(serial)?;
        Some((Key::new(number, serial & !MARKS | LIVE), why))
    }

    /// Whether this frame is in it. No other has the same serial number.
    #[inline]
    pub(super) fn is(&self, key: Key) -> bool {
        self.serial.load(Ordering::Relaxed) == key.serial()
    }

    /// For models.
    #[cfg(all(test, tasktrace_loom))]
    pub(super) fn has_frame(&self) -> bool {
        self.meta().is_some()
    }

    pub(super) fn free() -> Self {
        Self {
            identity: AtomicPtr::new(ptr::null_mut()),
            stamp: AtomicU64::new(0),
            parent: AtomicU64::new(0),
            serial: AtomicU32::new(0),
            since: AtomicU32::new(0),
        }
    }
}

/// Why a frame is not to be seen any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gone {
    /// It has ended. What was below it and is still there has left it before.
    Ended,
    /// It is polled by another task now, together with all that is below it.
    Moved,
}

impl Gone {
    /// Of a frame with such a serial number.
    pub(super) fn of_mark(serial: u32) -> Option<Self> {
        match serial & MARKS {
            ENDED => Some(Self::Ended),
            MOVED => Some(Self::Moved),
            _ => None,
        }
    }
}
