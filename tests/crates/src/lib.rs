//! Provides helpers for the tests of real crates.

mod pool;
pub mod quic;
mod servers;

pub use pool::Manager;
pub use servers::{
    WebSocket, grpc_server, half_a_response, postgres_server, redis_server, websocket,
};

use std::future::Future;
use std::time::{Duration, Instant};

use tasktrace::Trace;

/// A duration longer than any test takes.
pub const HOUR: Duration = Duration::from_secs(3600);

/// The time in which a future must reach the place where it is expected to wait.
const PATIENCE: Duration = Duration::from_secs(3);

/// Runs a future until `is_there` returns `true` for a trace of it, and returns that trace. After [`PATIENCE`] it
/// returns the last trace.
///
/// # Panics
///
/// If the future ends.
pub fn trace_until<F: Future + 'static>(
    body: impl FnOnce() -> F,
    is_there: impl Fn(&Trace) -> bool,
) -> Trace {
    let (future, handle) = tasktrace::traced(body());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be built");
    let trace = tokio::task::LocalSet::new().block_on(&runtime, async {
        let task = tokio::task::spawn_local(future);
        let deadline = Instant::now() + PATIENCE;
        let trace = loop {
            // The first trace is of the first poll, because some futures register a waker only in that.
            let trace = handle.backtrace().await.expect("the future waits");
            if is_there(&trace) || Instant::now() > deadline {
                break trace;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        };
        task.abort();
        // Some futures must be dropped inside a runtime.
        let _ = task.await;
        trace
    });
    runtime.shutdown_background();
    trace
}

/// Returns the names of the resources that are waited for, in the order of the trace.
#[must_use]
pub fn leaves(trace: &Trace) -> Vec<String> {
    let leaves = trace.leaves();
    leaves.iter().map(|leaf| leaf.name().to_owned()).collect()
}

/// Asserts that a future comes to wait for exactly `resources`.
#[track_caller]
pub fn waits_for<F: Future + 'static>(body: impl FnOnce() -> F, resources: &[&str]) -> Trace {
    let trace = trace_until(body, |trace| leaves(trace) == resources);
    assert_eq!(leaves(&trace), resources, "\n{trace}\n{trace:#}");
    trace
}

/// Returns an address at which the system accepts connections that never get an answer.
///
/// # Panics
///
/// If the system refuses a socket.
#[must_use]
pub fn silent_server() -> std::net::SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket");
    let address = listener.local_addr().expect("an address");
    // The listener lives as long as the process, so that no connection is reset.
    std::mem::forget(listener);
    address
}
