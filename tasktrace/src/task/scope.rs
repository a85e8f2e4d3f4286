//! Tracks the task and the frames that are being polled on this thread, in a linked list of scopes on its stack.
//!
//! A [`Scope`] is on the list exactly while the closure runs that was passed to its [`Scope::enter`]. The scope
//! borrows nothing that the closure could outlive. It cannot be leaked, because only `enter` owns the guard that
//! unlinks it.
//!
//! The list starts at [`ThreadState::innermost`]. Its invariant: each scope on it belongs to this thread, and its
//! `enter` has not returned.
//!
//! A signal handler, which may interrupt the thread between any two instructions, reads the list as well. On Windows
//! and macOS, a requester that has suspended the thread does so. So a scope is complete before it is linked, and it is
//! unlinked before its memory is used for anything else. The fences that ensure this order are for the compiler only
//! and cost nothing.

use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering, compiler_fence};
use std::task::Waker;

use super::frame_state::FrameState;
use super::header::Header;
use super::poller::Poller;
use super::slot::FrameKey;
use super::thread_state::ThreadState;
use crate::capture::{
    self, ActiveScope, ActiveScopes, Capture, CaptureRef, SampledScope, SampledScopes, ScopeMarker,
    SuspendedThread,
};
use crate::origin::Identity;
use crate::unwind::Mark;

/// A task or a frame that is being polled.
pub(super) struct Scope<'a> {
    /// The mark of the function that polls.
    mark: Mark,
    /// The poller of the task: of this task, or of the task that the frame belongs to.
    poller: Poller<'a>,
    kind: ScopeKind<'a>,
    /// The waker of the poll.
    waker: &'a Waker,
    /// The scope in which this one was entered: the next on the list, while this scope is on the list.
    parent: AtomicPtr<()>,
}

/// The kind of a scope.
#[derive(Clone, Copy)]
pub(super) enum ScopeKind<'a> {
    /// A poll of a task, and its state on the slow path. `None` on the fast path.
    Task(Option<&'a SlowPoll>),
    /// A poll of a frame, and the identity that the frame is known by.
    Frame(&'a FrameState, &'a Identity),
}

/// State of a poll of a task that has taken the slow path.
pub(super) struct SlowPoll {
    /// The capture of this poll, while it goes on.
    capture: Cell<Option<CaptureRef>>,
    /// `true` if the parent scope is of the same future, as a frame of another task.
    is_also_frame: bool,
    /// `true` if a requester has caused this poll.
    is_requested: bool,
}

impl SlowPoll {
    pub(super) fn new(is_also_frame: bool, is_requested: bool) -> Self {
        Self {
            capture: Cell::new(None),
            is_also_frame,
            is_requested,
        }
    }
}

#[inline]
fn innermost() -> *const () {
    ThreadState::with(ptr::null(), ThreadState::innermost)
}

#[inline]
fn is_out_of_order() -> bool {
    ThreadState::with(true, ThreadState::is_out_of_order)
}

/// Returns `true` if a task is being polled on this thread.
#[inline]
pub(super) fn is_in_task() -> bool {
    !innermost().is_null()
}

/// Returns the outermost task that this thread polls, and the number of that poll.
pub(super) fn outermost_poll() -> Option<(super::TaskId, u64)> {
    Scope::with_current(|scope| {
        let pollers = scope.ancestors().filter_map(Scope::poller);
        pollers.last().map(|poller| (poller.id(), poller.polls()))
    })
}

/// Returns the number of the innermost task that is being polled on this thread.
pub(super) fn current_task() -> Option<super::TaskId> {
    Scope::with_current(|scope| Some(scope.task_scope()?.poller.id()))
}

impl<'a> Scope<'a> {
    /// Returns the scope of a poll of a task.
    ///
    /// This function is always inlined, because the mark has to be of the function that polls.
    #[inline(always)]
    pub(super) fn task(
        thread_state: &ThreadState,
        poller: Poller<'a>,
        waker: &'a Waker,
        slow_poll: Option<&'a SlowPoll>,
    ) -> Self {
        Self {
            mark: Mark::here(),
            poller,
            kind: ScopeKind::Task(slow_poll),
            waker,
            parent: AtomicPtr::new(thread_state.innermost().cast_mut()),
        }
    }

