//! What is known of a task from the beginning, in one word.

use std::panic::Location;
use std::ptr;
use std::sync::Arc;

use super::TaskId;
use crate::origin::{FrameMeta, Identity, Origin};
use crate::sync::{AtomicPtr, Ordering};

/// What is known of a task from the beginning.
///
/// In a record, it is a word: see [`AboutCell`].
#[derive(Debug)]
pub(crate) struct About {
    pub(crate) origin: Origin,
    pub(crate) label: Option<Arc<str>>,
    pub(crate) spawned_at: Option<&'static Location<'static>>,
    /// The task in whose poll it was made.
    pub(crate) parent: Option<TaskId>,
}

/// Added to an address: there is more than a static description.
const MORE: usize = 1;
/// Added as well: the function of the task may not be suspended for as long as it likes.
const LIMITED: usize = 2;

const _: () = assert!(align_of::<FrameMeta>() > LIMITED && align_of::<About>() > LIMITED);

impl About {
    /// A new task of this origin.
    #[inline]
    pub(crate) fn of(origin: Origin) -> Self {
        Self {
            origin,
            label: None,
            spawned_at: None,
            parent: None,
        }
    }

    /// A new task that a frame is, outside of any other.
    #[inline]
    pub(super) fn of_identity(identity: &Identity) -> Self {
        Self {
            label: identity.own_label(),
            ..Self::of(identity.origin())
        }
    }

    pub(super) fn into_word(self) -> Word {
        match self {
            Self {
                origin: Origin::Function(meta),
                label: None,
                spawned_at: None,
                parent: None,
            } => Word::of(meta),
            _ => {
                let limited = match self.origin.wait_limit() {
                    None => 0,
                    Some(_) => LIMITED,
                };
                let more = Box::into_raw(Box::new(self)).cast_const().cast::<()>();
                Word(more.map_addr(|address| address | MORE | limited))
            }
        }
    }
}

/// An [`About`] in one word: the address of a [`FrameMeta`], or of what a box has and [`MORE`]. Null if there is no
/// task.
pub(super) struct Word(*const ());

impl Word {
    /// Of a function, of whose task there is no more to be known.
    #[inline]
    pub(super) fn of(function: &'static FrameMeta) -> Self {
        Self(ptr::from_ref(function).cast())
    }
}

/// Of the task in a record.
pub(crate) enum Known<'a> {
    /// There is none. Then nobody has a reference to the record.
    Nothing,
    Function(&'static FrameMeta),
    More(&'a About),
}

impl<'a> Known<'a> {
    pub(super) fn more(self) -> Option<&'a About> {
        match self {
            Known::More(about) => Some(about),
            Known::Nothing | Known::Function(_) => None,
        }
    }
}

/// A place for a [`Word`]. Written by who has the record that it is in to himself.
pub(super) struct AboutCell(AtomicPtr<()>);

impl AboutCell {
    pub(super) fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    /// The caller has the record to himself, and there is no task in it.
    #[inline]
    pub(super) fn set(&self, about: Word) {
        self.0.store(about.0.cast_mut(), Ordering::Relaxed);
    }

    /// # Safety
    ///
    /// The caller has the record to himself, and nobody uses what was known.
    #[inline]
    pub(super) unsafe fn clear(&self) {
        let about = self.0.load(Ordering::Relaxed);
        self.0.store(ptr::null_mut(), Ordering::Relaxed);
        if about.addr() & MORE != 0 {
            // SAFETY: it is from such a box, and nobody looks at it any more.
            drop(unsafe { Box::from_raw(without_flags(about).cast_mut()) });
        }
    }

    /// What there is in it.
    ///
    /// # Safety
    ///
    /// The caller has a reference to the record.
    #[inline]
    pub(super) unsafe fn known(&self) -> Known<'_> {
        let about = self.0.load(Ordering::Relaxed);
        if about.is_null() {
            return Known::Nothing;
        }
        if about.addr() & MORE == 0 {
            // SAFETY: it was such a reference.
            return Known::Function(unsafe { &*about.cast() });
        }
        // SAFETY: it is what a box has, that is dropped when nobody has a reference to the record.
        Known::More(unsafe { &*without_flags(about) })
    }

    /// Whether the task may have a limit, of this many ticks or fewer. Also without a reference to the record.
    pub(super) fn may_be_limited_to(&self, ticks: u32) -> bool {
        let about = self.0.load(Ordering::Relaxed);
        if about.addr() & MORE != 0 {
            // What has the limit may not be there any more.
            return about.addr() & LIMITED != 0;
        }
        // SAFETY: null, or static.
        let limit = unsafe { about.cast::<FrameMeta>().as_ref() }.map_or(0, FrameMeta::limit);
        limit > 0 && ticks >= limit
    }
}

/// Of a word that says [`MORE`].
#[inline]
fn without_flags(about: *mut ()) -> *const About {
    let about = about.map_addr(|address| address & !(MORE | LIMITED));
    about.cast_const().cast()
}
