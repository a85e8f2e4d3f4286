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
use std::marker::PhantomData;
use std::ptr;
use std::sync::atomic::{Ordering, compiler_fence};
use std::task::Waker;

use super::frame::Head;
use super::frames::Key;
use super::local::Local;
use super::record::Record;
use crate::capture::{self, Around, Capture, CaptureRef, Marker, Scopes, Seen, Surroundings};
use crate::origin::Identity;
use crate::unwind::Mark;

/// One task or one frame that is being polled.
pub(super) struct Scope<'a> {
    /// Of the function that polls.
    mark: Mark,
    /// The task, or that of the frame.
    record: &'a Record,
    kind: PackedKind<'a>,
    /// What it is polled with.
    waker: &'a Waker,
    /// The scope that this one was entered in: the next on the list, while it is on the list.
    parent: Cell<*const Scope<'static>>,
}

/// The scope of what.
pub(super) enum Kind<'a> {
    /// A task, in a poll of which there is nothing to be said.
    Task,
    /// A task.
    Unusual(&'a Unusual),
    Frame(&'a Head),
}

/// A [`Kind`] in one word, because it is written in each poll: the address of a head, or [`TASK`] and
/// the address of what is unusual, if anything is.
struct PackedKind<'a>(*const (), PhantomData<Kind<'a>>);

/// Added to an address: both kinds are aligned.
const TASK: usize = 1;

const _: () = assert!(align_of::<Unusual>() > TASK && align_of::<Head>() > TASK);

impl<'a> PackedKind<'a> {
    const USUAL: Self = Self(ptr::without_provenance(TASK), PhantomData);

    fn unusual(unusual: &'a Unusual) -> Self {
        let address = ptr::from_ref(unusual).cast::<()>();
        Self(address.map_addr(|address| address | TASK), PhantomData)
    }

    #[inline]
    fn frame(head: &'a Head) -> Self {
        Self(ptr::from_ref(head).cast(), PhantomData)
    }

    #[inline]
    fn is_task(&self) -> bool {
        self.0.addr() & TASK != 0
    }

    #[inline]
    fn get(&self) -> Kind<'a> {
        if !self.is_task() {
            // SAFETY: the address of what is there for as long as `'a`.
            return Kind::Frame(unsafe { &*self.0.cast() });
        }
        let unusual = self.0.map_addr(|address| address & !TASK);
        // SAFETY: likewise, or null.
        match unsafe { unusual.cast::<Unusual>().as_ref() } {
            None => Kind::Task,
            Some(unusual) => Kind::Unusual(unusual),
        }
    }
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
fn innermost() -> *const Scope<'static> {
    Local::with(ptr::null(), |local| local.innermost.get())
}

/// Whether a task is being polled on this thread.
#[inline]
pub(super) fn is_in_task() -> bool {
    !innermost().is_null()
}

/// The task that is being polled on this thread: the innermost.
pub(super) fn current_task() -> Option<super::TaskId> {
    Scope::with_current(|scope| Some(scope.of_task()?.record.about().id))
}

impl<'a> Scope<'a> {
    /// The scope of a poll of a task outside of any other, by the function into which this is
    /// inlined.
    #[inline(always)]
    pub(super) fn outermost(record: &'a Record, waker: &'a Waker) -> Self {
        Self {
            mark: Mark::here(),
            record,
            kind: PackedKind::USUAL,
            waker,
            parent: Cell::new(ptr::null()),
        }
    }

    /// The scope of a poll of a task, by the function into which this is inlined.
    #[inline(always)]
    pub(super) fn task(record: &'a Record, waker: &'a Waker, unusual: &'a Unusual) -> Self {
        Self {
            mark: Mark::here(),
            record,
            kind: PackedKind::unusual(unusual),
            waker,
            parent: Cell::new(innermost()),
        }
    }

