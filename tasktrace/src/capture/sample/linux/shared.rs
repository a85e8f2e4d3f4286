//! The memory that askers share with the handler. It is never freed.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::super::handshake::Handshake;
use super::room::Room;

/// What an asker and the handler share.
pub(super) struct Shared {
    pub(super) handshake: Handshake<Room>,
    /// The one that was made before.
    next: Option<&'static Shared>,
}

/// The one in use, if there is one.
pub(super) static IN_USE: Place = Place::new();

/// All that there are, the last first. There is more than one only if a handler did not come to its end in time: then it
/// has one for itself until it does.
static ALL: Place = Place::new();

/// A place for a reference that a signal handler can read.
pub(super) struct Place(AtomicPtr<Shared>, PhantomData<&'static Shared>);

impl Place {
    const fn new() -> Self {
        Self(AtomicPtr::new(std::ptr::null_mut()), PhantomData)
    }

    pub(super) fn get(&self) -> Option<&'static Shared> {
        // SAFETY: `set` alone writes the pointer, which is null or was made of a `&'static Shared`. Acquire: whoever reads
        // the pointer sees what was written to the memory before.
        unsafe { self.0.load(Ordering::Acquire).as_ref() }
    }

    pub(super) fn set(&self, shared: Option<&'static Shared>) {
        let shared = shared.map_or(std::ptr::null_mut(), |it| std::ptr::from_ref(it).cast_mut());
        self.0.store(shared, Ordering::Release);
    }
}

impl Shared {
    /// Returns the one in use. If there is none, it is one that is free from now on, or a new one.
    pub(super) fn get_or_make() -> &'static Self {
        IN_USE.get().unwrap_or_else(|| {
            let shared = Self::left().unwrap_or_else(Self::make);
            IN_USE.set(Some(shared));
            shared
        })
    }

    /// Returns one that was left to a handler, which has come to its end since.
    pub(super) fn left() -> Option<&'static Self> {
        let all = std::iter::successors(ALL.get(), |shared| shared.next);
        all.into_iter()
            .find(|shared| shared.handshake.is_answered())
    }

    fn make() -> &'static Self {
        let shared = Box::leak(Box::new(Self {
            handshake: Handshake::new(Room::new()),
            next: ALL.get(),
        }));
        ALL.set(Some(shared));
        shared
    }

    /// Leaves all of them to the parent of this process.
    pub(super) fn forget_all() {
        IN_USE.set(None);
        ALL.set(None);
    }
}
