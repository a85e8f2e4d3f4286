//! Defines the task header: the state that the future of a task, the handles to it and the dumps share.
//!
//! Headers live in a [`pool`](super::pool), where dumps find them, and are reused for other tasks when their last
//! reference is gone. There are two kinds of reference:
//!
//! * one [`Registration`](super::registration::Registration), in the future of the task: the thread that polls or drops
//!   that future is the [`Poller`](super::poller::Poller);
//! * any number of [`TaskRef`](super::task_ref::TaskRef)s, which readers and requesters hold.
//!
//! A scan over all headers takes no references, because counting one costs more than reading the header, and disturbs
//! the poller. [`task_view`](super::task_view) contains everything that may be read without a reference.
//!
//! The [module of tasks](super) says which thread may access which field.

#[cfg(all(target_pointer_width = "64", not(tasktrace_loom), not(tasktrace_tsan)))]
use std::mem::offset_of;
use std::panic::Location;
use std::ptr;
use std::sync::Arc;
use std::task::Waker;

use super::TaskId;
use super::clock::CoarseInstant;
use super::future_address::FutureAddressCell;
use super::last_poll::LastPoll;
use super::left_behind;
use super::metadata::{MetadataCell, MetadataView, PackedMetadata};
use super::observation::{ExecutorId, Observation};
use super::poll_state::{Lifecycle, NESTED, PollState, WAKER};
use super::ref_count::RefCount;
use super::runtime_task::{self, RuntimeTaskCell};
use super::side_table::SideTableCell;
use super::table::FrameTable;
use super::waker_cell::WakerCell;
use crate::origin::{Identity, Origin};
use crate::runtime::RuntimeTaskId;
use crate::sync::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

/// The task header: one per task. Rarely used parts are in its [side table](super::side_table).
///
/// Invariant: code that has a `&Header` also has a reference to it, the registration or a `TaskRef`, so the header
/// contains a task that stays there for as long. There are two exceptions, which call only methods that say "without a
/// reference": a [`TaskView`](super::task_view::TaskView), and a thread that [detaches](Self::mark_detached) a frame.
///
/// A task that was not polled for a while is in no cache, and each of its cache lines that a poll reads has to come
/// from memory. So the fields are in this order: the first line contains everything that a poll of the task reads, and
/// the second the slots of two frames.
#[repr(C, align(64))]
pub(crate) struct Header {
    pub(super) ref_count: RefCount,
    pub(super) poll_state: PollState,
    /// The [`LastPoll`] of the last poll that has started. Only the poller writes it.
    pub(super) last_poll: AtomicU64,
    pub(super) waker: WakerCell,
    // Constant while the header contains a task, as are `id` and `created_at`. The thread that prepares or resets the
    // header writes it, and has the header to itself.
    metadata: MetadataCell,
    pub(super) side_table: SideTableCell,
    pub(super) table: FrameTable,
    id: AtomicU64,
    created_at: AtomicU32,
    // The runtime, and the task of that runtime, that contain this task: see `RuntimeTaskCell`.
    runtime: AtomicU32,
    runtime_task: AtomicU64,
    /// The next free header, while this one is on a list of free headers.
    next_free: AtomicPtr<Self>,
    pub(super) future_address: FutureAddressCell,
}

#[cfg(all(target_pointer_width = "64", not(tasktrace_loom), not(tasktrace_tsan)))]
const _: () = {
    const LINE: usize = 64;
    // The feature adds a line, which polls do not read.
    let lines = if cfg!(feature = "inspect") { 4 } else { 3 };
    assert!(size_of::<Header>() <= lines * LINE);
    assert!(offset_of!(Header, table) + FrameTable::SLOTS_OFFSET == LINE);
};

// SAFETY: every field is an atomic, is `Sync` itself, or is one of these two cells. `waker`: the module `requests`
// proves that its accesses exclude each other. `metadata`: only `prepare` and `reset` write it, whose callers have the
// header to themselves, and `RefCount` orders these writes before and after the accesses of everyone who has a
// reference.
unsafe impl Sync for Header {}
// SAFETY: every field is `Send` itself: atomics, a `Waker`, and boxes of `Send` values.
unsafe impl Send for Header {}

impl Header {
    /// Returns a header that contains no task.
    pub(super) fn empty() -> Self {
        Self {
            ref_count: RefCount::none(),
            poll_state: PollState::new(),
            last_poll: AtomicU64::new(0),
            waker: WakerCell::new(),
            metadata: MetadataCell::new(),
            side_table: SideTableCell::new(),
            table: FrameTable::new(),
            id: AtomicU64::new(0),
            created_at: AtomicU32::new(0),
            runtime: AtomicU32::new(runtime_task::UNKNOWN),
            runtime_task: AtomicU64::new(0),
            next_free: AtomicPtr::new(ptr::null_mut()),
            future_address: FutureAddressCell::new(),
        }
    }

