//! Keeps the buffers that requesters share with the handler. They are never freed.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::super::handshake::Handshake;
use super::buffer::SampleBuffer;

/// A buffer that a requester shares with the handler.
pub(super) struct SharedBuffer {
    pub(super) handshake: Handshake<SampleBuffer>,
    /// The buffer that was created before this one.
    next: Option<&'static SharedBuffer>,
}

/// The buffer in use, if there is one.
pub(super) static IN_USE: SharedBufferCell = SharedBufferCell::new();

/// The list of all buffers, newest first. It has more than one buffer only if a handler did not finish in time: that
/// handler owns its buffer until it has finished.
static ALL: SharedBufferCell = SharedBufferCell::new();

/// An atomic cell with an optional reference, which a signal handler can read.
pub(super) struct SharedBufferCell(AtomicPtr<SharedBuffer>, PhantomData<&'static SharedBuffer>);

impl SharedBufferCell {
    const fn new() -> Self {
        Self(AtomicPtr::new(std::ptr::null_mut()), PhantomData)
    }

    pub(super) fn get(&self) -> Option<&'static SharedBuffer> {
        // SAFETY: only `new` and `set` write the pointer. It is null or comes from a `&'static SharedBuffer`, which is
        // never freed. The `Acquire` load pairs with the `Release` store in `set`, so the initialised buffer is
        // visible.
        unsafe { self.0.load(Ordering::Acquire).as_ref() }
    }

    pub(super) fn set(&self, shared: Option<&'static SharedBuffer>) {
        let shared = shared.map_or(std::ptr::null_mut(), |it| std::ptr::from_ref(it).cast_mut());
        self.0.store(shared, Ordering::Release);
    }
}

impl SharedBuffer {
    /// Returns the buffer in use. If there is none, starts to use a reclaimed or a new buffer.
    pub(super) fn in_use_or_new() -> &'static Self {
        IN_USE.get().unwrap_or_else(|| {
            let shared = Self::reclaim().unwrap_or_else(Self::create);
            IN_USE.set(Some(shared));
            shared
        })
    }

    /// Returns an abandoned buffer whose handler has finished since.
    pub(super) fn reclaim() -> Option<&'static Self> {
        let all = std::iter::successors(ALL.get(), |shared| shared.next);
        all.into_iter()
            .find(|shared| shared.handshake.is_answered())
    }

    fn create() -> &'static Self {
        let shared = Box::leak(Box::new(Self {
            handshake: Handshake::new(SampleBuffer::new()),
            next: ALL.get(),
        }));
        ALL.set(Some(shared));
        shared
    }

    /// Forgets all buffers in a child of `fork`, because handlers of the parent may have been using them.
    pub(super) fn forget_all() {
        IN_USE.set(None);
        ALL.set(None);
    }
}
