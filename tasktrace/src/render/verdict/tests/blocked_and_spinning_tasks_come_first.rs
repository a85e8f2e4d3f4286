//! Tests the verdicts about tasks that keep a thread busy.

use super::*;

#[test]
fn a_blocked_worker_comes_first() {
    let text = verdict([
        body().at([waiting("app::test", 9, "tokio::sync::Mutex::lock")]),
        task(2, "app::work").running_for(29.5).at([running(
            "app::work",
            20,
            Some("std::thread::sleep"),
        )]),
    ]);
    assert_eq!(
        text,
        "test hung for 30s: worker blocked in std::thread::sleep, called by app::work at \
         src/main.rs:20, for 29.5s (tokio-rt-worker, thread 4711) (in app::test at \
         src/main.rs:7)"
    );
}

#[test]
fn workers_that_are_blocked_at_the_same_line_are_counted() {
    let blocked = |number, line| {
        let tree = running("app::work", line, Some("std::sync::Barrier::wait"));
        let task = task(number, "app::work").running_for(29.5);
        task.on_thread(600 + number).at([tree])
    };
    let text = verdict([
        body(),
        blocked(2, 20),
        blocked(3, 20),
        blocked(4, 30),
        blocked(5, 20),
    ]);
    assert_eq!(
        text,
        "test hung for 30s: worker blocked in std::sync::Barrier::wait, called by app::work at \
         src/main.rs:20, for 29.5s (tokio-rt-worker, thread 602), and 2 more workers are in the same state; worker \
         blocked in std::sync::Barrier::wait, called by app::work at src/main.rs:30, for 29.5s \
         (tokio-rt-worker, thread 604) (in app::test at src/main.rs:7)"
    );
}

#[test]
fn a_busy_loop_blocks_its_worker() {
    let text = verdict([
        body(),
        task(2, "app::spin")
            .running_for(29.5)
            .at([running("app::spin", 20, None)]),
    ]);
    assert!(
        text.contains(
            "worker blocked by app::spin at src/main.rs:20, which has been running for 29.5s"
        ),
        "{text}"
    );
}

#[test]
fn a_computing_task_is_not_reported_as_blocked() {
    let recv = running("app::spin", 20, Some("tokio::sync::mpsc::chan::Rx::recv"));
    let text = verdict([
        body(),
        task(2, "app::spin")
            .running_for(29.5)
            .computing(true)
            .at([recv]),
    ]);
    assert_eq!(
        text,
        "test hung for 30s: worker computes without yielding in app::spin at src/main.rs:20: it \
         has been running for 29.5s without an `.await` that waits (tokio-rt-worker, thread 4711) \
         (in app::test at src/main.rs:7)"
    );
}

#[test]
fn a_short_poll_does_not_block_its_worker() {
    let text = verdict([
        body().at([waiting("app::test", 9, "tokio::sync::Mutex::lock")]),
        task(2, "app::work")
            .running_for(0.1)
            .at([running("app::work", 20, None)]),
    ]);
    assert!(
        text.contains("waiting on tokio::sync::Mutex::lock"),
        "{text}"
    );
}

#[test]
fn a_task_that_wakes_itself_spins() {
    let spin =
        Frame::sample("app::spin", 20).with_children([Frame::sample("tokio::task::yield_now", 9)
            .into_resource()
            .waiting(Wait::Yielded)]);
    let text = verdict([body()
        .polled_per_second(1_500_000)
        .at([Frame::sample("app::test", 9).with_children([spin])])]);
    assert_eq!(
        text,
        "test hung for 30s: app::spin at src/main.rs:20 spins: 1500000 polls a second (in app::test \
         at src/main.rs:7)"
    );
}

/// The poll ended because its budget was used up, and not because it waited for a message.
#[test]
fn a_task_that_always_uses_up_its_budget_spins() {
    let verdict_with = |polls: Option<u64>| {
        let resource = |name| Frame::sample(name, 9).into_resource();
        let reads = Frame::sample("app::reads", 20).with_children([
            resource("tokio::sync::mpsc::Receiver::recv"),
            resource("tokio::io::DuplexStream::read").waiting(Wait::OutOfBudget),
        ]);
        let body = body().at([Frame::sample("app::test", 9).with_children([reads])]);
        verdict([match polls {
            Some(polls) => body.polled_per_second(polls),
            None => body,
        }])
    };
    assert_eq!(
        verdict_with(Some(2_000)),
        "test hung for 30s: app::reads at src/main.rs:20 spins: 2000 polls a second (its coop budget \
         was used up in tokio::io::DuplexStream::read) (in app::test at src/main.rs:7)"
    );
    assert_eq!(
        verdict_with(None),
        "test hung for 30s: app::reads at src/main.rs:20 is ready, but its coop budget was used up in \
         tokio::io::DuplexStream::read (in app::test at src/main.rs:7)"
    );
}
