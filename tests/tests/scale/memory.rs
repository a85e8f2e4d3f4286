//! Tests that dumps free their memory.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const CHILD: &str = "TASKTRACE_TEST_OF_MEMORY";

/// Returns the resident anonymous memory of the process, in MiB.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon"));
    let kib = line.unwrap().split_whitespace().nth(1).unwrap();
    kib.parse::<usize>().unwrap() / 1024
}

#[tasktrace::traced("request {number}")]
async fn request(number: usize) {
    let _ = number;
    std::future::pending::<()>().await;
}

/// Runs in a process of its own, because the memory of other tests would count.
#[test]
fn aborted_downloads_of_many_tasks_leave_little_behind() {
    if std::env::var_os(CHILD).is_some() {
        return download();
    }
    let name = "memory::aborted_downloads_of_many_tasks_leave_little_behind";
    let child = Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env(CHILD, "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&child.stdout);
    let error = String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success(), "{output}{error}");
}

fn download() {
    let runtime = tasktrace_tests::multi_thread();
    runtime.block_on(async {
        for number in 0..10_000 {
            tasktrace::spawn(request(number));
        }
    });
    while tasktrace::tasks().any(|task| task.polls() == 0) {
        std::thread::yield_now();
    }
    let server = tasktrace::http::serve("127.0.0.1:0").unwrap();
    let address = server.local_addr();
    let before = resident();
    for number in 0..20 {
        let mut client = TcpStream::connect(address).unwrap();
        write!(client, "GET /dump.json HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        if number % 4 == 0 {
            // Some clients begin to read.
            let _ = client.read(&mut [0; 4096]);
        }
    }
    // The server notices the last disconnection only after a while.
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let now = resident();
        if now < before + 48 {
            break;
        }
        assert!(
            Instant::now() < deadline,
            "{before} MiB before, {now} MiB after"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}