    /// Returns the scope of a poll of a frame. Returns `None` if no task is being polled on this thread.
    ///
    /// This function is always inlined, as [`task`](Self::task) is.
    #[inline(always)]
    pub(super) fn frame(
        thread_state: &ThreadState,
        frame_state: &'a FrameState,
        identity: &'a Identity,
        waker: &'a Waker,
    ) -> Option<Self> {
        let parent = thread_state.innermost();
        // SAFETY: by the invariant of `ThreadState::innermost`, the pointer is null or points to a scope of this thread
        // whose `enter` has not returned. It cannot return while this thread is in this function, so the scope is
        // alive. The caller chooses the lifetime of the copied `Poller`, which is sound: a `Poller` contains only a
        // `&'static Header`, and `poller_on` checks that its task is still being polled.
        let poller = unsafe { parent.cast::<Scope<'a>>().as_ref() }?.poller;
        Some(Self {
            mark: Mark::here(),
            poller,
            kind: ScopeKind::Frame(frame_state, identity),
            waker,
            parent: AtomicPtr::new(parent.cast_mut()),
        })
    }

    /// Calls `run` with this scope as the innermost of this thread.
    #[inline]
    pub(super) fn enter<R>(&self, thread_state: &ThreadState, run: impl FnOnce() -> R) -> R {
        /// Takes a scope off the list when `run` panics.
        struct UnlinkOnPanic<'a>(&'a Scope<'a>);

        impl Drop for UnlinkOnPanic<'_> {
            fn drop(&mut self) {
                ThreadState::with((), |thread_state| self.0.unlink(thread_state));
            }
        }

        let on_panic = UnlinkOnPanic(self);
        compiler_fence(Ordering::SeqCst);
        // SAFETY: the invariant of the list holds. `&self` keeps this scope alive until this function returns or
        // unwinds, and before that it is unlinked: by `on_panic` if `run` panics, and below otherwise.
        unsafe { thread_state.set_innermost(self.erased()) };
        let result = run();
        std::mem::forget(on_panic);
        if !self.unlink_innermost(thread_state) {
            self.unlink(thread_state);
        }
        compiler_fence(Ordering::SeqCst);
        result
    }

    /// Calls `run` with `capture` as the capture of this scope, which is a task's.
    pub(super) fn enter_capture<R>(&self, capture: &Capture, run: impl FnOnce() -> R) -> R {
        struct Leave<'a>(&'a Cell<Option<CaptureRef>>, Option<CaptureRef>);

