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
fn a_handle_of_a_task_that_is_not_known_is_followed_to_what_was_spawned() {
    let joins = || body().at([waiting("app::test", 9, "tokio::task::JoinHandle")]);
    let sleeps = |number| {
        let sleep = waiting("app::work", 20, "tokio::time::sleep");
        task(number, "app::work").at([sleep])
    };
    let of_work = "app::work at src/main.rs:20 is waiting on tokio::time::sleep";
    let text = verdict([joins(), sleeps(3).spawned_by(1)]);
    assert!(text.contains(of_work), "{text}");

    // None of these is known to be the one.
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
fn workers_that_are_blocked_at_the_same_place_are_told_once() {
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
         src/main.rs:20, for 29.5s (tokio-rt-worker, thread 602), and 2 more workers likewise; worker \
         blocked in std::sync::Barrier::wait, called by app::work at src/main.rs:30, for 29.5s \
         (tokio-rt-worker, thread 604) (in app::test at src/main.rs:7)"
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

/// The poll ended because its budget was used up, and not because of a message that it could have waited for.
#[test]
fn a_task_that_is_ready_all_the_time_spins() {
    let of = |polls: Option<u64>| {
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
        of(Some(2_000)),
        "test hung for 30s: app::reads at src/main.rs:20 spins: 2000 polls a second (its coop budget \
         was used up in tokio::io::DuplexStream::read) (in app::test at src/main.rs:7)"
    );
    assert_eq!(
        of(None),
        "test hung for 30s: app::reads at src/main.rs:20 is ready, but its coop budget was used up in \
         tokio::io::DuplexStream::read (in app::test at src/main.rs:7)"
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

/// A body that was asked, and not polled.
fn unpolled_body(is_proven: bool) -> TaskDump {
    let task = body().at([Frame::sample("app::test", 9)]);
    task.unpolled_for(4.0, is_proven)
}

#[test]
fn what_is_left_is_told_for_certain() {
    let waits = || task(2, "app::a").at([waiting("app::a", 20, "tokio::sync::Mutex::lock")]);
    let text = verdict([unpolled_body(true), waits()]);
    assert_eq!(
        text,
        "test hung for 30s: app::test was woken, but its executor does not poll it"
    );
}

#[test]
fn what_may_be_starved_of_processor_time_is_likely_and_comes_after_waits() {
    let waits = task(2, "app::a").at([waiting("app::a", 20, "tokio::sync::Mutex::lock")]);
    let text = verdict([unpolled_body(false), waits]);
    assert!(
        text.contains("app::a at src/main.rs:20 is waiting on tokio::sync::Mutex::lock"),
        "{text}"
    );
    assert!(!text.contains("poll it"), "{text}");
    let text = verdict([unpolled_body(false)]);
    assert!(
        text.contains(
            "app::test was woken 4.0s ago, and has not been polled since: likely its executor"
        ),
        "{text}"
    );
}

#[test]
fn nothing_can_wake_it() {
    let lost = Frame::sample("app::lost", 20).waiting(Wait::NoWaker);
    let text = verdict([body().at([Frame::sample("app::test", 9).with_children([lost])])]);
    assert!(
        text.contains(
            "app::lost at src/main.rs:20 registered no waker in this poll: nothing can wake it, \
             unless it kept that of an earlier one"
        ),
        "{text}"
    );
}

#[test]
fn a_missing_waker_is_certain_in_a_first_poll() {
    let lost = Frame::sample("app::lost", 20).waiting(Wait::NoWaker);
    let mut task = body().at([Frame::sample("app::test", 9).with_children([lost])]);
    task.polls = 0;
    let text = verdict([task]);
    assert!(
        text.contains("app::lost at src/main.rs:20 is waiting, and nothing can wake it: it has no"),
        "{text}"
    );
}

#[test]
fn a_missing_waker_comes_after_other_causes() {
    let lost = || Frame::sample("app::lost", 20).waiting(Wait::NoWaker);
    let tree = Frame::sample("app::test", 9).with_children([
        lost(),
        waiting("app::take", 30, "tokio::sync::Notify::notified"),
    ]);
    let text = verdict([body().at([tree])]);
    assert!(
        text.contains("app::take at src/main.rs:30 is waiting on"),
        "{text}"
    );
    // A helper that is parked on purpose.
    let text = verdict([
        body().at([waiting("app::test", 9, "tokio::sync::Mutex::lock")]),
        task(2, "app::mock").spawned_by(1).at([lost()]),
    ]);
    assert!(
        text.contains("app::test at src/main.rs:9 is waiting on"),
        "{text}"
    );
    // But before what is idle.
    let text = verdict([
        body().at([lost()]),
        task(2, "app::serve").spawned_by(1).at([waiting(
            "app::serve",
            40,
            "tokio::sync::mpsc::Receiver::recv",
        )]),
    ]);
    assert!(
        text.contains("app::lost at src/main.rs:20 registered no waker"),
        "{text}"
    );
}

#[test]
fn a_lock_of_another_task_comes_before_what_the_body_idles_at() {
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
fn idle_waits_of_others_do_not_hide_the_wait_of_the_body() {
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

#[test]
fn what_is_called_by_the_end_of_its_name_is_not_mistaken_for_another() {
    let resource = |name: &str| Frame::sample(name, 99).into_resource();
    let both = Frame::sample("app::both", 20).with_children([
        resource("tokio::sync::broadcast::Receiver::recv"),
        resource("tokio::sync::mpsc::Receiver::recv"),
    ]);
    let text = verdict([body().at([Frame::sample("app::test", 9).with_children([both])])]);
    let told = "waiting on tokio::sync::broadcast::Receiver::recv or mpsc::Receiver::recv";
    assert!(text.contains(told), "{text}");
}

#[test]
fn a_verdict_names_the_wait_inside_an_abortable_future() {
    let abortable = Frame::sample("futures::future::Abortable", 99).into_resource();
    let tree = Frame::sample("app::test", 9)
        .with_children([abortable, waiting("app::work", 20, "tokio::time::sleep")]);
    let text = verdict([body().at([tree])]);
    assert!(
        text.contains("app::work at src/main.rs:20 is waiting on tokio::time::sleep"),
        "{text}"
    );
    assert!(!text.contains("Abortable"), "{text}");
}

#[test]
fn a_subject_is_named_once() {
    let resource = |name: &str| Frame::sample(name, 99).into_resource();
    let both = || {
        Frame::sample("app::both", 20).with_children([
            resource("tokio::sync::mpsc::Receiver::recv"),
            resource("tokio::sync::oneshot::Receiver"),
        ])
    };
    let text = verdict([body().at([both()])]);
    assert_eq!(text.matches("app::both").count(), 1, "{text}");
    assert!(
        text.contains(
            "app::both at src/main.rs:20 is waiting on tokio::sync::mpsc::Receiver::recv or \
             oneshot::Receiver"
        ),
        "{text}"
    );
    // In several tasks as well.
    let one = |number, name: &str| {
        task(number, "app::both")
            .at([Frame::sample("app::both", 20).with_children([resource(name)])])
    };
    let text = verdict([
        body().at([waiting("app::test", 9, "tokio::task::JoinHandle")]),
        one(2, "tokio::sync::Mutex::lock"),
        one(3, "tokio::sync::RwLock::read"),
    ]);
    assert!(
        text.contains(
            "2 × app::both at src/main.rs:20 are waiting on tokio::sync::Mutex::lock or RwLock::read"
        ),
        "{text}"
    );
}

#[test]
fn the_function_of_the_program_is_named_and_what_it_calls() {
    let mut get = waiting(
        "deadpool::managed::pool::Pool::timeout_get",
        132,
        "tokio::sync::Semaphore::acquire",
    );
    get = get.into_dependency();
    let outer = Frame::sample("deadpool::managed::pool::Pool::get", 94)
        .with_children([get])
        .into_dependency();
    let handler = Frame::sample("app::handler", 18).with_children([outer]);
    let text = verdict([body().at([Frame::sample("app::test", 9).with_children([handler])])]);
    assert_eq!(
        text,
        "test hung for 30s: app::handler at src/main.rs:18 is waiting in \
         deadpool::managed::Pool::get (tokio::sync::Semaphore::acquire) (in app::test at \
         src/main.rs:7)"
    );
}

#[test]
fn a_function_of_the_program_that_a_library_calls_is_the_subject() {
    let inner = waiting("app::load", 40, "tokio::net::TcpStream::read");
    let library = Frame::sample("moka::future::Cache::get_with", 7)
        .with_children([inner])
        .into_dependency();
    let text = verdict([body().at([Frame::sample("app::test", 9).with_children([library])])]);
    assert!(
        text.contains("app::load at src/main.rs:40 is waiting on tokio::net::TcpStream::read"),
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

#[test]
fn a_task_without_a_line_is_told_by_where_it_was_spawned() {
    let here = std::panic::Location::caller();
    let spawned = TaskDump {
        spawned_at: Some(here),
        ..body().unpolled_for(4.0, true)
    };
    let text = verdict([spawned]);
    let says = format!(
        "app::test (spawned at {}:{}) was woken, but its executor does not poll it",
        here.file(),
        here.line()
    );
    assert!(text.contains(&says), "{text}");
}
