use super::GoProfile;
use crate::dump::fixture::{dump, id, task};
use crate::dump::{Dump, TaskDump};
use crate::trace::Frame;

fn waits(number: u64, leaf: &str) -> TaskDump {
    let root = Frame::sample("app::serve", 1).with_children([Frame::sample(leaf, 2)]);
    task(number, "app::serve").suspended_for(90.0).at([root])
}

fn sample() -> Dump {
    let child = TaskDump {
        parent: Some(id(1)),
        spawned_at: Some(std::panic::Location::caller()),
        ..waits(3, "tokio::sync::Mutex::lock")
    };
    dump([
        waits(1, "app::sleep"),
        waits(2, "app::sleep"),
        child,
        task(4, "app::compute").running_for(1.0),
    ])
}

#[test]
fn stacks_have_counts_of_goroutines() {
    let dump = sample();
    let text = dump.go_counted(GoProfile::Goroutine).to_string();
    let (first, rest) = text.split_once('\n').unwrap();
    assert_eq!(first, "goroutine profile: total 4");
    let counts: Vec<&str> = rest.lines().filter(|it| it.contains('@')).collect();
    assert_eq!(counts, ["2 @ 0x10 0x20", "1 @ 0x30 0x20", "1 @ 0x40"]);
    assert!(text.contains("\n#\t0x10\tapp::sleep+0x0\t"), "{text}");
    assert!(
        text.contains("\n#\t0x40\tapp::compute+0x0\tunknown:0\n"),
        "{text}"
    );
}

#[test]
fn block_and_mutex_profiles_count_the_time_of_waiting_tasks() {
    let dump = sample();
    let text = dump.go_counted(GoProfile::Block).to_string();
    assert!(
        text.starts_with("--- contention:\ncycles/second=1000000000\n180000000000 2 @ 0x10 0x20\n")
    );
    assert!(!text.contains("app::compute"), "{text}");
    let text = dump.go_counted(GoProfile::Mutex).to_string();
    assert_eq!(text.matches('@').count(), 1, "{text}");
    assert!(
        text.contains("90000000000 1 @ 0x10 0x20\n#\t0x10\ttokio::sync::Mutex::lock+0x0"),
        "{text}"
    );
}

#[test]
fn each_task_has_a_stack() {
    let text = sample().go_stacks().to_string();
    let heads: Vec<&str> = text
        .lines()
        .filter(|it| it.starts_with("goroutine "))
        .collect();
    assert_eq!(heads[0], "goroutine 1 [waiting, 1 minutes]:");
    assert_eq!(heads[3], "goroutine 4 [running]:");
    assert!(text.contains("\napp::serve(...)\n\t"), "{text}");
    assert!(
        text.contains("\ncreated by app::serve in goroutine 1\n\t"),
        "{text}"
    );
    assert_eq!(text.split("\n\n").count(), 4, "{text}");
}
