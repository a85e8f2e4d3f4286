//! Provides counted references to tasks.

use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::task::Waker;

use super::free_list::UnusedHeader;
use super::header::Header;
use super::metadata::PackedMetadata;
use super::poller::Poller;
use super::thread_state::ThreadState;
use super::{TaskId, foreign, pool};

/// A counted reference to the header of a task.
pub(crate) struct TaskRef(&'static Header);

// A panic in a poll leaves a task header consistent: requesters are told of it.
impl UnwindSafe for TaskRef {}
impl RefUnwindSafe for TaskRef {}

impl TaskRef {
    /// Creates a task. `state` is its [`PollState`](super::poll_state::PollState) before its first poll.
    #[inline]
    pub(super) fn new(
        thread_state: Option<&ThreadState>,
        metadata: PackedMetadata,
        state: u32,
    ) -> Self {
        let header = pool::take(thread_state).into_header();
        // SAFETY: an `UnusedHeader` has its header to itself, and `into_header` has consumed it. So this thread alone
        // uses the header, and no list contains it.
        unsafe { header.prepare(TaskId::next(), metadata, state) };
        Self(header)
    }

    /// Takes over a reference.
    ///
    /// # Safety
    ///
    /// The count must include a reference that no other value will release.
    #[inline]
    pub(super) unsafe fn from_static(header: &'static Header) -> Self {
        Self(header)
    }

    /// Returns the header without releasing the reference: [`from_static`](Self::from_static) can take it over.
    pub(super) fn into_static(self) -> &'static Header {
        ManuallyDrop::new(self).0
    }

    /// Returns a reference to the task in this header, if it contains one.
    pub(super) fn of_task_in(header: &'static Header) -> Option<Self> {
        header.ref_count.try_retain().then(|| Self(header))
    }

    /// Returns a reference to a task that is being polled.
    pub(super) fn of(poller: Poller<'_>) -> Self {
        // The registration of the task has a reference for as long as there is a poller, so the count is not 0.
        poller.ref_count.retain();
        Self(poller.header())
    }

    /// Returns the header. The caller uses it only while it has this reference.
    #[inline]
    pub(super) fn header(&self) -> &'static Header {
        self.0
    }

    /// Releases the reference if it is the last one, and recycles the header. Returns the waker of the task, to be
    /// dropped. Returns the reference if it is not the last.
    #[inline]
    pub(super) fn release_if_last(self) -> Result<Option<Waker>, Self> {
        match self.0.ref_count.release_if_last() {
            // SAFETY: `release_if_last` returned `true`, so it has released the last reference. `into_static` keeps
            // `drop` from releasing it again.
            true => Ok(unsafe { recycle(self.into_static()) }),
            false => Err(self),
        }
    }
}

impl Clone for TaskRef {
    fn clone(&self) -> Self {
        self.0.ref_count.retain();
        Self(self.0)
    }
}

impl Deref for TaskRef {
    type Target = Header;

    #[inline]
    fn deref(&self) -> &Header {
        self.0
    }
}

impl Drop for TaskRef {
    fn drop(&mut self) {
        #[inline(never)]
        fn recycle_and_drop_waker(header: &'static Header) {
            // SAFETY: this is called only after `release` returned `true`, so the last reference has been released.
            foreign::drop(unsafe { recycle(header) });
        }

        if self.0.ref_count.release() {
            recycle_and_drop_waker(self.0);
        }
    }
}

/// Resets a header, and returns it to the pool. Returns the waker of its task, to be dropped.
///
/// # Safety
/// The caller must have released the last reference.
#[inline]
unsafe fn recycle(header: &'static Header) -> Option<Waker> {
    // SAFETY: the caller asserts that it has released the last reference, and only one release is the last. So this
    // thread has the header to itself, and after `reset` the header contains no task. References are made of headers of
    // the pool only: `new` takes a header from there, and the others come from scans of it.
    let (waker, unused) = unsafe { (header.reset(), UnusedHeader::new(header)) };
    pool::put_back(unused);
    waker
}

/// Returns the tasks in the first `count` headers of the pool.
pub(super) fn first_tasks(count: usize) -> impl Iterator<Item = TaskRef> {
    pool::headers().take(count).filter_map(TaskRef::of_task_in)
}

/// Returns all tasks that have not finished, in the order of their ids.
pub(super) fn unfinished() -> impl Iterator<Item = TaskRef> {
    let is_unfinished = |header: &TaskRef| !header.is_finished() && !header.is_left_behind();
    // The ids are copied, so that the sort does not read the headers.
    let tasks = tasks().filter(is_unfinished).map(|task| (task.id(), task));
    let mut tasks: Vec<(TaskId, TaskRef)> = tasks.collect();
    tasks.sort_unstable_by_key(|(id, _)| *id);
    tasks.into_iter().map(|(_, task)| task)
}

/// Returns all tasks whose headers are in use: those that have not finished, or have handles.
pub(super) fn tasks() -> impl Iterator<Item = TaskRef> {
    pool::headers().filter_map(TaskRef::of_task_in)
}
