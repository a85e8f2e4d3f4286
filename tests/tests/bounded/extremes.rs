//! Tests the shortest and longest durations and the largest counts.
//!
//! The scenario runs in a process of its own, because no thread in it may panic.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use tasktrace::{TaskState, TraceHandle, TracedExt, traced};

use tasktrace_tests::by_hand::{LONG, wait_until};

const VARIABLE: &str = "TASKTRACE_TESTS_EXTREMES";

const TIMES: [Duration; 3] = [Duration::ZERO, Duration::from_nanos(1), Duration::MAX];

const COUNTS: [usize; 3] = [0, 1, usize::MAX];

static PANICS: AtomicUsize = AtomicUsize::new(0);

#[test]
fn no_thread_panics() {
    if std::env::var_os(VARIABLE).is_some() {
        std::panic::set_hook(Box::new(|info| {
            PANICS.fetch_add(1, Ordering::SeqCst);
            eprintln!("{info}\n{}", std::backtrace::Backtrace::force_capture());
        }));
        everything();
        let panics = PANICS.load(Ordering::SeqCst);
        // Some threads wait for ever, because their duration is `Duration::MAX`.
        std::process::exit(if panics == 0 { 42 } else { 1 });
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "extremes::no_thread_panics", "--nocapture"])
        .env(VARIABLE, "1")
        .output()
        .unwrap();
    let output_text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(42), "{output_text}");
}

fn everything() {
    let runtime = tasktrace_tests::multi_thread();
    let (future, suspended) = traced(std::future::pending::<()>());
    runtime.spawn(future);
    let (_unpolled, unpolled) = traced(std::future::pending::<()>());
    let (finished_future, finished) = traced(async {});
    drop(finished_future);
    suspended.backtrace_timeout(LONG).unwrap();

    for time in TIMES {
        assert!(finished.backtrace_timeout(time).is_err());
        // The request waits until the task is polled.
        if time < Duration::MAX {
            assert!(unpolled.backtrace_timeout(time).is_err());
        }
        let answer = suspended.backtrace_timeout(time);
        assert!(answer.is_ok() || time < Duration::MAX);
        println!("{}", tasktrace::dump_blocking(time));
    }
    profiles();
    watchdogs();
    servers(&suspended);
    signals();
    blocked();
}

fn profiles() {
    for every in TIMES {
        for cores in [
            0.0,
            -1.0,
            f64::NAN,
            f64::MIN_POSITIVE,
            f64::MAX,
            f64::INFINITY,
        ] {
            for builder in [
                tasktrace::profile().snapshots(),
                tasktrace::profile().captures(),
            ] {
                let builder = builder.every(every).max_cpu(cores);
                let profile = builder.lasting(Duration::from_millis(3)).run_blocking();
                println!("{profile}\n{}", profile.json());
            }
        }
        for lasting in [Duration::ZERO, Duration::from_nanos(1)] {
            let profile = tasktrace::profile()
                .every(every)
                .lasting(lasting)
                .run_blocking();
            println!("{profile}");
        }
        let endless = || tasktrace::profile().every(every).lasting(Duration::MAX);
        let (sampled, is_sampled) = mpsc::channel();
        let builder = endless().on_sample(move |_| {
            let _ = sampled.send(());
        });
        thread::spawn(|| builder.run_blocking());
        if every < Duration::MAX {
            is_sampled.recv_timeout(LONG).expect("a sample");
        }
        let mut future = Box::pin(endless().run());
        assert!(futures::FutureExt::now_or_never(&mut future).is_none());
    }
}

fn watchdogs() {
    for every in TIMES {
        for blocked in TIMES {
            for stalled in TIMES {
                let (reports, reported) = mpsc::channel();
                let watchdog = tasktrace::watchdog()
                    .every(every)
                    .blocked_after(blocked)
                    .starved_after(stalled)
                    .wait_limit(stalled)
                    .on_stall(move |report| {
                        let _ = reports.send(format!("{report}"));
                    })
                    .start();
                // The watchdog may or may not report the task within this time.
                let _ = reported.recv_timeout(Duration::from_millis(5));
                drop(watchdog);
            }
        }
    }
}