    /// Puts a new task into the header, with one reference. `state` is the [`PollState`] of the task before its first
    /// poll.
    ///
    /// # Safety
    ///
    /// The caller must have the header to itself: it must contain no task, and be on no list of free headers.
    #[inline]
    pub(super) unsafe fn prepare(&self, id: TaskId, metadata: PackedMetadata, state: u32) {
        let created_at = CoarseInstant::now();
        self.poll_state.store(state);
        let last_poll = LastPoll::new(0, created_at);
        self.last_poll.store(last_poll.to_bits(), Ordering::Relaxed);
        self.metadata.set(metadata);
        self.id.store(id.get(), Ordering::Relaxed);
        self.created_at.store(created_at.0, Ordering::Relaxed);
        self.runtime.store(runtime_task::UNKNOWN, Ordering::Relaxed);
        self.future_address.clear();
        self.ref_count.publish();
    }

    /// Removes the task from the header. Returns its waker, which the caller drops after the header was put back.
    ///
    /// # Safety
    ///
    /// The caller must have released the last reference, and no other thread may reset this header.
    #[inline]
    pub(super) unsafe fn reset(&self) -> Option<Waker> {
        if let Some(side_table) = self.side_table.get() {
            // SAFETY: the caller asserts that no reference is left. The registration has one until the task finishes,
            // and the task removes its frames before it finishes, so there are none.
            unsafe { side_table.reset() };
        }
        // SAFETY: the caller asserts that no reference is left, so no thread uses the metadata or the waker. `WAKER`
        // says that the cell contains a waker.
        unsafe {
            self.metadata.clear();
            self.poll_state.has(WAKER).then(|| self.waker.take())
        }
    }

