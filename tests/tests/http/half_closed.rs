//! Tests clients that close their sending side and wait for the answer.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tasktrace_tests::by_hand::wait_until;
use tasktrace_tests::http::connect;

use crate::support::{Waiting, builder, serve};

fn send_and_half_close(address: SocketAddr, head: &str) -> String {
    let mut stream = connect(address);
    stream.write_all(head.as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn half_closed_clients_get_their_answers() {
    let task = Waiting::new(3);
    let (_server, address) = serve(builder().budget(Duration::from_secs(20)));
    for path in [
        "/dump.txt",
        "/process.json",
        // While this profile runs, the server checks more than once that the client is still connected.
        "/profile.txt?seconds=3",
        "/nowhere",
        "/",
    ] {
        for connection in ["close", "keep-alive"] {
            let head = format!(
                "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: {connection}\r\n\r\n"
            );
            let answer = send_and_half_close(address, &head);
            let status = if path == "/nowhere" { "404" } else { "200" };
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status}")),
                "{path}: {answer:?}"
            );
        }
    }
    let json = send_and_half_close(
        address,
        "GET /dump.json HTTP/1.0\r\nHost: localhost\r\n\r\n",
    );
    let (_, json) = json.split_once("\r\n\r\n").unwrap();
    let json: serde_json::Value = serde_json::from_str(json).expect("all of it has come");
    let mut tasks = json["tasks"].as_array().unwrap().iter();
    assert!(tasks.any(|it| it["id"] == task.id.get()));
}

/// The answer is longer than the buffers of the connection.
#[test]
fn half_closed_clients_get_long_answers_whole() {
    let runtime = tasktrace_tests::multi_thread();
    const TASKS: usize = 500;
    let polled = Arc::new(AtomicUsize::new(0));
    for number in 0..TASKS {
        let label = format!("{number} {}", "long".repeat(1000));
        let polled = polled.clone();
        let (future, _) = tasktrace::traced(async move {
            polled.fetch_add(1, Ordering::Relaxed);
            std::future::pending::<()>().await;
        });
        runtime.spawn(tasktrace::TracedExt::traced(future, label));
    }
    // A task shows the labels inside it once it was polled.
    wait_until(|| polled.load(Ordering::Relaxed) == TASKS);
    let (_server, address) = serve(builder());
    let answer = send_and_half_close(
        address,
        "GET /dump.json?capture=0 HTTP/1.0\r\nHost: localhost\r\n\r\n",
    );
    let (_, json) = answer.split_once("\r\n\r\n").unwrap();
    assert!(json.len() > 1 << 20, "{}", json.len());
    let json: Result<serde_json::Value, _> = serde_json::from_str(json);
    assert!(json.is_ok());
}

#[test]
fn a_client_without_a_whole_request_is_disconnected() {
    let (_server, address) = serve(builder());
    for head in ["", "GET /dump.txt HTT"] {
        let begun = Instant::now();
        let _ = send_and_half_close(address, head);
        assert!(begun.elapsed() < Duration::from_secs(60));
    }
}
