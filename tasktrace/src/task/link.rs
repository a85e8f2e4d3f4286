//! What a future is in the live tree, in one word.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::about::{About, Word};
use super::ended;
use super::foreign;
use super::frame::Head;
use super::local::Local;
use super::name::NameRef;
use super::record::{Record, RecordRef};
use super::thread::Token;
use super::traced::AsFrame;
use super::turn::Turn;
use super::witness;
use crate::host::Job;

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
    fn to_task(about: About) -> Self {
        let link = Self::none();
        // Which thread polls it is not known yet.
        link.set_task(RecordRef::new(Local::get(), about.into_word(), Turn::on(0)));
        link
    }

    fn set_task(&self, record: RecordRef) -> &'static Record {
        let record = record.into_static();
        self.set(ptr::from_ref(record).map_addr(|address| address | TASK));
        record
    }

    #[inline(always)]
    fn get(&self) -> *const Record {
        self.0.load(Ordering::Relaxed)
    }

    #[inline(always)]
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

    /// The record of the task that it is, if that has not finished.
    #[inline]
    pub(super) fn task(&self) -> Option<&'static Record> {
        // SAFETY: it is one.
        self.is_task().then(|| unsafe { self.task_unchecked() })
    }

    /// # Safety
    ///
    /// It is a task that has not finished.
    #[inline]
    pub(super) unsafe fn task_unchecked(&self) -> &'static Record {
        let record = self.get().map_addr(|address| address.wrapping_sub(TASK));
        // SAFETY: as asserted by the caller, it is the address of a record, and those are never freed.
        unsafe { &*record }
    }

    /// Makes a task of it whose first poll, outside of any other task, has just begun. `head` is what it
    /// has been so far, and `name` what it is known by. Returns the record; `None` if it has been a task and
    /// has finished.
    #[inline]
    pub(super) fn make(
        &self,
        local: &Local,
        head: &Head,
        name: NameRef,
    ) -> Option<&'static Record> {
        if self.get().addr() == FINISHED {
            return None;
        }
        head.leave_task();
        let about = match name.as_static() {
            Some(meta) => Word::of(meta),
            None => About::of_identity(&name.get()).into_word(),
        };
        let thread = Token::of(local).map_or(0, |token| token.0);
        let record = RecordRef::new(Some(local), about, Turn::on(thread));
        let record = self.set_task(record);
        record.note_job(Job::current);
        Some(record)
    }

    /// The task finishes, if it is one and has not before.
    #[inline]
    pub(super) fn finish(&self) {
        if let Some(record) = self.task() {
            self.set(ptr::without_provenance(FINISHED));
            // SAFETY: this was the owner.
            unsafe { finish(record) };
        }
    }

    /// Whether it is filed in this record, or was.
    #[inline]
    pub(super) fn is_filed_in(&self, record: &Record) -> bool {
        ptr::eq(self.get(), record)
    }

    /// The caller has filed it in this record. It is no task.
    pub(super) fn set_filed_in(&self, record: &Record) {
        self.set(record);
    }

    /// It is filed, and is no more.
    pub(super) fn forget_filed(&self) {
        self.set(ptr::null());
    }

    /// The record that it is filed in, or was: it is no more.
    pub(super) fn take_filed(&self) -> Option<&'static Record> {
        let record = self.get();
        if record.addr() & !FINISHED == 0 || self.is_task() {
            return None;
        }
        self.set(ptr::null());
        // SAFETY: it is the address of a record, and those are never freed.
        Some(unsafe { &*record })
    }
}

/// The registration of a task whose future is polled outside of any other traced future.
pub(super) trait Root {
    fn link(&self) -> &Link;

    /// Its task is polled outside of any other: it is not a frame of one any more.
    fn leave_outer(&self);
}

/// Of a task from the beginning, which finishes when this is dropped.
#[derive(Debug)]
pub(super) struct Owner {
    link: Link,
    /// Its frame in the task that polls it.
    pub(super) frame: AsFrame,
}

impl Owner {
    pub(super) fn new(about: About) -> Self {
        Self {
            link: Link::to_task(about),
            frame: AsFrame::none(),
        }
    }

    /// The task, and the frame that it is of another.
    pub(super) fn parts(&mut self) -> (&Link, &mut AsFrame) {
        (&self.link, &mut self.frame)
    }
}

impl Root for Owner {
    #[inline(always)]
    fn link(&self) -> &Link {
        &self.link
    }

    fn leave_outer(&self) {
        self.frame.leave_task();
    }
}

impl Drop for Owner {
    #[inline]
    fn drop(&mut self) {
        // One that has resolved has finished.
        if let Some(record) = self.link.task() {
            ended::note_drop(record);
            self.link.finish();
        }
    }
}

/// Finishes a task, and gives back the poller's reference to its record.
///
/// # Safety
///
/// The caller has the owner, and does not use it any more.
#[inline(never)]
unsafe fn finish(record: &'static Record) {
    if record.frames().any_used() {
        // SAFETY: whoever has the owner of a task is its poller.
        let wakers = unsafe { record.frames().clear() };
        // SAFETY: as asserted by the caller.
        unsafe { give_back(record) };
        // Last, because the destructor of a waker is somebody else's code, and may panic.
        foreign::drop(wakers.into_iter().flat_map(BTreeMap::into_values));
    } else {
        // SAFETY: as asserted by the caller.
        unsafe { give_back(record) };
    }
}

/// # Safety
///
/// As of [`finish`]. There are no frames any more.
#[inline(always)]
unsafe fn give_back(record: &'static Record) {
    // Most often nobody else has a reference. Then there is nobody to tell.
    if record.refs.release_last() {
        // SAFETY: it was the last reference.
        foreign::drop(unsafe { record.recycle() });
    } else {
        // SAFETY: as asserted by the caller.
        unsafe { tell(record) };
    }
}

/// # Safety
///
/// As of [`finish`].
#[cold]
#[inline(never)]
unsafe fn tell(record: &'static Record) {
    // SAFETY: as asserted by the caller: the reference is given back when this is dropped.
    let reference = unsafe { RecordRef::from_retained(record) };
    // SAFETY: whoever has the owner of a task is its poller.
    let waker = unsafe { record.exchange().finish() };
    witness::finish(record);
    drop(reference);
    // Last, as above.
    foreign::drop(waker);
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.task() {
            Some(record) => write!(f, "task {}", record.id()),
            None if self.leads_anywhere() => f.write_str("frame"),
            None => f.write_str("no task"),
        }
    }
}