    /// The scope of a poll of a frame inside of a task, by the function into which this is inlined.
    /// `None` outside any task.
    #[inline(always)]
    pub(super) fn frame(head: &'a Head, waker: &'a Waker) -> Option<Self> {
        let parent = innermost();
        // SAFETY: by the invariant of `Local::innermost`, it is null or has not returned from its
        // `enter`, so the record is there; and records are never freed.
        let record = unsafe { parent.cast::<Scope<'a>>().as_ref() }?.record;
        Some(Self {
            mark: Mark::here(),
            record,
            kind: PackedKind::frame(head),
            waker,
            parent: Cell::new(parent),
        })
    }

    /// Calls `run` with this scope as the innermost.
    #[inline]
    pub(super) fn enter<R>(&self, run: impl FnOnce() -> R) -> R {
        /// Takes a scope off the list, also when `run` panics.
        struct Leave<'a>(&'a Scope<'a>);

        impl Drop for Leave<'_> {
            #[inline]
            fn drop(&mut self) {
                Local::with((), |local| {
                    if ptr::eq(local.innermost.get(), self.0.erased()) {
                        local.innermost.set(self.0.parent.get());
                    } else {
                        self.0.unlink(local);
                    }
                });
                compiler_fence(Ordering::SeqCst);
            }
        }

        let _leave = Leave(self);
        compiler_fence(Ordering::SeqCst);
        Local::with((), |local| local.innermost.set(self.erased()));
        run()
    }

    /// Calls `run` with this scope, which is that of a task, as the one that is captured.
    pub(super) fn enter_capture<R>(&self, capture: &Capture, run: impl FnOnce() -> R) -> R {
        struct Leave<'a>(&'a Cell<Option<CaptureRef>>);

