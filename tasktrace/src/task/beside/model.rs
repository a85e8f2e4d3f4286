//! The list of [`Beside`] in all interleavings that loom can tell apart.
//!
//! The owner adds the table and chunks while others add the extras, or look for them.

use loom::sync::Arc;
use loom::thread;

use super::*;
use crate::sync::lock;

type Shared = Arc<Beside<()>>;

/// The number of the last slot that there is in a model.
const LAST: u32 = 3;

fn address<T>(of: &T) -> usize {
    ptr::from_ref(of).addr()
}

/// Whoever has seen the extras sees them from then on.
fn insert_extras(beside: &Beside<()>) -> usize {
    let inserted = address(beside.extras_or_insert());
    assert_eq!(beside.extras().map(address), Some(inserted));
    inserted
}

fn spawn_inserter(beside: &Shared) -> thread::JoinHandle<usize> {
    let beside = beside.clone();
    thread::spawn(move || insert_extras(&beside))
}

/// As the owner does when frames come. Returns where the slots are.
fn make_slots(beside: &Beside<()>, numbers: std::ops::RangeInclusive<u32>) -> Vec<usize> {
    beside.table_or_insert();
    let make = |number| {
        beside.make_room(number).expect("there are not many");
        beside.slot(number).map(address).expect("there is room")
    };
    numbers.map(make).collect()
}

/// The list has the table, the chunks and the extras, in this order, and with these slots.
fn check(beside: &Beside<()>, slots: &[usize], extras: usize) {
    let mut parts = Vec::new();
    let mut place = &beside.first;
    while let Some(next) = place.next() {
        parts.push(next.addr());
        // SAFETY: parts on the list are never freed.
        place = unsafe { &*next };
    }
    let table = beside.table().map(address).expect("it was made");
    let chunk = |number: u32| beside.slot(number).map(|slot| address(slot) - SLOTS);
    assert_eq!(parts, [table, chunk(2).unwrap(), chunk(3).unwrap()]);
    assert_eq!(place.next.load(Ordering::Relaxed).addr(), extras | EXTRAS);
    let found: Vec<usize> = beside.slots(LAST).map(address).collect();
    assert_eq!(found, slots, "no slot is lost");
}

#[test]
fn extras_come_while_the_list_grows() {
    loom::model(|| {
        let beside = Arc::new(Beside::new());
        let inserter = spawn_inserter(&beside);
        let slots = make_slots(&beside, 1..=LAST);
        check(&beside, &slots, inserter.join().unwrap());
    });
}

#[test]
fn extras_are_added_once() {
    loom::model(|| {
        let beside = Arc::new(Beside::new());
        let inserters = [spawn_inserter(&beside), spawn_inserter(&beside)];
        let slots = make_slots(&beside, 1..=LAST);
        let [one, other] = inserters.map(|inserter| inserter.join().unwrap());
        assert_eq!(one, other);
        check(&beside, &slots, one);
    });
}

#[test]
fn the_owner_adds_extras_as_others_do() {
    loom::model(|| {
        let beside = Arc::new(Beside::new());
        let inserter = spawn_inserter(&beside);
        let mut slots = make_slots(&beside, 1..=2);
        let extras = insert_extras(&beside);
        slots.extend(make_slots(&beside, 3..=LAST));
        assert_eq!(inserter.join().unwrap(), extras);
        check(&beside, &slots, extras);
    });
}

#[test]
fn extras_that_are_there_are_always_found() {
    loom::model(|| {
        let beside = Arc::new(Beside::new());
        let extras = insert_extras(&beside);
        let reader = thread::spawn({
            let beside = beside.clone();
            move || assert_eq!(beside.extras().map(address), Some(extras))
        });
        let slots = make_slots(&beside, 1..=LAST);
        reader.join().unwrap();
        check(&beside, &slots, extras);
    });
}

/// Loom reports who looks at what is not there yet.
#[test]
fn what_is_found_is_whole() {
    loom::model(|| {
        let beside: Shared = Arc::new(Beside::new());
        let noter = thread::spawn({
            let beside = beside.clone();
            move || lock(&beside.extras_or_insert().gone).push((Key::TASK, Gone::Ended))
        });
        let reader = thread::spawn({
            let beside = beside.clone();
            move || {
                let noted = beside.extras().map_or(0, |extras| lock(&extras.gone).len());
                assert!(noted <= 1);
                let slots = beside.kept_slots(2);
                slots.for_each(|slot| assert!(!slot.has_frame()));
            }
        });
        make_slots(&beside, 1..=2);
        noter.join().unwrap();
        reader.join().unwrap();
        assert_eq!(lock(&beside.extras_or_insert().gone).len(), 1);
    });
}
