//! Clients that have gone, and those that come after them.

use std::future::Future;
use std::io::Write;
use std::net::Shutdown;
use std::task::{Context, Waker};

use tasktrace_tests::HOUR;
use tasktrace_tests::http::{connect, get};

use crate::support::{begin, builder, call, serve};

/// A task that was suspended, and will not be polled again: a requester waits for its answer.
fn suspended() -> impl Sized {
    let (task, _handle) = tasktrace::traced(std::future::pending::<()>());
    let mut task = Box::pin(task);
    let mut context = Context::from_waker(Waker::noop());
    assert!(task.as_mut().poll(&mut context).is_pending());
    task
}

#[test]
fn a_process_describes_itself_while_a_dump_is_taken() {
    let _task = suspended();
    let mut service = builder().budget(HOUR).service();
    let dump = begin(&mut service, "/dump.txt");
    let process = call(&mut service, "/process.json");
    assert_eq!(futures::executor::block_on(process).status(), 200);
    drop(dump);
}

/// Dumps are taken one at a time: so another is taken when the first has been given up.
#[test]
fn a_dump_is_given_up_when_its_client_has_gone() {
    let _task = suspended();
    let mut service = builder().budget(HOUR).service();
    for _ in 0..3 {
        drop(begin(&mut service, "/dump.txt"));
    }
    let snapshot = call(&mut service, "/dump.txt?capture=0");
    assert_eq!(futures::executor::block_on(snapshot).status(), 200);
}

/// Its task never answers, so the dump would take an hour.
#[cfg(target_os = "linux")]
#[test]
fn a_dump_is_given_up_when_its_client_has_closed_the_connection() {
    let _task = suspended();
    let (_server, address) = serve(builder().budget(HOUR));
    for half in [None, Some(Shutdown::Write)] {
        let mut client = connect(address);
        write!(client, "GET /dump.txt HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        // Clients of other programs see to it that theirs is being worked on.
        assert_eq!(get(address, "/process.json").status, 200);
        if let Some(half) = half {
            client.shutdown(half).unwrap();
            assert_eq!(get(address, "/process.json").status, 200);
        }
        drop(client);
        assert_eq!(get(address, "/dump.txt?capture=0").status, 200);
    }
}
