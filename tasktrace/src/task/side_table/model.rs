//! Checks [`SideTableCell`] and its chunks in all interleavings with at most two preemptions.
//!
//! The poller adds slots while other threads insert the side table, or read it.

use loom::sync::Arc;
use loom::thread;

use super::*;
use crate::sync::lock;
use crate::task::header::Header;
use crate::task::table::LAST_KEPT;

type SharedHeader = Arc<Header>;

fn empty() -> SharedHeader {
    Arc::new(Header::empty())
}

/// Inserts the side table, and checks that it is found afterwards. Returns its address.
fn insert(header: &Header) -> usize {
    let inserted = ptr::from_ref(header.side_table.get_or_insert()).addr();
    let found = header.side_table.get();
    assert_eq!(
        found.map(|side_table| ptr::from_ref(side_table).addr()),
        Some(inserted)
    );
    inserted
}

fn spawn<R: 'static>(header: &SharedHeader, run: fn(&Header) -> R) -> thread::JoinHandle<R> {
    let header = header.clone();
    thread::spawn(move || run(&header))
}

#[test]
fn the_side_table_is_inserted_once() {
    loom::model(|| {
        let header = empty();
        let others = [(); 2].map(|()| spawn(&header, insert));
        let own = insert(&header);
        for other in others {
            assert_eq!(other.join().unwrap(), own);
        }
    });
}

#[test]
fn slots_can_be_added_while_others_insert_the_side_table() {
    loom::model(|| {
        let header = empty();
        let dropper = spawn(&header, |header| {
            lock(&header.side_table.get_or_insert().detached)
                .push((FrameKey::TASK, DetachReason::Ended));
        });
        let last = header.make_room_in_model();
        dropper.join().unwrap();
        assert!(header.has_free_slots_in_model(last));
        assert_eq!(lock(&header.side_table.get_or_insert().detached).len(), 1);
    });
}

/// Loom reports a read of memory that is not initialised yet.
#[test]
fn a_reader_finds_the_side_table_initialised() {
    loom::model(|| {
        let header = empty();
        let dropper = spawn(&header, |header| {
            lock(&header.side_table.get_or_insert().detached)
                .push((FrameKey::TASK, DetachReason::Ended));
        });
        let reader = spawn(&header, |header| {
            let count = header
                .side_table
                .get()
                .map_or(0, |side_table| lock(&side_table.detached).len());
            assert!(count <= 1);
            header.has_free_slots_in_model(LAST_KEPT);
        });
        header.make_room_in_model();
        dropper.join().unwrap();
        reader.join().unwrap();
    });
}
