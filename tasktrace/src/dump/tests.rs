//! Tests the accessors of a dump.

use super::fixture::{dump, id, task};

#[test]
fn tasks_are_found_by_their_numbers() {
    let dump = dump([task(7, "seven"), task(3, "three")]);
    assert_eq!(dump.len(), 2);
    assert!(!dump.is_empty());
    assert_eq!(dump.get(id(7)).map(|task| task.name()), Some("seven"));
    assert_eq!(dump.get(id(3)).map(|task| task.name()), Some("three"));
    assert!(dump.get(id(5)).is_none());
}

#[test]
fn tasks_are_iterated_in_the_order_of_their_numbers() {
    let dump = dump([task(7, "seven"), task(3, "three"), task(5, "five")]);
    let ids: Vec<_> = dump.tasks().map(|task| task.id().get()).collect();
    assert_eq!(ids, [3, 5, 7]);
    let mut count = 0;
    for task in &dump {
        assert_eq!(task.polls(), 41);
        count += 1;
    }
    assert_eq!(count, 3);
}
