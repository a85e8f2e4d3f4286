//! Which task and which frames are being polled on this thread: a list of values on its stack.
//!
//! A [`Scope`] is on the list exactly while the closure that [`Scope::enter`] was given runs. It
//! borrows nothing that a closure could outlive, and it cannot be leaked, because nobody but
//! `enter` ever owns the guard that takes it off the list.

use std::any::Any;
use std::cell::Cell;
use std::ptr;

use crate::origin::Origin;

/// One task or one frame that is being polled.
pub(crate) struct Scope<'a> {
    origin: Origin,
    /// Set for tasks, not for the frames in them. It is for those who make tasks to know what it
    /// is.
    task: Option<&'a dyn Any>,
    /// The scope that was the innermost when this one was made. It is further up on the same
    /// stack and outlives this one.
    parent: *const Scope<'static>,
}

thread_local! {
    /// The innermost scope. Invariant: null, or a scope whose `enter` has not returned.
    static CURRENT: Cell<*const Scope<'static>> = const { Cell::new(ptr::null()) };
}

fn current() -> *const Scope<'static> {
    CURRENT.try_with(Cell::get).unwrap_or(ptr::null())
}

impl<'a> Scope<'a> {
    /// The scope of a poll of a task.
    pub(crate) fn task(task: &'a dyn Any, origin: Origin) -> Self {
        Self {
            origin,
            task: Some(task),
            parent: current(),
        }
    }

    /// The scope of a poll of a frame inside of a task. `None` outside any task.
    pub(crate) fn frame(origin: Origin) -> Option<Self> {
        let parent = current();
        (!parent.is_null()).then_some(Self {
            origin,
            task: None,
            parent,
        })
    }

    /// Calls `run` with this scope as the innermost.
    pub(crate) fn enter<R>(&self, run: impl FnOnce() -> R) -> R {
        /// Takes a scope off the list, also when `run` panics.
        struct Leave(*const Scope<'static>);

        impl Drop for Leave {
            fn drop(&mut self) {
                let _ = CURRENT.try_with(|current| current.set(self.0));
            }
        }

        let _leave = Leave(self.parent);
        let _ = CURRENT.try_with(|current| current.set(ptr::from_ref(self).cast()));
        run()
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

    fn parent(&self) -> Option<&Self> {
        // SAFETY: a scope is entered while its parent is on the list, and the parent cannot leave
        // the list before it. So as long as `self` can be used inside `enter`, so can its parent.
        // The parent's lifetime is longer than that of `self`.
        unsafe { self.parent.cast::<Self>().as_ref() }
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
