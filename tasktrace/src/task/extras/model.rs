//! [`ExtrasCell`] and the chunks in it, in all interleavings that loom can tell apart.
//!
//! The owner of the frames needs slots while others need the extras, or look at what is there.

use loom::sync::Arc;
use loom::thread;

use super::*;
use crate::sync::lock;
use crate::task::record::Record;
use crate::task::table::LAST_KEPT;

type Shared = Arc<Record>;

fn shared() -> Shared {
    Arc::new(Record::empty())
}

/// Whoever has seen the extras sees them from then on.
fn insert_extras(record: &Record) -> usize {
    let inserted = ptr::from_ref(record.extras.get_or_insert()).addr();
    let found = record.extras.get();
    assert_eq!(
        found.map(|extras| ptr::from_ref(extras).addr()),
        Some(inserted)
    );
    inserted
}

fn spawn<R: 'static>(record: &Shared, run: fn(&Record) -> R) -> thread::JoinHandle<R> {
    let record = record.clone();
    thread::spawn(move || run(&record))
}

#[test]
fn extras_are_inserted_once() {
    loom::model(|| {
        let record = shared();
        let others = [(); 2].map(|()| spawn(&record, insert_extras));
        let own = insert_extras(&record);
        for other in others {
            assert_eq!(other.join().unwrap(), own);
        }
    });
}

#[test]
fn slots_are_added_while_others_insert_the_extras() {
    loom::model(|| {
        let record = shared();
        let noter = spawn(&record, |record| {
            lock(&record.extras.get_or_insert().gone).push((Key::TASK, Gone::Ended));
        });
        let last = record.make_room_in_model();
        noter.join().unwrap();
        assert!(record.has_free_slots_in_model(last));
        assert_eq!(lock(&record.extras.get_or_insert().gone).len(), 1);
    });
}

/// Loom reports who looks at what is not there yet.
#[test]
fn what_is_found_is_whole() {
    loom::model(|| {
        let record = shared();
        let noter = spawn(&record, |record| {
            lock(&record.extras.get_or_insert().gone).push((Key::TASK, Gone::Ended));
        });
        let reader = spawn(&record, |record| {
            let noted = record
                .extras
                .get()
                .map_or(0, |extras| lock(&extras.gone).len());
            assert!(noted <= 1);
            record.has_free_slots_in_model(LAST_KEPT);
        });
        record.make_room_in_model();
        noter.join().unwrap();
        reader.join().unwrap();
    });
}
