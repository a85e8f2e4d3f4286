//! Tests that the server gives up the work for clients that have disconnected.

use std::future::Future;
use std::io::Write;
use std::net::Shutdown;
use std::task::{Context, Waker};

use tasktrace_tests::HOUR;
use tasktrace_tests::http::{connect, get};

use crate::support::{begin, builder, call, serve};

/// Returns a suspended task that nothing polls again, so a capture of it never gets an answer.
fn task_that_never_answers() -> impl Sized {
    let (task, _handle) = tasktrace::traced(std::future::pending::<()>());
    let mut task = Box::pin(task);
    let mut context = Context::from_waker(Waker::noop());
    assert!(task.as_mut().poll(&mut context).is_pending());
    task
}

#[test]
fn the_process_is_described_while_a_dump_is_taken() {
    let _task = task_that_never_answers();
    let mut service = builder().budget(HOUR).service();
    let dump = begin(&mut service, "/dump.txt");
    let process = call(&mut service, "/process.json");
    assert_eq!(futures::executor::block_on(process).status(), 200);
    drop(dump);
}

/// Dumps are taken one at a time, so another dump is taken only after the first has been given up.
#[test]
fn a_dump_is_given_up_when_its_response_is_dropped() {
    let _task = task_that_never_answers();
    let mut service = builder().budget(HOUR).service();
    for _ in 0..3 {
        drop(begin(&mut service, "/dump.txt"));
    }
    let snapshot = call(&mut service, "/dump.txt?capture=0");
    assert_eq!(futures::executor::block_on(snapshot).status(), 200);
}

/// The task never answers, so the dump would take an hour.
#[cfg(target_os = "linux")]
#[test]
fn a_dump_is_given_up_when_its_client_has_closed_the_connection() {
    let _task = task_that_never_answers();
    let (_server, address) = serve(builder().budget(HOUR));
    for half in [None, Some(Shutdown::Write)] {
        let mut client = connect(address);
        write!(client, "GET /dump.txt HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        // This answer proves that the server has begun the dump's request.
        assert_eq!(get(address, "/process.json").status, 200);
        if let Some(half) = half {
            client.shutdown(half).unwrap();
            assert_eq!(get(address, "/process.json").status, 200);
        }
        drop(client);
        assert_eq!(get(address, "/dump.txt?capture=0").status, 200);
    }
}
