//! Tests that the traces name the functions of mini-redis, and the lines at which they wait.

use std::time::Duration;

use tasktrace::{Frame, Trace};
use tasktrace_example_mini_redis::{Traces, traces};

/// A function on the call path from a task to its leaf, and the line where it waits.
struct Expected {
    name: &'static str,
    file: &'static str,
    line: &'static str,
}

const SERVER: &[Expected] = &[
    Expected {
        name: "mini_redis::server::run",
        file: "mini-redis-0.4.1/src/server.rs",
        line: "tokio::select! {",
    },
    Expected {
        name: "mini_redis::server::Listener::run",
        file: "mini-redis-0.4.1/src/server.rs",
        line: "let socket = self.accept().await?;",
    },
    Expected {
        name: "mini_redis::server::Listener::accept",
        file: "mini-redis-0.4.1/src/server.rs",
        line: "match self.listener.accept().await {",
    },
];

const SUBSCRIBER: &[Expected] = &[
    Expected {
        name: "tasktrace_example_mini_redis::listen",
        file: "examples/mini-redis/src/lib.rs",
        line: "while let Some(message) = subscriber.next_message().await? {",
    },
    Expected {
        name: "mini_redis::client::Subscriber::next_message",
        file: "mini-redis-0.4.1/src/client.rs",
        line: "match self.client.connection.read_frame().await? {",
    },
    READ_FRAME,
];

const IDLE: &[Expected] = &[
    Expected {
        name: "tasktrace_example_mini_redis::stay_connected",
        file: "examples/mini-redis/src/lib.rs",
        line: "while let Some(reply) = connection.read_frame().await? {",
    },
    READ_FRAME,
];

const READ_FRAME: Expected = Expected {
    name: "mini_redis::connection::Connection::read_frame",
    file: "mini-redis-0.4.1/src/connection.rs",
    line: "if 0 == self.stream.read_buf(&mut self.buffer).await? {",
};

#[tokio::test]
async fn traces_name_functions_and_lines_on_one_thread() {
    check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traces_name_functions_and_lines_on_several_threads() {
    check().await;
}

async fn check() {
    let traces = tokio::time::timeout(Duration::from_secs(60), traces()).await;
    let Traces {
        server,
        subscriber,
        idle,
    } = traces.expect("it ends by itself").unwrap();
    check_call_path(&server, SERVER);
    check_call_path(&subscriber, SUBSCRIBER);
    check_call_path(&idle, IDLE);
}

/// Asserts that `expected` are the first functions of `trace`, from the root down.
fn check_call_path(trace: &Trace, expected: &[Expected]) {
    let mut frames = trace.frames();
    for Expected { name, file, line } in expected {
        let frame = frames.iter().find(|frame| frame.name() == *name);
        let frame = frame.unwrap_or_else(|| panic!("{name} is not at its place in\n{trace}"));
        assert_eq!(frame.file(), Some(*file), "{trace}");
        assert_eq!(source_line(trace, frame), *line, "{name} in\n{trace}");
        frames = frame.children();
    }
}

/// Returns the line of the source at `frame`. `frame` has the shortened path of the file; the frames
/// of the whole stack have the path that the compiler saw.
fn source_line(trace: &Trace, frame: &Frame) -> String {
    let (file, line) = (
        frame.file().unwrap(),
        frame.line().expect("debug information"),
    );
    let mut pending: Vec<&Frame> = trace.all_frames().iter().collect();
    while let Some(whole) = pending.pop() {
        pending.extend(whole.children());
        let path = whole.file().unwrap_or_default();
        if whole.line() == Some(line) && path.ends_with(file) {
            let source = std::fs::read_to_string(path).expect("the source it was built from");
            let line = source.lines().nth(line as usize - 1);
            return line.expect("a line of the file").trim().to_owned();
        }
    }
    panic!("{file}:{line} is not on the stack\n{trace:#}");
}
