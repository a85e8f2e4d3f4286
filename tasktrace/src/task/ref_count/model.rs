//! Checks [`RefCount`] in all interleavings with at most two preemptions.

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

use super::*;

/// A header whose contents only a thread that has it to itself writes. Loom's cell checks that.
struct ModelHeader {
    ref_count: RefCount,
    task: UnsafeCell<u32>,
}

// SAFETY: the models check that the accesses to `task` exclude each other.
unsafe impl Sync for ModelHeader {}
// SAFETY: every field is `Send` itself: an atomic, and a cell of a number.
unsafe impl Send for ModelHeader {}

impl ModelHeader {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            ref_count: RefCount::none(),
            task: UnsafeCell::new(0),
        })
    }

    fn prepare(&self, task: u32) {
        // SAFETY: loom's cell panics if this access overlaps with another that excludes it.
        self.task.with_mut(|place| unsafe { *place = task });
        self.ref_count.publish();
    }

    fn task(&self) -> u32 {
        // SAFETY: loom's cell panics if this access overlaps with another that excludes it.
        self.task.with(|task| unsafe { *task })
    }

    fn release(&self) {
        if self.ref_count.release() {
            // SAFETY: loom's cell panics if this access overlaps with another that excludes it.
            self.task.with_mut(|place| unsafe { *place = 0 });
        }
    }
}

#[test]
fn a_reader_finds_a_whole_task_or_none() {
    loom::model(|| {
        let header = ModelHeader::new();
        let reader = thread::spawn({
            let header = header.clone();
            move || {
                if header.ref_count.try_retain() {
                    assert_eq!(header.task(), 1);
                    header.release();
                }
            }
        });
        header.prepare(1);
        header.release();
        reader.join().unwrap();
    });
}

#[test]
fn a_reader_never_sees_a_header_that_is_being_reset() {
    loom::model(|| {
        let header = ModelHeader::new();
        header.prepare(1);
        let reader = thread::spawn({
            let header = header.clone();
            move || {
                if header.ref_count.try_retain() {
                    assert_ne!(header.task(), 0);
                    header.release();
                }
            }
        });
        // The last reference may be that of the reader. Then the header is not free yet.
        if header.ref_count.release() {
            // SAFETY: loom's cell panics if this access overlaps with another that excludes it.
            header.task.with_mut(|place| unsafe { *place = 0 });
            header.prepare(2);
            header.release();
        }
        reader.join().unwrap();
    });
}

#[test]
fn a_thread_that_releases_the_last_reference_has_the_header_to_itself() {
    loom::model(|| {
        let header = ModelHeader::new();
        header.prepare(1);
        let reader = thread::spawn({
            let header = header.clone();
            move || {
                if header.ref_count.try_retain() {
                    assert_ne!(header.task(), 0);
                    header.release();
                }
            }
        });
        if header.ref_count.release_if_last() {
            // SAFETY: loom's cell panics if this access overlaps with another that excludes it.
            header.task.with_mut(|place| unsafe { *place = 0 });
            header.prepare(2);
        }
        header.release();
        reader.join().unwrap();
    });
}

#[test]
fn exactly_one_of_two_releases_is_the_last() {
    loom::model(|| {
        let header = ModelHeader::new();
        header.prepare(1);
        header.ref_count.retain();
        let other = thread::spawn({
            let header = header.clone();
            move || {
                assert_eq!(header.task(), 1);
                header.release();
            }
        });
        assert_eq!(header.task(), 1);
        header.release();
        other.join().unwrap();
        assert!(!header.ref_count.is_referenced());
    });
}