    /// Returns the next header on the list of free headers that contains this one.
    #[inline]
    pub(super) fn next_free(&self) -> Option<&'static Self> {
        // SAFETY: the pointer is null, or came from a `&'static Header` in `set_next_free`, which alone stores it.
        unsafe { self.next_free.load(Ordering::Relaxed).as_ref() }
    }

    #[inline]
    pub(super) fn set_next_free(&self, next: Option<&'static Self>) {
        let next = next.map_or(ptr::null(), ptr::from_ref);
        self.next_free.store(next.cast_mut(), Ordering::Relaxed);
    }

    #[inline]
    fn metadata(&self) -> MetadataView<'_> {
        // SAFETY: by the invariant of `Header`, the caller has a reference. Neither a `TaskView` nor `mark_detached`
        // calls a method that calls this one.
        unsafe { self.metadata.get() }
    }

    pub(crate) fn id(&self) -> TaskId {
        TaskId::from_number(self.id.load(Ordering::Relaxed))
    }

    pub(crate) fn created_at(&self) -> CoarseInstant {
        CoarseInstant(self.created_at.load(Ordering::Relaxed))
    }

    pub(crate) fn origin(&self) -> Origin {
        match self.metadata() {
            MetadataView::Vacant => NO_ORIGIN,
            MetadataView::Function(meta) => Origin::Function(meta),
            MetadataView::Full(metadata) => metadata.origin,
        }
    }

    pub(crate) fn label(&self) -> Option<&Arc<str>> {
        self.metadata().full()?.label.as_ref()
    }

    /// Returns the origin and the label of the task.
    #[inline]
    pub(crate) fn identity(&self) -> Identity {
        match self.metadata() {
            MetadataView::Function(meta) => Identity::Static(meta),
            _ => Identity::new(self.origin(), self.label().cloned(), None),
        }
    }

    pub(crate) fn spawned_at(&self) -> Option<&'static Location<'static>> {
        self.metadata().full()?.spawned_at
    }

    pub(crate) fn parent(&self) -> Option<TaskId> {
        self.metadata().full()?.parent
    }

    /// Returns the runtime task that contains this task, or `None` if there is none or it is unknown.
    pub(crate) fn runtime_task(&self) -> Option<RuntimeTaskId> {
        self.runtime_task_cell().get()
    }

    /// Stores the runtime task that contains this task, unless it is already known.
    #[inline]
    pub(super) fn note_runtime_task(&self, find: impl FnOnce() -> Option<RuntimeTaskId>) {
        self.runtime_task_cell().set(find);
    }

    #[inline]
    fn runtime_task_cell(&self) -> RuntimeTaskCell<'_> {
        RuntimeTaskCell {
            task: &self.runtime_task,
            runtime: &self.runtime,
        }
    }

    /// Returns `true` if the header holds a waker. Only the poller calls this.
    #[inline]
    pub(super) fn has_waker(&self) -> bool {
        self.poll_state.has_waker()
    }

    /// Returns how many times the number of the poll has wrapped around.
    fn poll_wraps(&self) -> u32 {
        let side_table = self.side_table.get();
        side_table.map_or(0, |side_table| {
            side_table.poll_wraps.load(Ordering::Relaxed)
        })
    }

    #[inline]
    pub(super) fn last_poll(&self) -> LastPoll {
        LastPoll::from_bits(self.last_poll.load(Ordering::Relaxed))
    }

    /// Returns the number of the last poll that has ended. A caller that sees a poll ended also sees the frames as that
    /// poll left them, or later.
    pub(super) fn last_completed(&self) -> u32 {
        LastPoll::from_bits(self.last_poll.load(Ordering::Acquire)).last_completed()
    }

    /// Returns `true` if the last poll of the task panicked.
    pub(super) fn has_panicked(&self) -> bool {
        self.poll_state.lifecycle() == Lifecycle::Panicked
    }

    /// Returns the [`ThreadIndex`](super::thread::ThreadIndex) of the thread that started the last poll, and 0 if there
    /// was no poll.
    pub(super) fn last_thread(&self) -> u32 {
        self.poll_state.thread()
    }

    /// Returns `true` if this process is a child of `fork`, and the thread that polled the task last exists only in the
    /// parent.
    #[inline]
    pub(super) fn is_left_behind(&self) -> bool {
        left_behind::is_left_behind(self.poll_state.thread())
    }

    /// Returns how many polls have started, without the polls that only answered requests.
    pub(super) fn own_polls(&self) -> u64 {
        // In this order, so that a poll that starts between the two loads counts as one of the task's own: it may still
        // make progress.
        let side_table = self.side_table.get();
        let answering = side_table.map_or(0, |side_table| {
            side_table.answering_polls.load(Ordering::Relaxed)
        });
        self.polls().saturating_sub(answering)
    }

    /// Returns how many polls have started.
    pub(super) fn polls(&self) -> u64 {
        let poll = LastPoll::from_bits(self.last_poll.load(Ordering::Acquire)).poll();
        u64::from(self.poll_wraps()) << 31 | u64::from(poll)
    }

    /// Returns what the task is doing, and since when.
    ///
    /// This may be called without a reference. The result may then describe a task that is no longer in the header, or
    /// combine words of two tasks that were in it one after the other.
    pub(super) fn observe(&self) -> Observation {
        // Acquire: if the poll has ended, the caller sees everything that it left behind.
        let last_poll = LastPoll::from_bits(self.last_poll.load(Ordering::Acquire));
        let (poll, since) = (last_poll.poll(), last_poll.began_at());
        match self.poll_state.lifecycle() {
            Lifecycle::Finished => Observation::Finished,
            _ if self.is_left_behind() => Observation::Finished,
            _ if last_poll.is_running() => Observation::Running { poll, since },
            Lifecycle::Panicked => Observation::Panicked,
            Lifecycle::Alive if poll == 0 && self.poll_wraps() == 0 => {
                Observation::New { created_at: since }
            }
            Lifecycle::Alive => Observation::Suspended { poll, since },
        }
    }

    /// Returns the runtime and the thread that poll the task, as far as they are known. This may be called without
    /// a reference.
    pub(super) fn executor(&self) -> ExecutorId {
        ExecutorId {
            runtime: self.runtime_task_cell().runtime(),
            thread: self.poll_state.thread(),
        }
    }

    /// Returns `true` if the last poll was inside a poll of another task. This may be called without a reference.
    pub(super) fn is_nested(&self) -> bool {
        self.poll_state.has(NESTED)
    }

    /// Returns `true` if the root function of the task, suspended since `since`, may have reached its wait limit at
    /// `now`. This may be called without a reference.
    pub(super) fn may_be_overdue(&self, since: CoarseInstant, now: CoarseInstant) -> bool {
        self.metadata
            .may_have_limit_within(now.0.saturating_sub(since.0))
    }

    #[inline]
    pub(super) fn is_finished(&self) -> bool {
        self.poll_state.lifecycle() == Lifecycle::Finished
    }
}

/// The origin of a header that contains no task. It is never shown, because such a header has no references.
const NO_ORIGIN: Origin = Origin::Call {
    future: "",
    location: Location::caller(),
};

#[cfg(all(test, tasktrace_loom))]
mod model;
