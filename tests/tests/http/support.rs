//! Starts servers, and tasks for them to show.

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
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tower_service::Service;

/// Returns the configuration that most tests use.
pub(crate) fn builder() -> Builder {
    // Other tests may block tasks of this process, so each dump may wait its whole budget.
    tasktrace::http::builder().budget(Duration::from_millis(500))
}

#[track_caller]
pub(crate) fn serve(builder: Builder) -> (Server, SocketAddr) {
    let server = builder.bind("127.0.0.1:0").unwrap();
    let address = server.local_addr();
    (server, address)
}

/// Serves `router` with axum on `runtime`, and returns the address.
pub(crate) fn serve_axum(runtime: &Runtime, router: axum::Router) -> SocketAddr {
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(async { axum::serve(listener, router).await.unwrap() });
    address
}

/// Requests `path` from a service.
pub(crate) fn call(
    service: &mut TasksService,
    path: &str,
) -> Pin<Box<impl Future<Output = Response<Body>> + use<>>> {
    let request = Request::get(path).header("Host", "localhost").body(());
    let response = service.call(request.unwrap());
    Box::pin(async { response.await.unwrap() })
}

/// Begins a request whose answer takes a while, and returns the future of its status.
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

/// A task that waits for ever, on a runtime of its own.
pub(crate) struct Waiting {
    pub(crate) id: TaskId,
    _runtime: Runtime,
}

#[tasktrace::traced("label {number}")]
async fn waits_for_ever(number: u32, begun: Sender<TaskId>) {
    let _ = number;
    let id = tasktrace::current().unwrap().id();
    // The task has been suspended once before the test goes on.
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

/// A runtime whose threads are all blocked until it is dropped.
pub(crate) struct BlockedRuntime {
    _go_on: Vec<Sender<()>>,
    _runtime: Runtime,
}

#[tasktrace::traced]
async fn blocks_its_thread(begun: Sender<()>, goes_on: Receiver<()>) {
    begun.send(()).unwrap();
    // Blocks until the sender is dropped.
    let _ = goes_on.recv();
}

impl BlockedRuntime {
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
