//! Which task and which frames are being polled on this thread: a list of values on its stack.
//!
//! A [`Scope`] is on the list exactly while the closure that [`Scope::enter`] was given runs. It
//! borrows nothing that a closure could outlive, and it cannot be leaked, because nobody but
//! `enter` ever owns the guard that takes it off the list.
//!
//! The list is also read by a signal handler, which may interrupt its thread between any two
//! instructions: so a scope is complete before it is put on the list, and taken off before its place is
//! used for something else. The fences that say so are for the compiler, and cost nothing.

use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering, compiler_fence};
use std::task::Waker;

use super::head::Head;
use super::local::Local;
use super::poller::Poller;
use super::record::Record;
use super::slot::Key;
use crate::capture::{self, Around, Capture, CaptureRef, Marker, Scopes, Seen, Surroundings};
use crate::origin::Identity;
use crate::unwind::Mark;

/// One task or one frame that is being polled.
pub(super) struct Scope<'a> {
    /// Of the function that polls.
    mark: Mark,
    /// Of the task, or that of the frame.
    poller: Poller<'a>,
    kind: Kind<'a>,
    /// What it is polled with.
    waker: &'a Waker,
    /// The scope that this one was entered in: the next on the list, while it is on the list.
    parent: AtomicPtr<()>,
}

/// The scope of what.
#[derive(Clone, Copy)]
pub(super) enum Kind<'a> {
    /// A task, and what is unusual about the poll, if anything is.
    Task(Option<&'a Unusual>),
    /// A frame, and what it is known by.
    Frame(&'a Head, &'a Identity),
}

/// What most polls of tasks are not.
pub(super) struct Unusual {
    /// The capture that it is in the middle of.
    capture: Cell<Option<CaptureRef>>,
    /// Whether the scope around it is of the same future, as a frame of another task.
    is_also_frame: bool,
    /// Whether this poll is for the sake of somebody who asks.
    is_asked: bool,
}

impl Unusual {
    pub(super) fn new(is_also_frame: bool, is_asked: bool) -> Self {
        Self {
            capture: Cell::new(None),
            is_also_frame,
            is_asked,
        }
    }
}

#[inline]
fn innermost() -> *const () {
    Local::with(ptr::null(), Local::innermost)
}

#[inline]
fn is_tangled() -> bool {
    Local::with(true, Local::is_tangled)
}

/// Whether a task is being polled on this thread.
#[inline]
pub(super) fn is_in_task() -> bool {
    !innermost().is_null()
}

/// Returns the outermost task that this thread polls, and the number of that poll.
pub(super) fn outermost_poll() -> Option<(super::TaskId, u64)> {
    Scope::with_current(|scope| {
        let pollers = scope.outwards().filter_map(Scope::poller);
        pollers.last().map(|poller| (poller.id(), poller.polls()))
    })
}

/// The task that is being polled on this thread: the innermost.
pub(super) fn current_task() -> Option<super::TaskId> {
    Scope::with_current(|scope| Some(scope.of_task()?.poller.id()))
}

impl<'a> Scope<'a> {
    /// The scope of a poll of a task, by the function into which this is inlined: it is always, because the mark has to be
    /// of that function.
    #[inline(always)]
    pub(super) fn task(
        local: &Local,
        poller: Poller<'a>,
        waker: &'a Waker,
        unusual: Option<&'a Unusual>,
    ) -> Self {
        Self {
            mark: Mark::here(),
            poller,
            kind: Kind::Task(unusual),
            waker,
            parent: AtomicPtr::new(local.innermost().cast_mut()),
        }
    }