        impl Drop for Leave<'_> {
            fn drop(&mut self) {
                self.0.set(None);
                ThreadState::with((), |thread_state| {
                    thread_state.capture.set(self.1);
                    thread_state.note_capture_ends();
                });
            }
        }

        let Some(SlowPoll {
            capture: capture_cell,
            ..
        }) = self.slow_poll()
        else {
            return run();
        };
        let own = Some(capture.as_ref());
        capture_cell.set(own);
        let before = ThreadState::with(None, |thread_state| {
            thread_state.note_capture_begins();
            thread_state.capture.replace(own)
        });
        let _leave = Leave(capture_cell, before);
        run()
    }

    #[inline]
    fn erased(&self) -> *const () {
        ptr::from_ref(self).cast()
    }

    /// Returns the next scope on the list.
    #[inline]
    fn next(&self) -> *const () {
        self.parent.load(Ordering::Relaxed)
    }

    /// Takes this scope off the list if it is the innermost. Returns `true` if it was.
    #[inline]
    fn unlink_innermost(&self, thread_state: &ThreadState) -> bool {
        let is_innermost = ptr::eq(thread_state.innermost(), self.erased());
        if is_innermost {
            // SAFETY: the next on the list is null, or by the invariant of the list a scope whose `enter` has not
            // returned. So the list that starts there satisfies the invariant as well.
            unsafe { thread_state.set_innermost(self.next()) };
        }
        is_innermost
    }

    /// Takes this scope off the list, wherever on the list it is.
    ///
    /// Polls on one stack end in the reverse order of their beginnings. Coroutines that are suspended in the middle
    /// of a poll may end out of order.
    #[cold]
    #[inline(never)]
    fn unlink(&self, thread_state: &ThreadState) {
        if self.unlink_innermost(thread_state) {
            return;
        }
        thread_state.note_out_of_order();
        let mut next = thread_state.innermost();
        // SAFETY: `next` is the start of the list or the successor of a scope on it. By the invariant of the list it
        // is null or points to a scope that is alive.
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

    /// Calls `run` with the innermost scope of this thread. Returns `None` if there is none.
    #[inline]
    pub(super) fn with_current<R>(run: impl FnOnce(&Scope<'_>) -> Option<R>) -> Option<R> {
        // SAFETY: by the invariant of the list, the pointer is null or points to a scope of this thread whose `enter`
        // has not returned. It cannot return while this thread is in `run`, and the type of `run` does not let it
        // keep the reference.
        let scope = unsafe { innermost().cast::<Scope<'_>>().as_ref() }?;
        run(scope)
    }

    /// Returns the poller of the task, if that is being polled on this thread.
    ///
    /// The task of a scope is being polled, unless a coroutine was suspended in the middle of a poll and goes on
    /// after the poll around it has ended.
    #[inline]
    pub(super) fn poller(&self) -> Option<Poller<'a>> {
        ThreadState::with(None, |thread_state| self.poller_on(thread_state))
    }

    /// Returns the poller of the task, in a scope that has just been left. Its task is being polled for certain.
    #[inline]
    pub(super) fn polled(&self) -> &Poller<'a> {
        &self.poller
    }

    /// Does the work of [`poller`](Self::poller) on the thread of `thread_state`.
    #[inline]
    pub(super) fn poller_on(&self, thread_state: &ThreadState) -> Option<Poller<'a>> {
        match thread_state.is_out_of_order() {
            false => Some(self.poller),
            true => self.find_poller_out_of_order(),
        }
    }

    /// Returns `true` if this scope is polled with the very waker of `parent`. `false` does not mean that the wakers
    /// differ.
    #[inline]
    pub(super) fn has_waker_of(&self, parent: &Self) -> bool {
        ptr::eq(self.waker, parent.waker)
    }

    /// Returns the number of the task. Returns `None` if the poll of the task has ended.
    fn task_number(&self) -> Option<u64> {
        Some(self.poller()?.id().get())
    }

    /// Returns the poller of the task if one of the scopes around this one is that task's.
    #[cold]
    fn find_poller_out_of_order(&self) -> Option<Poller<'a>> {
        let is_polled =
            |scope: &Self| scope.is_task() && ptr::eq(scope.poller.header(), self.poller.header());
        self.ancestors().any(is_polled).then_some(self.poller)
    }

    /// Returns the waker that this scope is polled with.
    #[inline]
    pub(super) fn waker(&self) -> &Waker {
        self.waker
    }

    /// Returns the mark at which stack walks for this scope end.
    pub(super) fn mark(&self) -> Mark {
        self.mark
    }

    #[inline]
    pub(super) fn parent(&self) -> Option<&Self> {
        // SAFETY: a scope is used only in the function that created it (`poll_frame`, `poll_frame_slow`, `poll_fast`,
        // `enter_slow_scope`) or while it is on the list. By the invariant of the list, its parent was on the list when
        // this scope was created. The `enter` of the parent has not returned since: if a parent leaves the list first,
        // `unlink` puts the parent's own parent in its place. And it cannot return while the reference is in use,
        // because it would have to do so on this thread.
        unsafe { self.next().cast::<Self>().as_ref() }
    }

    /// Returns this scope and those around it, from the inside out.
    pub(super) fn ancestors(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |scope| scope.parent())
    }

    /// Returns the scope of the task that this scope belongs to. If the poll of that task has ended (see
    /// [`poller`](Self::poller)), returns the scope of a task around it.
    pub(super) fn task_scope(&self) -> Option<&Self> {
        self.ancestors().find(|scope| scope.is_task())
    }

    /// Returns the frame and its identity, if this is the scope of a frame.
    #[inline]
    pub(super) fn as_frame(&self) -> Option<(&'a FrameState, &'a Identity)> {
        match self.kind {
            ScopeKind::Frame(frame, identity) => Some((frame, identity)),
            ScopeKind::Task(_) => None,
        }
    }

    #[inline]
    fn frame_state(&self) -> Option<&'a FrameState> {
        Some(self.as_frame()?.0)
    }

    #[inline]
    pub(super) fn is_task(&self) -> bool {
        self.frame_state().is_none()
    }

    /// Returns the key of the frame, if the frame is registered in the task's header. A task always has a key.
    #[inline]
    pub(super) fn key(&self) -> Option<FrameKey> {
        match self.frame_state() {
            None => Some(FrameKey::TASK),
            Some(frame) => frame.key_in(self.poller.header()),
        }
    }

    /// Removes the frame from the task that it is registered in, if that is not the task of this scope.
    pub(super) fn leave_other_tasks(&self) {
        if let Some(frame) = self.frame_state() {
            frame.leave_other_tasks(self.poller.header());
        }
    }

    /// Returns the capture of the closest task that is being captured, from this task outwards. It observes
    /// everything that happens in this scope, which is the innermost or about to be.
    pub(super) fn capture(&self) -> Option<CaptureRef> {
        match is_out_of_order() {
            // Captures begin and end in the order in which scopes do.
            false => ThreadState::with(None, |thread_state| thread_state.capture.get()),
            true => self.ancestors().find_map(Self::own_capture),
        }
    }

    /// Returns the capture of this scope, if it is the scope of a task that is being captured.
    fn own_capture(&self) -> Option<CaptureRef> {
        self.slow_poll()?.capture.get()
    }

    /// Returns the state of the poll on the slow path, if this is a task's scope and took that path.
    fn slow_poll(&self) -> Option<&SlowPoll> {
        match self.kind {
            ScopeKind::Task(slow_poll) => slow_poll,
            ScopeKind::Frame(..) => None,
        }
    }

    /// Returns `true` if the parent scope is of the same future, as a frame of another task.
    fn is_also_frame(&self) -> bool {
        self.slow_poll().is_some_and(|it| it.is_also_frame)
    }

    /// Adds the polls that are active in this scope, from the inside out, and registers their frames.
    fn active_scopes(&self, into: &mut ActiveScopes) {
        // Most of the time all frames are where they were in the last poll.
        if !self.find_registered_scopes(into) {
            self.register_scopes(into);
        }
    }

    /// Adds the active polls if all of their frames are registered where they are now. Returns `true` if they are.
    fn find_registered_scopes(&self, into: &mut ActiveScopes) -> bool {
        if is_out_of_order() {
            return false;
        }
        // A frame whose parent is not known yet.
        let mut below: Option<FrameKey> = None;
        for scope in self.ancestors() {
            let Some(key) = scope.key() else {
                return false;
            };
            let is_below = |below| scope.poller.is_below(below, key);
            if !below.is_none_or(is_below) {
                return false;
            }
            below = (!scope.is_task()).then_some(key);
            into.push(scope.active_scope(Some(scope.poller.id().get()), Some(key)));
        }
        true
    }

    /// Registers the frames of all active polls, and adds the polls.
    #[cold]
    fn register_scopes(&self, into: &mut ActiveScopes) {
        let scopes: Vec<&Self> = self.ancestors().collect();
        scopes.iter().for_each(|scope| scope.leave_other_tasks());
        // From the outside in, because a frame is registered below its parent.
        into.clear();
        into.reserve(scopes.len());
        let mut key = None;
        for scope in scopes.into_iter().rev() {
            key = match scope.kind {
                ScopeKind::Task(_) => Some(FrameKey::TASK),
                ScopeKind::Frame(frame, identity) => key
                    .zip(scope.poller())
                    .and_then(|(parent, poller)| frame.register_below(identity, poller, parent)),
            };
            into.push(scope.active_scope(scope.task_number(), key));
        }
        into.reverse();
    }

    /// Returns a description of this poll, which belongs to the task of this number and to the frame of this key.
    fn active_scope(&self, task: Option<u64>, key: Option<FrameKey>) -> ActiveScope {
        let identity = match self.kind {
            ScopeKind::Task(_) => self.poller.identity(),
            ScopeKind::Frame(_, identity) => identity.now(),
        };
        ActiveScope {
            mark: self.mark,
            marker: ScopeMarker {
                task: task.unwrap_or_default(),
                key: key.map(FrameKey::to_bits),
                identity,
                own_waker: self.has_own_waker(),
            },
            is_also_frame: self.is_also_frame(),
            capture: self.own_capture(),
        }
    }

    /// Returns `true` if this scope is polled with a waker other than its parent's.
    #[inline]
    pub(super) fn has_own_waker(&self) -> bool {
        self.parent().is_some_and(|parent| {
            !ptr::eq(self.waker, parent.waker)
                && !is_same(capture::real(self.waker), capture::real(parent.waker))
        })
    }
}

