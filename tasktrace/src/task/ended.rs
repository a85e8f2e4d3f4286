//! The last tasks that ended by a panic, or that were dropped before they had ended.
//!
//! A task that resolves costs nothing here: only a poll that unwinds and a suspended task that is dropped come
//! to this module. Then a few words are copied under a lock, without allocating or dropping anything there, and
//! what was there before is dropped after it. So a thread that finds the lock taken waits for no longer than that.

use std::cell::RefCell;
use std::panic::Location;
use std::sync::{Arc, PoisonError};
use std::time::SystemTime;

use super::TaskId;
use super::record::Record;
use super::scope;
use crate::host::Job;
use crate::origin::Origin;
use crate::sync::{StaticMutex, StaticMutexGuard};

/// The number of panicked tasks that are kept, and of dropped tasks: neither kind displaces the other.
const KEPT: usize = 16;

/// Longer labels and messages are cut.
const LONGEST: usize = 512;

/// A task that has not resolved, and never will.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    pub(crate) id: TaskId,
    pub(crate) origin: Origin,
    pub(crate) label: Option<Arc<str>>,
    pub(crate) spawned_at: Option<&'static Location<'static>>,
    pub(crate) parent: Option<TaskId>,
    /// The task of the executor that it was in, if that is known.
    pub(crate) job: Option<Job>,
    pub(crate) when: SystemTime,
    /// `None` if it was dropped.
    pub(crate) panic: Option<Panic>,
}

/// A panic, as far as a hook has told of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Panic {
    pub(crate) message: Option<Arc<str>>,
    pub(crate) place: Option<Place>,
}

/// A line of the source that is known at run time.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) file: Arc<str>,
    pub(crate) line: u32,
    pub(crate) column: u32,
}

struct Ring {
    kept: [Option<Ended>; KEPT],
    /// Where the next goes.
    next: usize,
}

impl Ring {
    const fn new() -> Self {
        Self {
            kept: [const { None }; KEPT],
            next: 0,
        }
    }

    /// Returns the one whose place it takes.
    fn put(&mut self, ended: Ended) -> Option<Ended> {
        let before = self.kept[self.next].replace(ended);
        self.next = (self.next + 1) % KEPT;
        before
    }
}

static PANICKED: StaticMutex<Ring> = StaticMutex::new(Ring::new());
static DROPPED: StaticMutex<Ring> = StaticMutex::new(Ring::new());

thread_local! {
    /// The last panic in a task that a hook has seen on this thread, and the poll in which that was. A panic that the
    /// task catches stays here: it says nothing of a later poll, which may panic without calling the hook
    /// (`resume_unwind`).
    static PANIC: RefCell<Option<(Poll, Panic)>> = const { RefCell::new(None) };
}

/// A poll of a task that is polled outside of all others: the task, and the number of the poll.
type Poll = (TaskId, u64);

/// Tells of a panic in a task on this thread, before it unwinds.
pub(crate) fn set_panic(message: Option<&str>, place: Option<&Location<'_>>) {
    let Some(poll) = scope::outermost_poll() else {
        return;
    };
    let panic = Panic {
        message: message.map(|message| cut(message).into()),
        place: place.map(|place| Place {
            file: place.file().into(),
            line: place.line(),
            column: place.column(),
        }),
    };
    let before = PANIC.try_with(|last| match last.try_borrow_mut() {
        Ok(mut last) => last.replace((poll, panic)),
        Err(_) => None,
    });
    drop(before);
}

/// A poll of this task has panicked.
///
/// The caller is the poller.
#[cold]
pub(super) fn note_panic(record: &Record) {
    let around = scope::outermost_poll();
    let is_outermost = around.is_none();
    let poll = around.unwrap_or_else(|| (record.id(), record.polls()));
    let panic = PANIC.try_with(|last| match last.try_borrow_mut() {
        // A task in another has the same panic as that.
        Ok(mut last) if is_outermost => last.take(),
        Ok(last) => last.clone(),
        Err(_) => None,
    });
    let panic = panic.ok().flatten().filter(|(of, _)| *of == poll);
    let panic = panic.map(|(_, panic)| panic).unwrap_or_default();
    put(&PANICKED, Ended::of(record, Some(panic)));
}

/// Notes that the future of a task was dropped before it had resolved.
///
/// The caller has the owner.
#[cold]
#[inline(never)]
pub(super) fn note_drop(record: &Record) {
    // A task without a spawn site is the body of a `main` or a test, which ends with its runtime. And a
    // future that was never polled has not begun.
    if record.spawned_at().is_some() && record.polls() > 0 && !record.has_panicked() {
        put(&DROPPED, Ended::of(record, None));
    }
}

impl Ended {
    fn of(record: &Record, panic: Option<Panic>) -> Self {
        let label = record.label().map(|label| match label.len() {
            0..=LONGEST => Arc::clone(label),
            _ => cut(label).into(),
        });
        Self {
            id: record.id(),
            origin: record.origin(),
            label,
            spawned_at: record.spawned_at(),
            parent: record.parent(),
            job: record.job(),
            when: SystemTime::now(),
            panic,
        }
    }
}

#[cfg(test)]
impl Ended {
    /// Returns a task that has panicked if there is a message, and one that was dropped otherwise.
    pub(crate) fn sample(id: TaskId, message: Option<&str>) -> Self {
        let place = Place {
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
            job: None,
            when: SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000),
            panic: message.map(|message| Panic {
                message: Some(message.into()),
                place: Some(place),
            }),
        }
    }
}

fn put(ring: &StaticMutex<Ring>, ended: Ended) {
    let before = lock(ring).put(ended);
    drop(before);
}

fn lock(ring: &StaticMutex<Ring>) -> StaticMutexGuard<'_, Ring> {
    ring.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All that are kept, the last first.
pub(crate) fn ended() -> Vec<Ended> {
    let mut all: Vec<Ended> = [&PANICKED, &DROPPED]
        .into_iter()
        .flat_map(|ring| copy(ring).into_iter().flatten())
        .collect();
    all.sort_by_key(|ended| std::cmp::Reverse((ended.when, ended.id)));
    all
}

/// To clone one allocates nothing.
fn copy(ring: &StaticMutex<Ring>) -> [Option<Ended>; KEPT] {
    lock(ring).kept.clone()
}

/// As much of it as is kept.
fn cut(text: &str) -> &str {
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_keeps_the_latest_entries() {
        let mut ring = Ring::new();
        let ended = |id| Ended::sample(TaskId::from_number(id), None);
        for id in 1..=KEPT as u64 {
            assert!(ring.put(ended(id)).is_none());
        }
        let first = ring.put(ended(17)).map(|ended| ended.id);
        assert_eq!(first, Some(TaskId::from_number(1)));
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(cut("short"), "short");
        assert_eq!(cut(&"ä".repeat(LONGEST)).len(), LONGEST);
        assert_eq!(cut(&format!("a{}", "ä".repeat(LONGEST))).len(), LONGEST - 1);
    }
}
