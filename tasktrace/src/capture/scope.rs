//! Which task and which frames are being polled on this thread: a list of values on its stack.
//!
//! A [`Scope`] is on the list exactly while the closure that [`Scope::enter`] was given runs. It
//! borrows nothing that a closure could outlive, and it cannot be leaked, because nobody but
//! `enter` ever owns the guard that takes it off the list.

use std::any::Any;
use std::cell::Cell;
use std::ptr;

use crate::origin::Origin;
use crate::unwind::Mark;

/// One task or one frame that is being polled.
pub(crate) struct Scope<'a> {
    origin: Origin,
    /// Of the function that polls.
    mark: Mark,
    /// Set for tasks, not for the frames in them. It is for those who make tasks to know what it
    /// is.
    task: Option<&'a dyn Any>,
    /// The scope that this one was entered in: the next on the list, while it is on the list.
    parent: Cell<*const Scope<'static>>,
}

thread_local! {
    /// The innermost scope. Invariant: the list that starts here holds scopes of this thread whose
    /// `enter` has not returned, and no others.
    static CURRENT: Cell<*const Scope<'static>> = const { Cell::new(ptr::null()) };
}

#[inline]
fn current() -> *const Scope<'static> {
    CURRENT.try_with(Cell::get).unwrap_or(ptr::null())
}

impl<'a> Scope<'a> {
    /// The scope of a poll of a task, by the function into which this is inlined.
    #[inline(always)]
    pub(crate) fn task(task: &'a dyn Any, origin: Origin) -> Self {
        Self {
            origin,
            mark: Mark::here(),
            task: Some(task),
            parent: Cell::new(current()),
        }
    }

    /// The scope of a poll of a frame inside of a task, by the function into which this is inlined.
    /// `None` outside any task.
    #[inline(always)]
    pub(crate) fn frame(origin: Origin) -> Option<Self> {
        let parent = current();
        if parent.is_null() {
            return None;
        }
        Some(Self {
            origin,
            mark: Mark::here(),
            task: None,
            parent: Cell::new(parent),
        })
    }

    /// Calls `run` with this scope as the innermost.
    pub(crate) fn enter<R>(&self, run: impl FnOnce() -> R) -> R {
        /// Takes a scope off the list, also when `run` panics.
        struct Leave<'a>(&'a Scope<'a>);

        impl Drop for Leave<'_> {
            #[inline]
            fn drop(&mut self) {
                let _ = CURRENT.try_with(|current| {
                    if ptr::eq(current.get(), self.0.erased()) {
                        current.set(self.0.parent.get());
                    } else {
                        self.0.unlink_from(current.get());
                    }
                });
            }
        }

        let _leave = Leave(self);
        let _ = CURRENT.try_with(|current| current.set(self.erased()));
        run()
    }

    #[inline]
    fn erased(&self) -> *const Scope<'static> {
        ptr::from_ref(self).cast()
    }

    /// Takes this scope out of the list that starts at `innermost`.
    ///
    /// Polls on one stack end in the reverse order of their beginnings, but coroutines that are
    /// suspended in the middle of a poll need not.
    #[cold]
    fn unlink_from(&self, innermost: *const Scope<'static>) {
        let mut next = innermost;
        // SAFETY: `next` is on the list, so by the invariant of `CURRENT` it is null or alive.
        while let Some(scope) = unsafe { next.as_ref() } {
            next = scope.parent.get();
            if ptr::eq(next, self.erased()) {
                scope.parent.set(self.parent.get());
                return;
            }
        }
    }

    /// Calls `run` with the innermost scope of this thread, if there is one.
    pub(crate) fn with_current<R>(run: impl FnOnce(&Scope<'_>) -> Option<R>) -> Option<R> {
        // SAFETY: by the invariant of `CURRENT`, the pointer is null or to a scope that lives
        // until its `enter` returns. `run` is called from inside of that call, and cannot keep
        // the reference.
        let scope = unsafe { current().as_ref() }?;
        run(scope)
    }

    pub(crate) fn origin(&self) -> Origin {
        self.origin
    }

    /// Where walks that are about this scope end.
    pub(crate) fn mark(&self) -> Mark {
        self.mark
    }

    fn parent(&self) -> Option<&Self> {
        // SAFETY: a scope is used inside of its `enter`, while it is on the list. So is its parent,
        // which by the invariant of `CURRENT` has not returned from its `enter` either, and cannot
        // while the reference is in use: this thread is here.
        unsafe { self.parent.get().cast::<Self>().as_ref() }
    }

    /// This scope and those around it, from the inside out.
    pub(crate) fn outwards(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |scope| scope.parent())
    }

    /// The scope of the task that this one belongs to.
    pub(crate) fn of_task(&self) -> &Self {
        self.outwards()
            .find(|scope| scope.task.is_some())
            .unwrap_or(self)
    }

    /// What it was made of, if it is the scope of a task.
    pub(crate) fn as_task(&self) -> Option<&dyn Any> {
        self.task
    }
}
