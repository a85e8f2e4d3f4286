//! Tests that hang, made up.

use crate::dump::sample::{dump, id, secs, task};
use crate::dump::{Hang, Stage, TaskDump, Why};
use crate::trace::{Frame, Wait};

/// The verdict about a test whose body is task 1.
fn verdict<const N: usize>(tasks: [TaskDump; N]) -> String {
    of(tasks, Stage::Body(id(1)))
}

fn of<const N: usize>(tasks: [TaskDump; N], stage: Stage) -> String {
    let hang = Hang {
        name: "app::test".to_owned(),
        file: "src/main.rs",
        line: 7,
        after: secs(30.0),
        why: Why::Timeout,
        stage,
        thread: 1,
        dump: dump(tasks),
        unknown: 0,
    };
    hang.verdict()
}

fn body() -> TaskDump {
    task(1, "app::test").suspended_for(29.0)
}

fn waiting(function: &str, line: u32, resource: &str) -> Frame {
    let resource = Frame::sample(resource, 99).into_resource();
    Frame::sample(function, line).with_children([resource])
}

fn running(function: &str, line: u32, resource: Option<&str>) -> Frame {
    match resource {
        Some(name) => {
            let resource = Frame::sample(name, 99)
                .into_resource()
                .waiting(Wait::Running);
            Frame::sample(function, line).with_children([resource])
        }
        None => Frame::sample(function, line).waiting(Wait::Running),
    }
}

#[test]
fn the_body_waits() {
    let text = verdict([body().at([waiting("app::test", 9, "tokio::sync::Mutex::lock")])]);
    assert_eq!(
        text,
        "test hung for 30s: app::test at src/main.rs:9 is waiting on tokio::sync::Mutex::lock"
    );
}

#[test]
fn a_function_of_the_body_waits() {
    let inner = waiting("app::helper", 20, "tokio::sync::mpsc::Receiver::recv");
    let text = verdict([body().at([Frame::sample("app::test", 9).with_children([inner])])]);
    assert_eq!(
        text,
        "test hung for 30s: app::helper at src/main.rs:20 is waiting on \
         tokio::sync::mpsc::Receiver::recv (in app::test at src/main.rs:7)"
    );
}

#[test]
fn a_lock_matters_more_than_a_timer() {
    let tree = Frame::sample("app::test", 9).with_children([
        waiting("app::tick", 20, "tokio::time::sleep"),
        waiting("app::save", 30, "tokio::sync::RwLock::write"),
        waiting("app::take", 40, "tokio::sync::mpsc::Receiver::recv"),
    ]);
    let text = verdict([body().at([tree])]);
    assert!(text.contains("app::save at src/main.rs:30 is waiting on tokio::sync::RwLock::write"));
    assert!(
        !text.contains("app::tick") && !text.contains("app::take"),
        "{text}"
    );
}

#[test]
fn both_sides_of_a_deadlock() {
    let text = verdict([
        body().at([waiting("app::test", 9, "tokio::task::JoinHandle")]),
        task(2, "app::a").at([waiting("app::a", 20, "tokio::sync::Mutex::lock")]),
        task(3, "app::b").at([waiting("app::b", 30, "tokio::sync::Mutex::lock")]),
    ]);
    assert_eq!(
        text,
        "test hung for 30s: app::a at src/main.rs:20 is waiting on tokio::sync::Mutex::lock, \
         and so is app::b at src/main.rs:30: a deadlock, if each holds what another waits for \
         (in app::test at src/main.rs:7)"
    );
}

#[test]
fn many_at_the_same_place_are_counted() {
    let workers = |number| {
        task(number, "app::work").at([waiting("app::work", 20, "tokio::sync::Semaphore::acquire")])
    };
    let text = verdict([
        body().at([waiting("app::test", 9, "tokio::task::JoinHandle")]),
        workers(2),
        workers(3),
        workers(4),
    ]);
    assert!(
        text.contains(
            "3 × app::work at src/main.rs:20 are waiting on tokio::sync::Semaphore::acquire"
        ),
        "{text}"
    );
}

#[test]
fn what_is_awaited_is_followed() {
    let text = verdict([
        body()
            .awaiting([3])
            .at([Frame::sample("tasktrace::JoinHandle", 9)]),
        task(2, "app::idle").at([waiting("app::idle", 40, "tokio::sync::Notify::notified")]),
        task(3, "app::work").at([waiting(
            "app::work",
            20,
            "tokio::sync::mpsc::Receiver::recv",
        )]),
    ]);
    assert!(
        text.contains("app::work at src/main.rs:20 is waiting on"),
        "{text}"
    );
}

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
fn a_busy_loop() {
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
fn a_short_poll_blocks_nobody() {
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
fn nothing_can_wake_it() {
    let lost = Frame::sample("app::lost", 20).waiting(Wait::NoWaker);
    let text = verdict([body().at([Frame::sample("app::test", 9).with_children([lost])])]);
    assert!(
        text.contains("app::lost at src/main.rs:20 is waiting, and nothing can wake it"),
        "{text}"
    );
}

#[test]
fn a_cycle() {
    let text = verdict([
        body()
            .awaiting([2])
            .at([Frame::sample("tasktrace::JoinHandle", 9)]),
        task(2, "app::a")
            .awaiting([3])
            .at([Frame::sample("tasktrace::JoinHandle", 20)]),
        task(3, "app::b")
            .awaiting([2])
            .at([Frame::sample("tasktrace::JoinHandle", 30)]),
    ]);
    assert!(
        text.contains("task 2 app::a awaits task 3 app::b awaits task 2 app::a: none of them"),
        "{text}"
    );
}

#[test]
fn what_is_held_is_told() {
    let tree = Frame::sample("app::test", 9).with_children([
        Frame::sample("app::fetch", 20).held(28.0),
        waiting("app::store", 30, "tokio::sync::Mutex::lock"),
    ]);
    let text = verdict([body().at([tree])]);
    assert!(
        text.contains(
            "app::store at src/main.rs:30 is waiting on tokio::sync::Mutex::lock, while app::fetch \
             at src/main.rs:20 is held, but not polled for 28.0s"
        ),
        "{text}"
    );
}

#[test]
fn the_end_of_a_test() {
    let text = of([], Stage::End);
    assert!(
        text.contains("its body has ended, but its runtime does not shut down"),
        "{text}"
    );
    let blocked = task(2, "app::work").running_for(20.0).at([running(
        "app::work",
        20,
        Some("std::thread::sleep"),
    )]);
    let text = of([blocked], Stage::End);
    assert!(
        text.contains("worker blocked in std::thread::sleep, called by app::work"),
        "{text}"
    );
}

#[test]
fn whatever_comes_there_is_a_verdict() {
    for stage in [
        Stage::Beginning,
        Stage::Body(id(1)),
        Stage::Body(id(9)),
        Stage::End,
    ] {
        let text = of([], stage);
        assert!(
            text.starts_with("test hung for 30s: ") && text.contains("app::test"),
            "{text}"
        );
        let text = of([body().never_polled()], stage);
        assert!(text.contains("app::test"), "{text}");
    }
}