fn request(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let mut answer = String::new();
    // A server with no time may close the connection at any moment.
    let _ = stream.write_all(head.as_bytes());
    let _ = stream.read_to_string(&mut answer);
    answer
}

fn servers(handle: &TraceHandle) {
    let new = tasktrace::http::builder;
    let task = format!("/tasks/{}?capture=0", handle.id());
    let seconds = "9".repeat(400);
    let paths = [
        "/process.json",
        "/dump.json?capture=0",
        "/dump.txt",
        task.as_str(),
        "/profile.txt?seconds=0.001&every=18446744073709551615",
        "/profile.txt?seconds=0.001&every=0.000000001",
        &format!("/profile.txt?seconds=0.001&every={seconds}"),
        &format!("/profile.txt?seconds={seconds}"),
        &format!("/tasks/{seconds}"),
        "/profile.txt?seconds=0.001&every=1e-320",
    ];
    let mut builders = Vec::new();
    for time in TIMES {
        builders.extend([
            (time, new().budget(time)),
            (time, new().read_timeout(time)),
            (time, new().write_timeout(time)),
            (time, new().max_profile(time)),
        ]);
    }
    for count in COUNTS {
        let time = Duration::MAX;
        builders.push((time, new().max_connections(count).max_profile(time)));
        builders.push((time, new().max_response(count)));
    }
    for (time, builder) in builders {
        let server = builder.bind("127.0.0.1:0").unwrap();
        for path in paths {
            let answer = request(server.local_addr(), path);
            let is_answer = answer.starts_with("HTTP/1.1 ") && !answer.starts_with("HTTP/1.1 500");
            assert!(is_answer || time < Duration::MAX, "{path}: {answer:?}");
        }
    }
}

#[cfg(unix)]
fn signals() {
    let file = std::env::temp_dir().join(format!("tasktrace-extremes-{}", std::process::id()));
    for time in TIMES {
        let options = tasktrace::DumpOnSignal::new().budget(time).to_file(&file);
        tasktrace::dump_on_signal(options).unwrap();
    }
    // SAFETY: `raise` takes a number. `dump_on_signal` above has installed a handler for this signal, so its default
    // action, to end the process, is not taken.
    assert_eq!(unsafe { libc::raise(libc::SIGUSR1) }, 0);
    wait_until(|| file.exists());
    let _ = std::fs::remove_file(file);
}

#[cfg(not(unix))]
fn signals() {}

/// Requests traces of a task that does not answer.
fn blocked() {
    let (send_handle, receive_handle) = mpsc::channel();
    let (_sender, receiver) = mpsc::channel::<()>();
    thread::spawn(move || {
        let body = async move {
            send_handle.send(tasktrace::current().unwrap()).unwrap();
            let _ = receiver.recv();
        };
        futures::executor::block_on(body.traced("blocked"));
    });
    let task = receive_handle.recv().unwrap();
    assert!(matches!(task.state(), TaskState::Running(_)));
    for time in [Duration::ZERO, Duration::from_nanos(1)] {
        println!("{}", tasktrace::dump_blocking(time));
        println!("{:?}", task.backtrace_timeout(time));
    }
    let server = tasktrace::http::builder().budget(Duration::MAX);
    let server = server.bind("127.0.0.1:0").unwrap();
    let path = format!("/tasks/{}?capture=0", task.id());
    let answer = request(server.local_addr(), &path);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer:?}");
    let asking = [
        thread::spawn({
            let task = task.clone();
            move || drop(task.backtrace_timeout(Duration::MAX))
        }),
        thread::spawn(|| drop(tasktrace::dump_blocking(Duration::MAX))),
    ];
    // The threads are in the middle of their wait after this time, unless they have panicked.
    let start = Instant::now();
    wait_until(|| {
        start.elapsed() > Duration::from_millis(500) || asking.iter().any(|it| it.is_finished())
    });
}
