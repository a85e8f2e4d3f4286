//! Keeps the last tasks that panicked, and the last that were dropped before they had resolved.
//!
//! A task that resolves costs nothing here. Only a poll that unwinds and the drop of a suspended task call this
//! module. They copy a few words under a lock, and allocate and drop nothing there; the entry that is replaced is
//! dropped after the lock was released. So a thread that finds the lock taken waits for no longer than that.

use std::cell::RefCell;
use std::panic::Location;
use std::sync::{Arc, PoisonError};
use std::time::SystemTime;

use super::TaskId;
use super::header::Header;
use super::scope;
use crate::escape::cut;
use crate::origin::Origin;
use crate::os;
use crate::runtime::RuntimeTaskId;
use crate::sync::{StaticMutex, StaticMutexGuard};

/// The number of panicked tasks that are kept, and of dropped tasks: neither kind displaces the other.
const KEPT: usize = 16;

/// The length beyond which labels and messages are truncated, in bytes.
const MAX_TEXT_BYTES: usize = 512;

/// Information about a task that ended without resolving.
#[derive(Clone, Debug)]
pub(crate) struct EndedTaskInfo {
    pub(crate) id: TaskId,
    pub(crate) origin: Origin,
    pub(crate) label: Option<Arc<str>>,
    pub(crate) spawned_at: Option<&'static Location<'static>>,
    pub(crate) parent: Option<TaskId>,
    /// The runtime task that contained it, if that is known.
    pub(crate) runtime_task: Option<RuntimeTaskId>,
    pub(crate) when: SystemTime,
    /// `None` if the task was dropped.
    pub(crate) panic: Option<PanicReport>,
}

/// A panic, as far as a panic hook has reported it.
#[derive(Clone, Debug, Default)]
pub(crate) struct PanicReport {
    pub(crate) message: Option<Arc<str>>,
    pub(crate) position: Option<SourcePosition>,
}

/// A position in the source that is known at run time only.
#[derive(Clone, Debug)]
pub(crate) struct SourcePosition {
    pub(crate) file: Arc<str>,
    pub(crate) line: u32,
    pub(crate) column: u32,
}

/// The last ended tasks of one kind.
struct Ring {
    kept: [Option<EndedTaskInfo>; KEPT],
    /// The index of the next entry to be replaced.
    next: usize,
}

impl Ring {
    const fn new() -> Self {
        Self {
            kept: [const { None }; KEPT],
            next: 0,
        }
    }

    /// Adds a task. Returns the entry that it replaces.
    fn add(&mut self, ended: EndedTaskInfo) -> Option<EndedTaskInfo> {
        let before = self.kept[self.next].replace(ended);
        self.next = (self.next + 1) % KEPT;
        before
    }
}

static PANICKED: StaticMutex<Ring> = StaticMutex::new(Ring::new());
static DROPPED: StaticMutex<Ring> = StaticMutex::new(Ring::new());

thread_local! {
    /// The last panic in a task that a hook has seen on this thread, and the poll in which it happened.
    ///
    /// A panic that the task catches stays here. It does not describe a later poll, which may panic without calling
    /// the hook (`resume_unwind`): hence the poll is stored with it.
    static PANIC: RefCell<Option<(PollId, PanicReport)>> = const { RefCell::new(None) };
}

/// A poll of a task outside any other task: the task, and the number of the poll.
type PollId = (TaskId, u64);

/// Notes a panic on this thread for the task that is being polled, before the panic unwinds. Called by panic hooks.
pub(crate) fn note_panic_message(message: Option<&str>, position: Option<&Location<'_>>) {
    let Some(poll) = scope::outermost_poll() else {
        return;
    };
    let panic = PanicReport {
        message: message.map(|message| cut(message, MAX_TEXT_BYTES).into()),
        position: position.map(|position| SourcePosition {
            file: position.file().into(),
            line: position.line(),
            column: position.column(),
        }),
    };
    let before = PANIC.try_with(|last| match last.try_borrow_mut() {
        Ok(mut last) => last.replace((poll, panic)),
        Err(_) => None,
    });
    drop(before);
}