        impl Drop for Leave<'_> {
            fn drop(&mut self) {
                self.0.set(None);
                Local::with((), |local| local.captures.set(local.captures.get() - 1));
            }
        }

        let Kind::Unusual(Unusual { capture: place, .. }) = self.kind.get() else {
            return run();
        };
        place.set(Some(capture.as_ref()));
        Local::with((), |local| local.captures.set(local.captures.get() + 1));
        let _leave = Leave(place);
        run()
    }

    #[inline]
    fn erased(&self) -> *const Scope<'static> {
        ptr::from_ref(self).cast()
    }

    /// Takes this scope, which is not the first, out of the list.
    ///
    /// Polls on one stack end in the reverse order of their beginnings, but coroutines that are
    /// suspended in the middle of a poll need not.
    #[cold]
    fn unlink(&self, local: &Local) {
        local.is_tangled.set(true);
        let mut next = local.innermost.get();
        // SAFETY: `next` is on the list, so by its invariant it is null or alive.
        while let Some(scope) = unsafe { next.as_ref() } {
            next = scope.parent.get();
            if ptr::eq(next, self.erased()) {
                scope.parent.set(self.parent.get());
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
        let scope = unsafe { innermost().as_ref() }?;
        run(scope)
    }

    /// The record of the task, if that is being polled on this thread: so whoever is in this scope
    /// is the poller.
    ///
    /// It is, unless a coroutine was suspended in the middle of a poll, and goes on after the poll
    /// around it has ended.
    #[inline]
    pub(super) fn record(&self) -> Option<&'a Record> {
        match Local::with(true, |local| local.is_tangled.get()) {
            false => Some(self.record),
            true => self.find_record(),
        }
    }

    /// The record of the task, as [`record`](Self::record) has it, and the scope around this one, if
    /// that has the same waker.
    #[inline(always)]
    pub(super) fn usual(&self) -> Option<(&'a Record, &Self)> {
        if Local::with(true, |local| local.is_tangled.get()) {
            return None;
        }
        let parent = self.parent()?;
        ptr::eq(self.waker, parent.waker).then_some((self.record, parent))
    }

    /// The number of the task, if that has not ended.
    fn task_number(&self) -> Option<u64> {
        Some(self.record()?.about().id.get())
    }

    #[cold]
    fn find_record(&self) -> Option<&'a Record> {
        let is_polled = |scope: &Self| scope.is_task() && ptr::eq(scope.record, self.record);
        self.outwards().any(is_polled).then_some(self.record)
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
        // top of it. So is its parent, which by the invariant of the list has not returned from its
        // `enter` either, and cannot while the reference is in use: this thread is here.
        unsafe { self.parent.get().cast::<Self>().as_ref() }
    }

    /// This scope and those around it, from the inside out.
    pub(super) fn outwards(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |scope| scope.parent())
    }

    /// The scope of the task that this one belongs to, or if that has ended (see
    /// [`record`](Self::record)) one around it.
    pub(super) fn of_task(&self) -> Option<&Self> {
        self.outwards().find(|scope| scope.is_task())
    }

    #[inline]
    pub(super) fn head(&self) -> Option<&Head> {
        match self.kind.get() {
            Kind::Task | Kind::Unusual(_) => None,
            Kind::Frame(head) => Some(head),
        }
    }

    #[inline]
    pub(super) fn is_task(&self) -> bool {
        self.kind.is_task()
    }

    /// The key of the frame, if it has one in the record. That of the task is always known.
    #[inline]
    pub(super) fn key(&self) -> Option<Key> {
        match self.head() {
            None => Some(Key::TASK),
            Some(head) => head.key_in(self.record),
        }
    }

    /// Takes the frame off from where it was filed, if that was with another task.
    pub(super) fn leave_others(&self) {
        if let Kind::Frame(head) = self.kind.get() {
            head.leave_others(self.record);
        }
    }

    /// The capture of this task or one around it, the closest: the one that is to know of what
    /// happens in this scope.
    #[inline]
    pub(super) fn capture(&self) -> Option<CaptureRef> {
        match Local::with(0, |local| local.captures.get()) {
            0 => None,
            _ => self.find_capture(),
        }
    }

    #[cold]
    fn find_capture(&self) -> Option<CaptureRef> {
        self.outwards().find_map(Self::own_capture)
    }

    /// The capture of this task, if it is one.
    fn own_capture(&self) -> Option<CaptureRef> {
        self.unusual()?.capture.get()
    }

    /// What is unusual about the poll, if anything is.
    fn unusual(&self) -> Option<&Unusual> {
        match self.kind.get() {
            Kind::Unusual(unusual) => Some(unusual),
            Kind::Task | Kind::Frame(_) => None,
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
        if Local::with(true, |local| local.is_tangled.get()) {
            return false;
        }
        // A frame, of which it is not known yet what it is below.
        let mut below: Option<Key> = None;
        for scope in self.outwards() {
            let Some(key) = scope.key() else {
                return false;
            };
            // A frame is polled by the task of what is around it.
            if below.is_some_and(|below| !scope.record.frames.is_below(below, key)) {
                return false;
            }
            below = match scope.kind.get() {
                Kind::Task | Kind::Unusual(_) => None,
                Kind::Frame(_) => Some(key),
            };
            into.push(scope.around(Some(scope.record.about().id.get()), Some(key)));
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
            key = match scope.kind.get() {
                Kind::Task | Kind::Unusual(_) => Some(Key::TASK),
                Kind::Frame(head) => key
                    .zip(scope.record())
                    .and_then(|(parent, record)| head.file_below(record, parent)),
            };
            into.push(scope.around(scope.task_number(), key));
        }
        into.reverse();
    }

    fn around(&self, task: Option<u64>, key: Option<Key>) -> Around {
        let identity = match self.kind.get() {
            Kind::Task | Kind::Unusual(_) => {
                let about = self.record.about();
                Identity::new(about.origin, about.label.clone(), None)
            }
            Kind::Frame(head) => head.identity().clone().now(),
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
            identity: self.head().map(|head| head.identity().clone()),
            own_waker: self.has_own_waker(),
            is_also_frame: self.is_also_frame(),
        })
    }
}
