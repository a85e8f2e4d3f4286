//! Tests how a verdict names functions, resources and tasks.

use super::*;

#[test]
fn a_shortened_name_keeps_the_segments_that_make_it_unique() {
    let resource = |name: &str| Frame::sample(name, 99).into_resource();
    let both = Frame::sample("app::both", 20).with_children([
        resource("tokio::sync::broadcast::Receiver::recv"),
        resource("tokio::sync::mpsc::Receiver::recv"),
    ]);
    let text = verdict([body().at([Frame::sample("app::test", 9).with_children([both])])]);
    let expected = "waiting on tokio::sync::broadcast::Receiver::recv or mpsc::Receiver::recv";
    assert!(text.contains(expected), "{text}");
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
fn a_function_with_several_waits_is_named_once() {
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
    // The same holds for a function in several tasks.
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
fn the_function_of_the_program_is_named_with_the_library_that_it_calls() {
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
fn a_task_without_a_line_is_named_with_its_spawn_site() {
    let here = std::panic::Location::caller();
    let spawned = TaskDump {
        spawned_at: Some(here),
        ..body().unpolled_for(4.0, true)
    };
    let text = verdict([spawned]);
    let expected = format!(
        "app::test (spawned at {}:{}) was woken, but its executor does not poll it",
        here.file(),
        here.line()
    );
    assert!(text.contains(&expected), "{text}");
}

#[test]
fn a_task_of_library_functions_only_is_named_with_its_spawn_site() {
    let here = std::panic::Location::caller();
    let poll = waiting("db::Connection::poll", 182, "tokio::net::TcpStream::read");
    let spawned = TaskDump {
        spawned_at: Some(here),
        ..task(2, "db::Connection").at([poll.into_dependency()])
    };
    let text = verdict([body(), spawned]);
    let expected = format!(
        "db::Connection (spawned at {}:{}) is waiting on tokio::net::TcpStream::read",
        here.file(),
        here.line()
    );
    assert!(text.contains(&expected), "{text}");
}