/// Notes that a poll of this task has panicked. The caller is the poller.
#[cold]
pub(super) fn note_panic(header: &Header) {
    let outermost = scope::outermost_poll();
    let is_outermost = outermost.is_none();
    let poll = outermost.unwrap_or_else(|| (header.id(), header.polls()));
    let panic = PANIC.try_with(|last| match last.try_borrow_mut() {
        // A task polled inside another has the same panic as the outer one, for which it stays here.
        Ok(mut last) if is_outermost => last.take(),
        Ok(last) => last.clone(),
        Err(_) => None,
    });
    let panic = panic.ok().flatten().filter(|(of, _)| *of == poll);
    let panic = panic.map(|(_, panic)| panic).unwrap_or_default();
    keep(&PANICKED, EndedTaskInfo::of(header, Some(panic)));
}

/// Notes that the future of a task was dropped before it had resolved. The caller owns the task.
#[cold]
#[inline(never)]
pub(super) fn note_drop(header: &Header) {
    // A task without a spawn site is the body of a `main` or a test, which ends with its runtime. And a future that
    // was never polled has not begun.
    if header.spawned_at().is_some() && header.polls() > 0 && !header.has_panicked() {
        keep(&DROPPED, EndedTaskInfo::of(header, None));
    }
}

impl EndedTaskInfo {
    fn of(header: &Header, panic: Option<PanicReport>) -> Self {
        let label = header.label().map(|label| match label.len() {
            0..=MAX_TEXT_BYTES => Arc::clone(label),
            _ => cut(label, MAX_TEXT_BYTES).into(),
        });
        Self {
            id: header.id(),
            origin: header.origin(),
            label,
            spawned_at: header.spawned_at(),
            parent: header.parent(),
            runtime_task: header.runtime_task(),
            when: os::time::wall_clock(),
            panic,
        }
    }
}

#[cfg(test)]
impl EndedTaskInfo {
    /// Returns a task that has panicked if there is a message, and one that was dropped otherwise.
    pub(crate) fn sample(id: TaskId, message: Option<&str>) -> Self {
        let position = SourcePosition {
            file: "src/worker.rs".into(),
            line: 20,
            column: 9,
        };
        Self {
            id,
            origin: Origin::Call {
                future: "app::work",
                location: Location::caller(),
            },
            label: Some("conn 1".into()),
            spawned_at: None,
            parent: Some(TaskId::from_number(1)),
            runtime_task: None,
            when: SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000),
            panic: message.map(|message| PanicReport {
                message: Some(message.into()),
                position: Some(position),
            }),
        }
    }
}

/// Adds an ended task to a ring.
fn keep(ring: &StaticMutex<Ring>, ended: EndedTaskInfo) {
    let before = lock(ring).add(ended);
    drop(before);
}

fn lock(ring: &StaticMutex<Ring>) -> StaticMutexGuard<'_, Ring> {
    ring.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns all tasks that are kept, the last to end first.
pub(crate) fn ended_tasks() -> Vec<EndedTaskInfo> {
    let mut all: Vec<EndedTaskInfo> = [&PANICKED, &DROPPED]
        .into_iter()
        .flat_map(|ring| copy(ring).into_iter().flatten())
        .collect();
    all.sort_by_key(|ended| std::cmp::Reverse((ended.when, ended.id)));
    all
}

/// Copies the tasks that are kept. Cloning one allocates nothing.
fn copy(ring: &StaticMutex<Ring>) -> [Option<EndedTaskInfo>; KEPT] {
    lock(ring).kept.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_keeps_the_latest_entries() {
        let mut ring = Ring::new();
        let ended = |id| EndedTaskInfo::sample(TaskId::from_number(id), None);
        for id in 1..=KEPT as u64 {
            assert!(ring.add(ended(id)).is_none());
        }
        let first = ring.add(ended(17)).map(|ended| ended.id);
        assert_eq!(first, Some(TaskId::from_number(1)));
    }
}
