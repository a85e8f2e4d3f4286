//! Clients that send nothing more, and wait.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::{Duration, Instant};

use tasktrace_tests::http::connect;

use crate::support::{Waiting, builder, serve};

fn half_closed(address: SocketAddr, head: &str) -> String {
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
        // Meanwhile it is found out more than once that the client is there.
        "/profile.txt?seconds=3",
        "/nowhere",
        "/",
    ] {
        for connection in ["close", "keep-alive"] {
            let head = format!(
                "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: {connection}\r\n\r\n"
            );
            let answer = half_closed(address, &head);
            let status = if path == "/nowhere" { "404" } else { "200" };
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status}")),
                "{path}: {answer:?}"
            );
        }
    }
    let json = half_closed(
        address,
        "GET /dump.json HTTP/1.0\r\nHost: localhost\r\n\r\n",
    );
    let (_, json) = json.split_once("\r\n\r\n").unwrap();
    let json: serde_json::Value = serde_json::from_str(json).expect("all of it has come");
    let mut tasks = json["tasks"].as_array().unwrap().iter();
    assert!(tasks.any(|it| it["id"] == task.id.get()));
}

/// More than fits into the buffers of the connection.
#[test]
fn half_closed_clients_get_long_answers_whole() {
    let runtime = tasktrace_tests::multi_thread();
    for number in 0..500 {
        let label = format!("{number} {}", "long".repeat(1000));
        let (future, _) = tasktrace::traced(std::future::pending::<()>());
        runtime.spawn(tasktrace::TracedExt::traced(future, label));
    }
    let (_server, address) = serve(builder());
    let answer = half_closed(
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
        let _ = half_closed(address, head);
        assert!(begun.elapsed() < Duration::from_secs(60));
    }
}