    /// The scope of a poll of a frame, by the function into which this is inlined, as [`task`](Self::task) is. Returns `None`
    /// if no task is being polled on this thread.
    #[inline(always)]
    pub(super) fn frame(
        local: &Local,
        head: &'a Head,
        identity: &'a Identity,
        waker: &'a Waker,
    ) -> Option<Self> {
        let parent = local.innermost();
        // SAFETY: by the invariant of `Local::innermost` it is null, or to a scope that has not returned from its `enter`, and
        // cannot while this function runs.
        let poller = unsafe { parent.cast::<Scope<'a>>().as_ref() }?.poller;
        Some(Self {
            mark: Mark::here(),
            poller,
            kind: Kind::Frame(head, identity),
            waker,
            parent: AtomicPtr::new(parent.cast_mut()),
        })
    }

    /// Calls `run` with this scope as the innermost of this thread.
    #[inline]
    pub(super) fn enter<R>(&self, local: &Local, run: impl FnOnce() -> R) -> R {
        /// Takes a scope off the list when `run` panics.
        struct OnPanic<'a>(&'a Scope<'a>);

        impl Drop for OnPanic<'_> {
            fn drop(&mut self) {
                Local::with((), |local| self.0.unlink(local));
            }
        }

        let on_panic = OnPanic(self);
        compiler_fence(Ordering::SeqCst);
        // SAFETY: this scope is alive until the closure has returned or panicked, and is taken off then.
        unsafe { local.set_innermost(self.erased()) };
        let result = run();
        std::mem::forget(on_panic);
        if !self.unlink_innermost(local) {
            self.unlink(local);
        }
        compiler_fence(Ordering::SeqCst);
        result
    }

    /// Calls `run` with this scope, which is that of a task, as the one that is captured.
    pub(super) fn enter_capture<R>(&self, capture: &Capture, run: impl FnOnce() -> R) -> R {
        struct Leave<'a>(&'a Cell<Option<CaptureRef>>, Option<CaptureRef>);

