//! What a frame is known by, in one word.

use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr;
use std::sync::Arc;

use crate::origin::{Dynamic, FrameMeta, Identity};

/// An [`Identity`]: the address of a [`FrameMeta`], or that of what an `Arc` of a [`Dynamic`] has, and
/// [`DYNAMIC`].
#[derive(Clone, Copy)]
pub(crate) struct NameRef<'a>(*const (), PhantomData<&'a Identity>);

/// Added to an address: both are aligned.
const DYNAMIC: usize = 1;

const _: () = assert!(align_of::<FrameMeta>() > DYNAMIC && align_of::<Dynamic>() > DYNAMIC);

impl NameRef<'static> {
    /// Of a scope that has none.
    pub(super) const NONE: Self = Self(ptr::null(), PhantomData);
    /// Of one that has none, in an [unusual](super::scope::Unusual) poll. No name is this address.
    pub(super) const UNUSUAL: Self = Self(ptr::without_provenance(DYNAMIC), PhantomData);

    #[inline]
    pub(crate) fn of_static(meta: &'static FrameMeta) -> Self {
        Self(ptr::from_ref(meta).cast(), PhantomData)
    }
}

impl<'a> NameRef<'a> {
    #[inline(always)]
    pub(super) fn is_none(self) -> bool {
        self.0.addr() <= DYNAMIC
    }

    #[inline(always)]
    pub(super) fn is_unusual(self) -> bool {
        self.0.addr() == DYNAMIC
    }

    /// The static description, if there is no more to it.
    #[inline]
    pub(super) fn as_static(self) -> Option<&'static FrameMeta> {
        if self.is_none() || self.is_dynamic() {
            return None;
        }
        // SAFETY: a word that is neither empty nor marked was made of a `&'static FrameMeta` by `of_static`.
        Some(unsafe { &*self.0.cast() })
    }

    /// Whether it is this static description, and there is no more to it.
    #[inline(always)]
    pub(super) fn is_static(self, meta: &'static FrameMeta) -> bool {
        // Any other address has a mark.
        ptr::eq(self.0, ptr::from_ref(meta).cast())
    }

    #[inline]
    fn is_dynamic(self) -> bool {
        self.0.addr() & DYNAMIC != 0
    }

    /// The identity.
    pub(super) fn get(self) -> impl Deref<Target = Identity> + use<'a> {
        // SAFETY: it is not dropped, and the `Name` that it is of is there for as long as `'a`.
        ManuallyDrop::new(unsafe { self.identity() })
    }

    /// # Safety
    ///
    /// What is returned is dropped once for each `Name`, and not used after that.
    unsafe fn identity(self) -> Identity {
        /// Where there is no name.
        static NOBODY: FrameMeta = FrameMeta::new(None, || "", file!(), line!(), column!());

        if self.is_none() {
            return Identity::Static(&NOBODY);
        }
        match self.is_dynamic() {
            // SAFETY: a word that is neither empty nor marked was made of a `&'static FrameMeta` by `of_static`.
            false => Identity::Static(unsafe { &*self.0.cast() }),
            true => {
                let dynamic = self.0.map_addr(|address| address & !DYNAMIC);
                // SAFETY: it is from `Arc::into_raw`, and as asserted by the caller.
                Identity::Dynamic(unsafe { Arc::from_raw(dynamic.cast()) })
            }
        }
    }
}

/// Owns an [`Identity`].
pub(crate) struct Name(NameRef<'static>);

// SAFETY: it owns an `Identity`, and nothing else.
unsafe impl Send for Name where Identity: Send {}
// SAFETY: a shared reference to it gives shared references to that `Identity`, and nothing else.
unsafe impl Sync for Name where Identity: Sync {}

impl Name {
    #[inline]
    pub(super) fn new(identity: Identity) -> Self {
        Self(match identity {
            Identity::Static(meta) => NameRef::of_static(meta),
            Identity::Dynamic(dynamic) => {
                let dynamic = Arc::into_raw(dynamic).cast::<()>();
                NameRef(dynamic.map_addr(|address| address | DYNAMIC), PhantomData)
            }
        })
    }

    #[inline]
    pub(super) fn get(&self) -> NameRef<'_> {
        self.0
    }
}

impl Drop for Name {
    #[inline]
    fn drop(&mut self) {
        if self.0.is_dynamic() {
            // SAFETY: the `Name` owns the `Arc`, and drops it here for the only time: names that were borrowed from it are
            // not used any more.
            drop(unsafe { self.0.identity() });
        }
    }
}
