//! Packs the metadata of a task into one word.

use std::panic::Location;
use std::ptr;
use std::sync::Arc;

use super::TaskId;
use crate::origin::{FrameMeta, Identity, Origin};
use crate::sync::{AtomicPtr, Ordering};

/// The metadata of a task: everything that is known when the task is made. It never changes.
///
/// In a task header, it is one word: see [`MetadataCell`].
#[derive(Debug)]
pub(crate) struct Metadata {
    pub(crate) origin: Origin,
    pub(crate) label: Option<Arc<str>>,
    pub(crate) spawned_at: Option<&'static Location<'static>>,
    /// The task in whose poll this one was made.
    pub(crate) parent: Option<TaskId>,
}

/// A flag in the address: set if the address is that of a boxed [`Metadata`], clear for a [`FrameMeta`].
const BOXED: usize = 1;
/// A flag in the address of a box: the root function of the task has a wait limit.
const HAS_LIMIT: usize = 2;

const _: () = assert!(align_of::<FrameMeta>() > HAS_LIMIT && align_of::<Metadata>() > HAS_LIMIT);

impl Metadata {
    /// Returns the metadata of a task with this origin, and without a label.
    #[inline]
    pub(crate) fn of(origin: Origin) -> Self {
        Self {
            origin,
            label: None,
            spawned_at: None,
            parent: None,
        }
    }

    /// Returns the metadata of a frame that becomes a task of its own, because it is polled outside any task.
    #[inline]
    pub(super) fn of_identity(identity: &Identity) -> Self {
        Self {
            label: identity.own_label(),
            ..Self::of(identity.origin())
        }
    }

    /// Packs the metadata into a word. Allocates unless only the function is known.
    pub(super) fn into_word(self) -> PackedMetadata {
        match self {
            Self {
                origin: Origin::Function(meta),
                label: None,
                spawned_at: None,
                parent: None,
            } => PackedMetadata::of(meta),
            _ => {
                let limited = match self.origin.wait_limit() {
                    None => 0,
                    Some(_) => HAS_LIMIT,
                };
                let boxed = Box::into_raw(Box::new(self)).cast_const().cast::<()>();
                PackedMetadata(boxed.map_addr(|address| address | BOXED | limited))
            }
        }
    }
}

/// A [`Metadata`] packed into one word: the address of a static [`FrameMeta`], or that of a [`Metadata`] in a box with
/// the flag [`BOXED`].
pub(super) struct PackedMetadata(*const ());

impl PackedMetadata {
    /// Packs the metadata of a task whose root function is all that is known.
    #[inline]
    pub(super) fn of(function: &'static FrameMeta) -> Self {
        Self(ptr::from_ref(function).cast())
    }
}

/// The metadata of the task in a header.
pub(crate) enum MetadataView<'a> {
    /// The header contains no task, so there is no reference to it.
    Vacant,
    /// Only the root function of the task is known.
    Function(&'static FrameMeta),
    Full(&'a Metadata),
}

impl<'a> MetadataView<'a> {
    pub(super) fn full(self) -> Option<&'a Metadata> {
        match self {
            MetadataView::Full(metadata) => Some(metadata),
            MetadataView::Vacant | MetadataView::Function(_) => None,
        }
    }
}

/// The [`PackedMetadata`] of the task in a header, or null if the header contains no task.
///
/// Invariant: a word with [`BOXED`] owns its box. Only [`clear`](Self::clear) frees the box, while the header has no
/// references. Only a thread that has the header to itself writes the word.
pub(super) struct MetadataCell(AtomicPtr<()>);

impl MetadataCell {
    pub(super) fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    /// Stores the metadata of a new task. The caller has the header to itself, and the cell is empty.
    #[inline]
    pub(super) fn set(&self, metadata: PackedMetadata) {
        self.0.store(metadata.0.cast_mut(), Ordering::Relaxed);
    }

    /// Frees the metadata, and leaves the cell empty.
    ///
    /// # Safety
    ///
    /// The caller must have the header to itself, and no reference from [`get`](Self::get) may be in use.
    #[inline]
    pub(super) unsafe fn clear(&self) {
        let metadata = self.0.load(Ordering::Relaxed);
        self.0.store(ptr::null_mut(), Ordering::Relaxed);
        if metadata.addr() & BOXED != 0 {
            // SAFETY: the flag says that the address came from `Box::into_raw` in `into_word`. The cell owns the box,
            // which is freed once, because the cell is null now. The caller asserts that no reference to the metadata
            // is in use.
            drop(unsafe { Box::from_raw(without_flags(metadata).cast_mut()) });
        }
    }

    /// Returns the metadata.
    ///
    /// # Safety
    ///
    /// The caller must have a reference to the header, for as long as it uses the result.
    #[inline]
    pub(super) unsafe fn get(&self) -> MetadataView<'_> {
        let metadata = self.0.load(Ordering::Relaxed);
        if metadata.is_null() {
            return MetadataView::Vacant;
        }
        if metadata.addr() & BOXED == 0 {
            // SAFETY: without the flag, the address came from a `&'static FrameMeta` in `PackedMetadata::of`.
            return MetadataView::Function(unsafe { &*metadata.cast() });
        }
        // SAFETY: with the flag, it is the address of a box that the cell owns. `clear` frees the box only while the
        // header has no references, and the caller asserts that it has one.
        MetadataView::Full(unsafe { &*without_flags(metadata) })
    }

    /// Returns `true` if the root function of the task may have a wait limit of this many steps of the clock or fewer.
    ///
    /// This may be called without a reference to the header, and so must not read a box: of a task with a box, it
    /// returns `true` if there is any limit.
    pub(super) fn may_have_limit_within(&self, steps: u32) -> bool {
        let metadata = self.0.load(Ordering::Relaxed);
        if metadata.addr() & BOXED != 0 {
            // The box with the limit may have been freed.
            return metadata.addr() & HAS_LIMIT != 0;
        }
        // SAFETY: without the flag, the word is null, or came from a `&'static FrameMeta` in `PackedMetadata::of`.
        let limit = unsafe { metadata.cast::<FrameMeta>().as_ref() }.map_or(0, FrameMeta::limit);
        limit > 0 && steps >= limit
    }
}

/// Returns the address in a word with the flag [`BOXED`].
#[inline]
fn without_flags(metadata: *mut ()) -> *const Metadata {
    let metadata = metadata.map_addr(|address| address & !(BOXED | HAS_LIMIT));
    metadata.cast_const().cast()
}
