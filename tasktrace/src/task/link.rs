//! What a future is in the live tree, in one word.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::about::{About, Word};
use super::local::Local;
use super::poller::Poller;
use super::record::Record;
use super::reference::RecordRef;
use super::turn::Turn;

/// Belongs to a future, and is used by whoever polls or drops that, so by one thread at a time. The
/// future is one of
///
/// * nothing yet: null;
/// * a *task*, of which this is the owner: whoever has it is the poller of the task. The address of its
///   record, and [`TASK`];
/// * a task that has *finished*, because it has resolved: [`FINISHED`];
/// * a *frame*: the address of the record that it is filed in, or was.
///
/// What has it finishes the task, or takes the frame off, when it is dropped.
///
/// Atomic, because a signal handler that interrupts that thread reads it.
pub(super) struct Link(AtomicPtr<Record>);

/// Added to an address: records are aligned.
const TASK: usize = 1;

/// The address of no record.
const FINISHED: usize = 2;

const _: () = assert!(align_of::<Record>() > FINISHED);

// A panic in a poll is one of the things that may happen to a task, and is told to who asks. And what
// is known of where a frame is filed may be out of date.
impl UnwindSafe for Link {}
impl RefUnwindSafe for Link {}

impl Link {
    /// Of a future that is nothing yet.
    pub(super) const fn none() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    /// Of a task.
    pub(super) fn to_task(about: About) -> Self {
        let link = Self::none();
        // Which thread polls it is not known yet.
        link.make_task(Local::get(), about.into_word(), Turn::on(0));
        link
    }

    /// Makes it a task, of which this is known. `turn` is what its [`Turn`] is before its first poll.
    pub(super) fn make_task(&self, local: Option<&Local>, about: Word, turn: u32) {
        let record = RecordRef::new(local, about, turn).into_static();
        self.set(ptr::from_ref(record).map_addr(|address| address | TASK));
    }

    #[inline]
    fn get(&self) -> *const Record {
        self.0.load(Ordering::Relaxed)
    }

    #[inline]
    fn set(&self, to: *const Record) {
        self.0.store(to.cast_mut(), Ordering::Relaxed);
    }

    /// Whether it is a task that has not finished.
    #[inline]
    pub(super) fn is_task(&self) -> bool {
        self.get().addr() & TASK != 0
    }

    /// Whether there is anything to be done when it is dropped.
    #[inline]
    pub(super) fn leads_anywhere(&self) -> bool {
        self.get().addr() & !FINISHED != 0
    }

    /// The record of the task that it is, if that has not finished. Until then the link has a reference to it.
    #[inline]
    pub(super) fn record(&self) -> Option<&Record> {
        self.task_record()
    }

    #[inline]
    fn task_record(&self) -> Option<&'static Record> {
        let link = self.get();
        (link.addr() & TASK != 0).then(|| record_at(link))
    }

    /// A reference to the task that it is, if that has not finished.
    pub(super) fn task(&self) -> Option<RecordRef> {
        RecordRef::of_task_in(self.task_record()?)
    }

    /// The poller of the task that it is, if that has not finished.
    ///
    /// # Safety
    ///
    /// The caller polls or drops the future, and uses what is returned only until the task [finishes](Self::take_task).
    #[inline]
    pub(super) unsafe fn poller(&self) -> Option<Poller<'_>> {
        // SAFETY: the caller asserts that it polls or drops the future, and uses the poller only until the task finishes.
        Some(unsafe { Poller::new(self.task_record()?) })
    }

    /// The task that it is, if that has not finished: it does with this.
    ///
    /// # Safety
    ///
    /// The caller polls or drops the future, and nobody uses what [`poller`](Self::poller) or [`record`](Self::record) has
    /// returned any more.
    #[inline]
    pub(super) unsafe fn take_task(&self) -> Option<RecordRef> {
        let record = self.task_record()?;
        self.set(ptr::without_provenance(FINISHED));
        // SAFETY: it is the reference that `make_task` has left to the link, which does not lead to the record any more.
        Some(unsafe { RecordRef::from_static(record) })
    }

    /// Whether it is a task that has finished.
    #[inline]
    pub(super) fn has_finished(&self) -> bool {
        self.get().addr() == FINISHED
    }

    /// Whether it is filed in this record, or was.
    #[inline]
    pub(super) fn is_filed_in(&self, record: &Record) -> bool {
        ptr::eq(self.get(), record)
    }

    /// The caller has filed it in this record. It is no task.
    pub(super) fn set_filed_in(&self, record: &'static Record) {
        self.set(record);
    }

    /// The record that it is filed in, or was: it is no more.
    pub(super) fn take_filed(&self) -> Option<&'static Record> {
        let link = self.get();
        if link.addr() & !FINISHED == 0 || link.addr() & TASK != 0 {
            return None;
        }
        self.set(ptr::null());
        Some(record_at(link))
    }
}

/// The record of a link that leads to one.
#[inline]
fn record_at(link: *const Record) -> &'static Record {
    debug_assert!(link.addr() & !FINISHED != 0);
    // SAFETY: without the mark of a task, it is the address of a record, because only `make_task` and `set_filed_in` store
    // others than null and `FINISHED`. Records are never freed.
    unsafe { &*link.map_addr(|address| address & !TASK) }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.task() {
            Some(task) => write!(f, "task {}", task.id()),
            None if self.leads_anywhere() => f.write_str("frame"),
            None => f.write_str("no task"),
        }
    }
}
