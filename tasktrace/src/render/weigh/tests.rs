use std::time::Duration;

use super::{Scales, part, tasks};
use crate::dump::sample::{dump, task};
use crate::dump::{Dump, TaskDump};
use crate::trace::{Frame, Trace};

/// A task that waits for as many things at once as there are leaves.
fn waiting_for(number: u64, leaves: &[&str]) -> TaskDump {
    let mut root = Frame::sample("app::serve", 1).with_children([]);
    root.add_children(leaves.iter().map(|leaf| Frame::sample(leaf, 2)));
    TaskDump {
        trace: Trace::sample(vec![root]),
        ..task(number, "app::serve").suspended_for(1.0)
    }
}

/// For each way: its leaf, and what it weighs.
fn weigh(dump: &Dump) -> Vec<(String, u64, Duration)> {
    let mut scales = Scales::default();
    let mut ways = Vec::new();
    for seen in tasks(dump) {
        scales.weigh(&seen, |way| {
            let leaf = way.frames.last().map_or("", |leaf| leaf.name());
            ways.push((leaf.to_owned(), way.count, way.waited));
        });
    }
    ways
}

#[test]
fn parts_add_up_to_the_whole() {
    for whole in 0..50 {
        for of in 1..12 {
            let parts: Vec<u64> = (0..of).map(|at| part(whole, of, at)).collect();
            assert_eq!(parts.iter().sum::<u64>(), whole);
            assert!(parts.iter().max().unwrap() - parts.iter().min().unwrap() <= 1);
        }
    }
}

#[test]
fn a_task_that_waits_for_several_things_is_one() {
    let ways = weigh(&dump([waiting_for(1, &["a", "b", "c"])]));
    let time: Duration = ways.iter().map(|(.., waited)| *waited).sum();
    assert_eq!(ways.iter().map(|(_, count, _)| count).sum::<u64>(), 1);
    assert_eq!(time, Duration::from_secs(1));
    assert_eq!(ways[0], ("a".into(), 1, Duration::from_nanos(333_333_334)));
    assert_eq!(ways[2], ("c".into(), 0, Duration::from_nanos(333_333_333)));
}

#[test]
fn tasks_with_the_same_ways_take_turns() {
    let all = (1..=7).map(|number| waiting_for(number, &["a", "b", "c"]));
    let ways = weigh(&dump(all));
    let count = |leaf| {
        let ways = ways.iter().filter(|(name, ..)| name == leaf);
        ways.map(|(_, count, _)| count).sum::<u64>()
    };
    assert_eq!([count("a"), count("b"), count("c")], [3, 2, 2]);
    // Each of them counts once.
    for task in ways.chunks(3) {
        assert_eq!(task.iter().map(|(_, count, _)| count).sum::<u64>(), 1);
    }
}

#[test]
fn others_do_not_take_part_in_the_turns() {
    let ways = weigh(&dump([
        waiting_for(1, &["a", "b"]),
        waiting_for(2, &["a", "c"]),
        waiting_for(3, &["a"]),
    ]));
    let counts: Vec<u64> = ways.iter().map(|(_, count, _)| *count).collect();
    assert_eq!(counts, [1, 0, 1, 0, 1]);
}

#[test]
fn what_runs_does_not_wait() {
    let ways = weigh(&dump([
        waiting_for(1, &["a"]).running_for(5.0),
        waiting_for(2, &["a"]).never_polled(),
        waiting_for(3, &["a"]).finished(),
    ]));
    let waited: Vec<u64> = ways.iter().map(|(.., waited)| waited.as_secs()).collect();
    assert_eq!(waited, [0, 15, 0], "a new task waits to be polled");
    assert!(ways.iter().all(|(_, count, _)| *count == 1));
}

#[test]
fn a_task_without_frames_has_a_way() {
    let ways = weigh(&dump([task(1, "app::serve").suspended_for(2.0)]));
    assert_eq!(ways, [(String::new(), 1, Duration::from_secs(2))]);
}
