//! What a frame is known by, in one word.

use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr;
use std::sync::Arc;

use crate::origin::{Dynamic, FrameMeta, Identity};

/// An [`Identity`]: the address of a [`FrameMeta`], or that of what an `Arc` of a [`Dynamic`] has, and
/// [`DYNAMIC`]. It is dropped by [`Name::drop`].
pub(super) struct Name(*const ());

/// Added to an address: both are aligned.
const DYNAMIC: usize = 1;

const _: () = assert!(align_of::<FrameMeta>() > DYNAMIC && align_of::<Dynamic>() > DYNAMIC);

// SAFETY: it owns an `Identity`, and nothing else.
unsafe impl Send for Name where Identity: Send {}
// SAFETY: likewise.
unsafe impl Sync for Name where Identity: Sync {}

impl Name {
    #[inline]
    pub(super) fn new(identity: Identity) -> Self {
        match identity {
            Identity::Static(meta) => Self(ptr::from_ref(meta).cast()),
            Identity::Dynamic(dynamic) => {
                let dynamic = Arc::into_raw(dynamic).cast::<()>();
                Self(dynamic.map_addr(|address| address | DYNAMIC))
            }
        }
    }

    #[inline]
    pub(super) fn is_dynamic(&self) -> bool {
        self.0.addr() & DYNAMIC != 0
    }

    pub(super) fn get(&self) -> impl Deref<Target = Identity> {
        // SAFETY: it is not dropped, and the caller has `self` for as long as it is used.
        ManuallyDrop::new(unsafe { self.identity() })
    }

    /// # Safety
    ///
    /// What is returned is dropped once, and `self` not used after that.
    unsafe fn identity(&self) -> Identity {
        match self.is_dynamic() {
            // SAFETY: it was a reference.
            false => Identity::Static(unsafe { &*self.0.cast() }),
            true => {
                let dynamic = self.0.map_addr(|address| address & !DYNAMIC);
                // SAFETY: it is from `Arc::into_raw`, and as asserted by the caller.
                Identity::Dynamic(unsafe { Arc::from_raw(dynamic.cast()) })
            }
        }
    }
}

impl Drop for Name {
    #[inline]
    fn drop(&mut self) {
        if self.is_dynamic() {
            // SAFETY: nobody uses it any more.
            drop(unsafe { self.identity() });
        }
    }
}
