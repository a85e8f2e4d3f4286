//! [`Refs`] in all interleavings that loom can tell apart.

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

use super::*;

/// A record: what is in it is written only by who has it to himself. Loom's cell checks that.
struct Record {
    refs: Refs,
    task: UnsafeCell<u32>,
}

// SAFETY: that it is so is what is being checked.
unsafe impl Sync for Record {}
// SAFETY: likewise.
unsafe impl Send for Record {}

impl Record {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            refs: Refs::none(),
            task: UnsafeCell::new(0),
        })
    }

    fn prepare(&self, task: u32) {
        // SAFETY: checked by loom.
        self.task.with_mut(|place| unsafe { *place = task });
        self.refs.publish();
    }

    fn task(&self) -> u32 {
        // SAFETY: checked by loom.
        self.task.with(|task| unsafe { *task })
    }

    fn release(&self) {
        if self.refs.release() {
            // SAFETY: checked by loom.
            self.task.with_mut(|place| unsafe { *place = 0 });
        }
    }
}

#[test]
fn a_reader_sees_a_task_or_nothing() {
    loom::model(|| {
        let record = Record::new();
        let reader = thread::spawn({
            let record = record.clone();
            move || {
                if record.refs.try_retain() {
                    assert_eq!(record.task(), 1);
                    record.release();
                }
            }
        });
        record.prepare(1);
        record.release();
        reader.join().unwrap();
    });
}

#[test]
fn a_record_that_is_used_again_is_never_seen_half() {
    loom::model(|| {
        let record = Record::new();
        record.prepare(1);
        let reader = thread::spawn({
            let record = record.clone();
            move || {
                if record.refs.try_retain() {
                    assert_ne!(record.task(), 0);
                    record.release();
                }
            }
        });
        // The last reference may be the reader's: then the record is not free yet.
        if record.refs.release() {
            // SAFETY: checked by loom.
            record.task.with_mut(|place| unsafe { *place = 0 });
            record.prepare(2);
            record.release();
        }
        reader.join().unwrap();
    });
}

#[test]
fn who_gives_back_the_last_has_it_to_himself() {
    loom::model(|| {
        let record = Record::new();
        record.prepare(1);
        let reader = thread::spawn({
            let record = record.clone();
            move || {
                if record.refs.try_retain() {
                    assert_ne!(record.task(), 0);
                    record.release();
                }
            }
        });
        if record.refs.release_last() {
            // SAFETY: checked by loom.
            record.task.with_mut(|place| unsafe { *place = 0 });
            record.prepare(2);
        }
        record.release();
        reader.join().unwrap();
    });
}

#[test]
fn of_two_that_release_one_is_the_last() {
    loom::model(|| {
        let record = Record::new();
        record.prepare(1);
        record.refs.retain();
        let other = thread::spawn({
            let record = record.clone();
            move || {
                assert_eq!(record.task(), 1);
                record.release();
            }
        });
        assert_eq!(record.task(), 1);
        record.release();
        other.join().unwrap();
        assert!(!record.refs.any());
    });
}
