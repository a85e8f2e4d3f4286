//! Servers, and tasks to be seen.

use std::future::{Future, pending};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::{Request, Response};
use tasktrace::TaskId;
use tasktrace::http::{Body, Builder, Server, TasksService};
use tasktrace_tests::multi_thread;
use tokio::runtime::Runtime;
use tower_service::Service;

/// A server, as far as nothing else is said.
pub(crate) fn builder() -> Builder {
    // A test elsewhere may block a task that is asked.
    tasktrace::http::builder().budget(Duration::from_millis(500))
}

#[track_caller]
pub(crate) fn serve(builder: Builder) -> (Server, SocketAddr) {
    let server = builder.bind("127.0.0.1:0").unwrap();
    let address = server.local_addr();
    (server, address)
}

/// Requests this of a service.
pub(crate) fn call(
    service: &mut TasksService,
    path: &str,
) -> Pin<Box<impl Future<Output = Response<Body>> + use<>>> {
    let request = Request::get(path).header("Host", "localhost").body(());
    let response = service.call(request.unwrap());
    Box::pin(async { response.await.unwrap() })
}

/// Requests what takes a while, and returns its status to come.
#[track_caller]
pub(crate) fn begin(
    service: &mut TasksService,
    path: &str,
) -> Pin<Box<impl Future<Output = u16> + use<>>> {
    let response = call(service, path);
    let mut status = Box::pin(async { response.await.status().as_u16() });
    let polled = poll(&mut status);
    assert!(polled.is_pending(), "{path}: {polled:?}");
    status
}

pub(crate) fn poll<F: Future>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
}

/// A task that waits, on a runtime of its own.
pub(crate) struct Waiting {
    pub(crate) id: TaskId,
    _runtime: Runtime,
}

#[tasktrace::traced("label {number}")]
async fn waits_for_ever(number: u32, begun: Sender<TaskId>) {
    let _ = number;
    let id = tasktrace::current().unwrap().id();
    // It has been suspended once when this is heard of.
    tokio::task::yield_now().await;
    begun.send(id).unwrap();
    pending().await
}

impl Waiting {
    pub(crate) fn new(number: u32) -> Self {
        let runtime = multi_thread();
        let (begun, begins) = channel();
        runtime.spawn(waits_for_ever(number, begun));
        Self {
            id: begins.recv().unwrap(),
            _runtime: runtime,
        }
    }
}

/// A runtime whose threads are all blocked, until this is dropped.
pub(crate) struct Wedged {
    _go_on: Vec<Sender<()>>,
    _runtime: Runtime,
}

#[tasktrace::traced]
async fn blocks_its_thread(begun: Sender<()>, goes_on: Receiver<()>) {
    begun.send(()).unwrap();
    // Until the other end is gone.
    let _ = goes_on.recv();
}

impl Wedged {
    pub(crate) fn new() -> Self {
        let runtime = multi_thread();
        let (begun, begins) = channel();
        let go_on = (0..2).map(|_| {
            let (go_on, goes_on) = channel();
            runtime.spawn(blocks_its_thread(begun.clone(), goes_on));
            begins.recv().unwrap();
            go_on
        });
        Self {
            _go_on: go_on.collect(),
            _runtime: runtime,
        }
    }
}