/// Returns `true` if both wakers have the same data and functions. Calls no foreign code.
#[inline]
pub(super) fn is_same(one: &Waker, other: &Waker) -> bool {
    one.data() == other.data() && ptr::eq(one.vtable(), other.vtable())
}

/// Returns `true` if a task is being polled on this thread, with this waker, because of a request.
pub(super) fn is_polled_for_request(waker: &Waker) -> bool {
    let found = Scope::with_current(|scope| {
        let task = scope.task_scope()?;
        let is_requested = task.slow_poll().is_some_and(|it| it.is_requested);
        (is_requested && is_same(capture::real(waker), capture::real(task.waker))).then_some(())
    });
    found.is_some()
}

/// Returns `true` if the task of `header` is being polled on this thread.
pub(super) fn is_polling(header: &Header) -> bool {
    let found = Scope::with_current(|scope| {
        let mut tasks = scope.ancestors().filter(|scope| scope.is_task());
        let is_it = |task: &Scope<'_>| {
            let poller = task.poller();
            poller.is_some_and(|poller| ptr::eq(poller.header(), header))
        };
        tasks.any(is_it).then_some(())
    });
    found.is_some()
}

/// Adds the polls around the caller, from the inside out.
pub(super) fn active_scopes(into: &mut ActiveScopes) {
    Scope::with_current(|scope| {
        scope.active_scopes(into);
        Some(())
    });
}

