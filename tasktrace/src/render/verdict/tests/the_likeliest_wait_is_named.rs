//! Tests which of several waits a verdict names.

use super::*;

#[test]
fn a_wait_of_the_body_is_named() {
    let text = verdict([body().at([waiting("app::test", 9, "tokio::sync::Mutex::lock")])]);
    assert_eq!(
        text,
        "test hung for 30s: app::test at src/main.rs:9 is waiting on tokio::sync::Mutex::lock"
    );
}

#[test]
fn a_wait_of_a_function_of_the_body_is_named() {
    let inner = waiting("app::helper", 20, "tokio::sync::mpsc::Receiver::recv");
    let text = verdict([body().at([Frame::sample("app::test", 9).with_children([inner])])]);
    assert_eq!(
        text,
        "test hung for 30s: app::helper at src/main.rs:20 is waiting on \
         tokio::sync::mpsc::Receiver::recv (in app::test at src/main.rs:7)"
    );
}

#[test]
fn a_lock_comes_before_timers_and_channels() {
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
fn both_sides_of_a_deadlock_are_named() {
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
fn tasks_that_wait_at_the_same_line_are_counted() {
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
fn the_wait_of_an_awaited_task_is_named() {
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
fn a_handle_of_an_unknown_task_leads_to_the_spawned_task() {
    let joins = || body().at([waiting("app::test", 9, "tokio::task::JoinHandle")]);
    let sleeps = |number| {
        let sleep = waiting("app::work", 20, "tokio::time::sleep");
        task(number, "app::work").at([sleep])
    };
    let of_work = "app::work at src/main.rs:20 is waiting on tokio::time::sleep";
    let text = verdict([joins(), sleeps(3).spawned_by(1)]);
    assert!(text.contains(of_work), "{text}");

    // The awaited task is not known if the only candidate was not spawned by the body or is awaited by another task.
    let of_body = "app::test at src/main.rs:9 is waiting on tokio::task::JoinHandle";
    let text = verdict([joins(), sleeps(3)]);
    assert!(text.contains(of_body), "{text}");
    let text = verdict([
        joins(),
        task(2, "app::other").awaiting([3]),
        sleeps(3).spawned_by(1),
    ]);
    assert!(text.contains(of_body), "{text}");
}

#[test]
fn a_lock_of_another_task_comes_before_an_idle_wait_of_the_body() {
    for idle in [
        "tokio::net::TcpListener::accept",
        "tokio::net::TcpStream::read",
        "tokio::sync::oneshot::Receiver",
        "tokio::time::sleep",
    ] {
        let text = verdict([
            body().at([waiting("app::test", 9, idle)]),
            task(2, "app::handle").spawned_by(1).at([waiting(
                "app::handle",
                20,
                "tokio::sync::Mutex::lock",
            )]),
        ]);
        assert!(
            text.contains(
                "30s: app::handle at src/main.rs:20 is waiting on tokio::sync::Mutex::lock ("
            ),
            "{text}"
        );
        assert!(!text.contains(idle), "{text}");
    }
}

#[test]
fn idle_waits_of_other_tasks_do_not_hide_the_wait_of_the_body() {
    for idle in [
        "tokio::net::TcpListener::accept",
        "tokio::sync::mpsc::Receiver::recv",
        "tokio::time::Interval::tick",
        "tokio::signal::ctrl_c",
    ] {
        let text = verdict([
            body().at([waiting("app::test", 9, "tokio::net::TcpStream::read")]),
            task(2, "app::serve")
                .spawned_by(1)
                .at([waiting("app::serve", 20, idle)]),
        ]);
        assert!(
            text.contains("app::test at src/main.rs:9 is waiting on"),
            "{text}"
        );
        assert!(!text.contains(idle), "{text}");
    }
}

#[test]
fn workers_that_share_a_receiver_are_idle() {
    let worker = |number, resource: &str| {
        task(number, "app::work")
            .spawned_by(1)
            .at([waiting("app::work", 20, resource)])
    };
    let text = verdict([
        body().at([waiting("app::test", 9, "tokio::sync::oneshot::Receiver")]),
        worker(2, "tokio::sync::mpsc::Receiver::recv"),
        worker(3, "tokio::sync::Mutex::lock"),
        worker(4, "tokio::sync::Mutex::lock"),
    ]);
    assert!(
        text.contains("app::test at src/main.rs:9 is waiting on"),
        "{text}"
    );
    assert!(!text.contains("deadlock"), "{text}");
}

#[test]
fn a_stop_signal_comes_last_and_is_named() {
    let resource = |name: &str| Frame::sample(name, 99).into_resource();
    let session = Frame::sample("app::session", 20).with_children([
        resource("tokio_util::sync::CancellationToken::cancelled"),
        resource("tokio::net::TcpStream::read"),
        resource("tokio::time::timeout"),
    ]);
    let text = verdict([body().at([Frame::sample("app::test", 9).with_children([session])])]);
    assert!(
        text.contains(
            "app::session at src/main.rs:20 is waiting on tokio::net::TcpStream::read or \
             CancellationToken::cancelled (in"
        ),
        "{text}"
    );
}