        impl Drop for Leave<'_> {
            fn drop(&mut self) {
                self.0.set(None);
                Local::with((), |local| {
                    local.capture.set(self.1);
                    local.note_capture_ends();
                });
            }
        }

        let Some(Unusual { capture: place, .. }) = self.unusual() else {
            return run();
        };
        let own = Some(capture.as_ref());
        place.set(own);
        let before = Local::with(None, |local| {
            local.note_capture_begins();
            local.capture.replace(own)
        });
        let _leave = Leave(place, before);
        run()
    }

    #[inline]
    fn erased(&self) -> *const () {
        ptr::from_ref(self).cast()
    }

    /// The next on the list.
    #[inline]
    fn next(&self) -> *const () {
        self.parent.load(Ordering::Relaxed)
    }

    /// Takes this scope off the list, if it is the innermost. Whether it was.
    #[inline]
    fn unlink_innermost(&self, local: &Local) -> bool {
        let is_innermost = ptr::eq(local.innermost(), self.erased());
        if is_innermost {
            // SAFETY: what comes next on the list is null, or was entered before this and has not been left.
            unsafe { local.set_innermost(self.next()) };
        }
        is_innermost
    }

    /// Takes this scope out of the list, wherever it is there.
    ///
    /// Polls on one stack end in the reverse order of their beginnings, but coroutines that are
    /// suspended in the middle of a poll need not.
    #[cold]
    #[inline(never)]
    fn unlink(&self, local: &Local) {
        if self.unlink_innermost(local) {
            return;
        }
        local.note_tangled();
        let mut next = local.innermost();
        // SAFETY: `next` is on the list, so by its invariant it is null or alive.
        while let Some(scope) = unsafe { next.cast::<Scope<'_>>().as_ref() } {
            next = scope.next();
            if ptr::eq(next, self.erased()) {
                scope
                    .parent
                    .store(self.next().cast_mut(), Ordering::Relaxed);
                return;
            }
        }
    }

    /// Calls `run` with the innermost scope of this thread, if there is one.
    #[inline]
    pub(super) fn with_current<R>(run: impl FnOnce(&Scope<'_>) -> Option<R>) -> Option<R> {
        // SAFETY: by the invariant of the list, the pointer is null or to a scope that lives until
        // its `enter` returns. `run` is called from inside of that call, and cannot keep the
        // reference.
        let scope = unsafe { innermost().cast::<Scope<'_>>().as_ref() }?;
        run(scope)
    }

    /// The poller of the task, if that is being polled on this thread: that is who is in this scope.
    ///
    /// It is, unless a coroutine was suspended in the middle of a poll, and goes on after the poll
    /// around it has ended.
    #[inline]
    pub(super) fn poller(&self) -> Option<Poller<'a>> {
        Local::with(None, |local| self.poller_on(local))
    }

    /// The poller of the task, in a scope that is used right after what it was entered for: so that is being polled.
    #[inline]
    pub(super) fn polled(&self) -> &Poller<'a> {
        &self.poller
    }

    /// [`poller`](Self::poller) on the thread that has this.
    #[inline]
    pub(super) fn poller_on(&self, local: &Local) -> Option<Poller<'a>> {
        match local.is_tangled() {
            false => Some(self.poller),
            true => self.find_poller(),
        }
    }

    /// Whether the poll that this scope is of has the same waker as the one around it, for sure.
    #[inline]
    pub(super) fn has_waker_of(&self, around: &Self) -> bool {
        ptr::eq(self.waker, around.waker)
    }

    /// The number of the task, if that has not ended.
    fn task_number(&self) -> Option<u64> {
        Some(self.poller()?.id().get())
    }

    #[cold]
    fn find_poller(&self) -> Option<Poller<'a>> {
        let is_polled =
            |scope: &Self| scope.is_task() && ptr::eq(scope.poller.record(), self.poller.record());
        self.outwards().any(is_polled).then_some(self.poller)
    }

    /// What it is polled with.
    #[inline]
    pub(super) fn waker(&self) -> &Waker {
        self.waker
    }

    /// Where walks that are about this scope end.
    pub(super) fn mark(&self) -> Mark {
        self.mark
    }

    #[inline]
    pub(super) fn parent(&self) -> Option<&Self> {
        // SAFETY: a scope is used inside of its `enter`, while it is on the list, or before that on
        // top of it, or right after that. So by the invariant of the list its parent has not returned from
        // its `enter` either (if that does so first, then its own takes its place: see `unlink`), and cannot
        // while the reference is in use: this thread is here.
        unsafe { self.next().cast::<Self>().as_ref() }
    }

    /// This scope and those around it, from the inside out.
    pub(super) fn outwards(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |scope| scope.parent())
    }

    /// The scope of the task that this one belongs to, or if that has ended (see
    /// [`poller`](Self::poller)) one around it.
    pub(super) fn of_task(&self) -> Option<&Self> {
        self.outwards().find(|scope| scope.is_task())
    }

    /// The frame, and what it is known by, in a scope of one.
    #[inline]
    pub(super) fn as_frame(&self) -> Option<(&'a Head, &'a Identity)> {
        match self.kind {
            Kind::Frame(head, identity) => Some((head, identity)),
            Kind::Task(_) => None,
        }
    }

    #[inline]
    fn head(&self) -> Option<&'a Head> {
        Some(self.as_frame()?.0)
    }

    #[inline]
    pub(super) fn is_task(&self) -> bool {
        self.head().is_none()
    }

    /// The key of the frame, if it has one in the record. That of the task is always known.
    #[inline]
    pub(super) fn key(&self) -> Option<Key> {
        match self.head() {
            None => Some(Key::TASK),
            Some(head) => head.key_in(self.poller.record()),
        }
    }

    /// Takes the frame off from where it was filed, if that was with another task.
    pub(super) fn leave_others(&self) {
        if let Some(head) = self.head() {
            head.leave_others(self.poller.record());
        }
    }

    /// The capture of this task or one around it, the closest: the one that is to know of what
    /// happens in this scope, which is the innermost, or about to be.
    pub(super) fn capture(&self) -> Option<CaptureRef> {
        match is_tangled() {
            // They begin and end as scopes do.
            false => Local::with(None, |local| local.capture.get()),
            true => self.outwards().find_map(Self::own_capture),
        }
    }

    /// The capture of this task, if it is one.
    fn own_capture(&self) -> Option<CaptureRef> {
        self.unusual()?.capture.get()
    }

    /// What is unusual about the poll, if anything is.
    fn unusual(&self) -> Option<&Unusual> {
        match self.kind {
            Kind::Task(unusual) => unusual,
            Kind::Frame(..) => None,
        }
    }

    /// Whether the scope around it is of the same future, as a frame of another task.
    fn is_also_frame(&self) -> bool {
        self.unusual().is_some_and(|it| it.is_also_frame)
    }

    /// What is polled around a place in this scope, from the inside out.
    fn surroundings(&self, into: &mut Surroundings) {
        // Most of the time all are where they were in the last poll.
        if !self.find_surroundings(into) {
            self.file_surroundings(into);
        }
    }

    /// Whether all that is polled around a place in this scope is filed already.
    fn find_surroundings(&self, into: &mut Surroundings) -> bool {
        if is_tangled() {
            return false;
        }
        // A frame, of which it is not known yet what it is below.
        let mut below: Option<Key> = None;
        for scope in self.outwards() {
            let Some(key) = scope.key() else {
                return false;
            };
            let is_below = |below| scope.poller.is_below(below, key);
            if !below.is_none_or(is_below) {
                return false;
            }
            below = (!scope.is_task()).then_some(key);
            into.push(scope.around(Some(scope.poller.id().get()), Some(key)));
        }
        true
    }

    /// Files all that is polled around a place in this scope.
    #[cold]
    fn file_surroundings(&self, into: &mut Surroundings) {
        let scopes: Vec<&Self> = self.outwards().collect();
        scopes.iter().for_each(|scope| scope.leave_others());
        // From the outside in, because a frame is filed below its parent.
        into.clear();
        into.reserve(scopes.len());
        let mut key = None;
        for scope in scopes.into_iter().rev() {
            key = match scope.kind {
                Kind::Task(_) => Some(Key::TASK),
                Kind::Frame(head, identity) => key
                    .zip(scope.poller())
                    .and_then(|(parent, poller)| head.file_below(identity, poller, parent)),
            };
            into.push(scope.around(scope.task_number(), key));
        }
        into.reverse();
    }

    fn around(&self, task: Option<u64>, key: Option<Key>) -> Around {
        let identity = match self.kind {
            Kind::Task(_) => self.poller.identity(),
            Kind::Frame(_, identity) => identity.clone().now(),
        };
        Around {
            mark: self.mark,
            marker: Marker {
                task: task.unwrap_or_default(),
                key: key.map(Key::to_bits),
                identity,
                own_waker: self.has_own_waker(),
            },
            is_also_frame: self.is_also_frame(),
            capture: self.own_capture(),
        }
    }

    /// Whether it is polled with another waker than what is around it.
    #[inline]
    pub(super) fn has_own_waker(&self) -> bool {
        self.parent().is_some_and(|parent| {
            !ptr::eq(self.waker, parent.waker)
                && !is_same(capture::real(self.waker), capture::real(parent.waker))
        })
    }
}