/// Collects the polls on a thread for a sample. Called in a signal handler on that thread, or while the thread is
/// suspended: it allocates nothing, takes no lock and registers nothing.
pub(super) fn sampled_scopes(suspended: Option<SuspendedThread<'_>>, scopes: &mut SampledScopes) {
    let thread_state = match &suspended {
        None => ThreadState::get(),
        // SAFETY: the address in the token is that of a `ThreadState`, because only `ThreadIndex::assign` registers
        // one. The token proves that the state is alive, and that its thread does not change it meanwhile.
        Some(thread) => Some(unsafe { thread.state().cast::<ThreadState>().as_ref() }),
    };
    let Some(thread_state) = thread_state else {
        return;
    };
    // SAFETY: by the invariant of the list, the pointer is null or points to a scope whose `enter` has not returned. It
    // cannot return while its thread is in this function or suspended, and the reference does not leave this function.
    let Some(innermost) = (unsafe { thread_state.innermost().cast::<Scope<'_>>().as_ref() }) else {
        return;
    };
    for scope in innermost.ancestors() {
        scopes.push(scope.is_task(), || scope.sampled_scope(thread_state));
    }
}

impl Scope<'_> {
    /// Returns a description of this poll for a sample. `thread_state` is that of its thread. Returns `None` if the
    /// poll of its task has ended.
    fn sampled_scope(&self, thread_state: &ThreadState) -> Option<SampledScope> {
        Some(SampledScope {
            mark: self.mark,
            task: self.poller_on(thread_state)?.id().get(),
            key: self.key().map(FrameKey::to_bits),
            identity: self.as_frame().map(|(_, identity)| identity.clone()),
            own_waker: self.has_own_waker(),
            is_also_frame: self.is_also_frame(),
        })
    }
}
