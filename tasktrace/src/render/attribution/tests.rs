use std::time::Duration;

use super::{Attributor, even_share, task_samples};
use crate::dump::fixture::{dump, task};
use crate::dump::{Dump, TaskDump};
use crate::trace::{Frame, Trace};

/// Returns a task that waits for all the leaves at the same time.
fn waiting_for(number: u64, leaves: &[&str]) -> TaskDump {
    let mut root = Frame::sample("app::serve", 1).with_children([]);
    root.add_children(leaves.iter().map(|leaf| Frame::sample(leaf, 2)));
    TaskDump {
        trace: Trace::sample(vec![root]),
        ..task(number, "app::serve").suspended_for(1.0)
    }
}

/// Returns for each path of a dump: the name of its leaf, the tasks counted at it, and its share of the time.
fn attribute(dump: &Dump) -> Vec<(String, u64, Duration)> {
    let mut attributor = Attributor::default();
    let mut paths = Vec::new();
    for sample in task_samples(dump) {
        attributor.attribute(&sample, |path| {
            let leaf = path.frames.last().map_or("", |leaf| leaf.name());
            paths.push((leaf.to_owned(), path.count, path.waited));
        });
    }
    paths
}

#[test]
fn even_shares_add_up_to_the_whole() {
    for whole in 0..50 {
        for of in 1..12 {
            let parts: Vec<u64> = (0..of).map(|at| even_share(whole, of, at)).collect();
            assert_eq!(parts.iter().sum::<u64>(), whole);
            assert!(parts.iter().max().unwrap() - parts.iter().min().unwrap() <= 1);
        }
    }
}

#[test]
fn a_task_with_several_paths_is_counted_once() {
    let paths = attribute(&dump([waiting_for(1, &["a", "b", "c"])]));
    let time: Duration = paths.iter().map(|(.., waited)| *waited).sum();
    assert_eq!(paths.iter().map(|(_, count, _)| count).sum::<u64>(), 1);
    assert_eq!(time, Duration::from_secs(1));
    assert_eq!(paths[0], ("a".into(), 1, Duration::from_nanos(333_333_334)));
    assert_eq!(paths[2], ("c".into(), 0, Duration::from_nanos(333_333_333)));
}

#[test]
fn tasks_with_the_same_paths_are_counted_at_each_path_in_turn() {
    let all = (1..=7).map(|number| waiting_for(number, &["a", "b", "c"]));
    let paths = attribute(&dump(all));
    let count = |leaf| {
        let paths = paths.iter().filter(|(name, ..)| name == leaf);
        paths.map(|(_, count, _)| count).sum::<u64>()
    };
    assert_eq!([count("a"), count("b"), count("c")], [3, 2, 2]);
    // Each task is counted once.
    for task in paths.chunks(3) {
        assert_eq!(task.iter().map(|(_, count, _)| count).sum::<u64>(), 1);
    }
}

#[test]
fn tasks_with_other_paths_do_not_change_the_turn() {
    let paths = attribute(&dump([
        waiting_for(1, &["a", "b"]),
        waiting_for(2, &["a", "c"]),
        waiting_for(3, &["a"]),
    ]));
    let counts: Vec<u64> = paths.iter().map(|(_, count, _)| *count).collect();
    assert_eq!(counts, [1, 0, 1, 0, 1]);
}

#[test]
fn running_and_finished_tasks_do_not_wait() {
    let paths = attribute(&dump([
        waiting_for(1, &["a"]).running_for(5.0),
        waiting_for(2, &["a"]).never_polled(),
        waiting_for(3, &["a"]).finished(),
    ]));
    let waited: Vec<u64> = paths.iter().map(|(.., waited)| waited.as_secs()).collect();
    assert_eq!(waited, [0, 15, 0], "a new task waits to be polled");
    assert!(paths.iter().all(|(_, count, _)| *count == 1));
}

#[test]
fn a_task_without_frames_has_one_empty_path() {
    let paths = attribute(&dump([task(1, "app::serve").suspended_for(2.0)]));
    assert_eq!(paths, [(String::new(), 1, Duration::from_secs(2))]);
}
