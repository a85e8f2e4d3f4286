//! Records where a future is registered in the live tree: as a task, or as a frame in a task's header. One word for
//! each future.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::header::Header;
use super::metadata::{Metadata, PackedMetadata};
use super::poll_state::PollState;
use super::poller::Poller;
use super::task_ref::TaskRef;
use super::thread_state::ThreadState;

/// The place of a future in the live tree.
///
/// A registration belongs to a future, and only the thread that polls or drops the future uses it, so one thread at a
/// time. The word is
///
/// * null, for a future that is not registered;
/// * the address of a header plus [`TASK`], for a *task* that has not finished. The registration owns the task: the
///   thread that has it is the poller of the task;
/// * [`FINISHED`], for a task that has *finished*;
/// * the address of a header, for a *frame* that is registered there, or was.
///
/// Dropping a registered future finishes the task or removes the frame. Their owners do this, not this type.
///
/// The word is atomic because a signal handler that interrupts the thread reads it.
pub(super) struct Registration(AtomicPtr<Header>);

/// The tag of a task, added to the address of its header, which is aligned.
const TASK: usize = 1;

/// The word of a finished task. No header has this address.
const FINISHED: usize = 2;

const _: () = assert!(align_of::<Header>() > FINISHED);

// A panic leaves the registration valid: requesters get an error, and the frame may be missing from the header that its
// registration names.
impl UnwindSafe for Registration {}
impl RefUnwindSafe for Registration {}

impl Registration {
    /// Returns the registration of a future that is not registered.
    pub(super) const fn none() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    /// Returns the registration of a new task.
    pub(super) fn to_task(metadata: Metadata) -> Self {
        let registration = Self::none();
        // No thread has polled it yet.
        registration.make_task(
            ThreadState::get(),
            metadata.into_word(),
            PollState::on_thread(0),
        );
        registration
    }

    /// Makes the future a task with this metadata. `state` is the value of its [`PollState`] before the first poll.
    pub(super) fn make_task(
        &self,
        thread_state: Option<&ThreadState>,
        metadata: PackedMetadata,
        state: u32,
    ) {
        let header = TaskRef::new(thread_state, metadata, state).into_static();
        self.set(ptr::from_ref(header).map_addr(|address| address | TASK));
    }

    #[inline]
    fn get(&self) -> *const Header {
        self.0.load(Ordering::Relaxed)
    }

    #[inline]
    fn set(&self, to: *const Header) {
        self.0.store(to.cast_mut(), Ordering::Relaxed);
    }

    /// Returns `true` if the future is a task that has not finished.
    #[inline]
    pub(super) fn is_task(&self) -> bool {
        self.get().addr() & TASK != 0
    }

    /// Returns `true` if the future is a task that has not finished, or a frame that is registered or was. Then there
    /// is something to do when it is dropped.
    #[inline]
    pub(super) fn is_registered(&self) -> bool {
        self.get().addr() & !FINISHED != 0
    }

    /// Returns the header of the task, if the future is a task that has not finished. Until it finishes, the
    /// registration holds a reference to it.
    #[inline]
    pub(super) fn header(&self) -> Option<&Header> {
        self.task_header()
    }

    #[inline]
    fn task_header(&self) -> Option<&'static Header> {
        let address = self.get();
        // SAFETY: the closure runs only for a word with the tag `TASK`, which neither null nor `FINISHED` has.
        (address.addr() & TASK != 0).then(|| unsafe { header_at(address) })
    }

    /// Returns a reference to the task, if the future is a task that has not finished.
    pub(super) fn task(&self) -> Option<TaskRef> {
        TaskRef::of_task_in(self.task_header()?)
    }

    /// Returns the poller of the task, if the future is a task that has not finished.
    ///
    /// # Safety
    ///
    /// The caller must poll or drop the future, and must use the poller only until the task
    /// [finishes](Self::take_task).
    #[inline]
    pub(super) unsafe fn poller(&self) -> Option<Poller<'_>> {
        // SAFETY: `Poller::new` demands that its caller polls or drops the future for as long as the poller is used,
        // and that the task has not finished. The first is the contract of this function. The task has not finished
        // when `task_header` returns its header, and by the contract the poller is not used once it has.
        Some(unsafe { Poller::new(self.task_header()?) })
    }

    /// Takes the reference to the task out of the registration, if the future is a task that has not finished. This
    /// finishes the task.
    ///
    /// # Safety
    ///
    /// The caller must poll or drop the future, and must no longer use a result of [`poller`](Self::poller) or
    /// [`header`](Self::header).
    #[inline]
    pub(super) unsafe fn take_task(&self) -> Option<TaskRef> {
        let header = self.task_header()?;
        self.set(ptr::without_provenance(FINISHED));
        // SAFETY: `from_static` demands a reference to the header that it may give back. `make_task` has left one to
        // the registration by `into_static`. The registration does not lead to the header any more, so the reference
        // is taken once.
        Some(unsafe { TaskRef::from_static(header) })
    }

    /// Returns `true` if the future is a task that has finished.
    #[inline]
    pub(super) fn has_finished(&self) -> bool {
        self.get().addr() == FINISHED
    }

    /// Returns `true` if the future is a frame that is registered in this header, or was.
    #[inline]
    pub(super) fn is_registered_in(&self, header: &Header) -> bool {
        ptr::eq(self.get(), header)
    }

    /// Notes that the caller has registered the future, which is not a task, as a frame in this header.
    pub(super) fn set_registered_in(&self, header: &'static Header) {
        self.set(header);
    }

    /// Forgets the header in which the future is registered as a frame, or was, and returns it.
    pub(super) fn deregister(&self) -> Option<&'static Header> {
        let address = self.get();
        if address.addr() & !FINISHED == 0 || address.addr() & TASK != 0 {
            return None;
        }
        self.set(ptr::null());
        // SAFETY: the check above has excluded null and `FINISHED`, and `get` returned the word of this registration.
        Some(unsafe { header_at(address) })
    }
}

/// Returns the header whose address is in the word of a registration.
///
/// # Safety
///
/// The word must come from a registration, and must be neither null nor [`FINISHED`].
#[inline]
unsafe fn header_at(address: *const Header) -> &'static Header {
    debug_assert!(address.addr() & !FINISHED != 0);
    // SAFETY: only `make_task` and `set_registered_in` store words other than null and `FINISHED` in a registration,
    // and the `# Safety` section excludes these two. Both store the address of a `&'static Header`, the first with
    // `TASK` added, which is removed here. Headers are never freed.
    unsafe { &*address.map_addr(|address| address & !TASK) }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.task() {
            Some(task) => write!(f, "task {}", task.id()),
            None if self.is_registered() => f.write_str("frame"),
            None => f.write_str("no task"),
        }
    }
}