/// Without calling anybody's code.
#[inline]
pub(super) fn is_same(one: &Waker, other: &Waker) -> bool {
    one.data() == other.data() && ptr::eq(one.vtable(), other.vtable())
}

/// Whether a task is being polled on this thread, with this waker, for the sake of somebody who asks.
pub(super) fn is_asked(waker: &Waker) -> bool {
    let found = Scope::with_current(|scope| {
        let task = scope.of_task()?;
        let is_asked = task.unusual().is_some_and(|it| it.is_asked);
        (is_asked && is_same(capture::real(waker), capture::real(task.waker))).then_some(())
    });
    found.is_some()
}

/// Whether the task of `record` is being polled on this thread.
pub(super) fn is_inside(record: &Record) -> bool {
    let found = Scope::with_current(|scope| {
        let mut tasks = scope.outwards().filter(|scope| scope.is_task());
        let is_it = |task: &Scope<'_>| {
            let poller = task.poller();
            poller.is_some_and(|poller| ptr::eq(poller.record(), record))
        };
        tasks.any(is_it).then_some(())
    });
    found.is_some()
}

/// Adds what is polled around the caller, from the inside out.
pub(super) fn surroundings(into: &mut Surroundings) {
    Scope::with_current(|scope| {
        scope.surroundings(into);
        Some(())
    });
}

/// Tells what is polled on this thread. Called in a signal handler: it allocates nothing, and files
/// nothing.
pub(super) fn collect(scopes: &mut Scopes) {
    Scope::with_current(|innermost| {
        for scope in innermost.outwards() {
            scopes.push(scope.is_task(), || scope.seen());
        }
        Some(())
    });
}

impl Scope<'_> {
    /// `None` if its task has ended.
    fn seen(&self) -> Option<Seen> {
        Some(Seen {
            mark: self.mark,
            task: self.task_number()?,
            key: self.key().map(Key::to_bits),
            identity: self.as_frame().map(|(_, identity)| identity.clone()),
            own_waker: self.has_own_waker(),
            is_also_frame: self.is_also_frame(),
        })
    }
}
