//! Helpers that the tests of real crates share.

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

/// Longer than any test takes.
pub const HOUR: Duration = Duration::from_secs(3600);

/// How long a future may take to come to where it is expected to wait.
const PATIENCE: Duration = Duration::from_secs(3);

/// Runs a future until `is_there` accepts a trace of it, and returns that trace. After a minute it
/// returns the last trace, whatever that shows.
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
            // The first is of the first poll: there are futures that register a waker in that only.
            let trace = handle.backtrace().await.expect("the future waits");
            if is_there(&trace) || Instant::now() > deadline {
                break trace;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        };
        task.abort();
        // Some have to be dropped in a runtime.
        let _ = task.await;
        trace
    });
    runtime.shutdown_background();
    trace
}

/// The names of what is waited for, in the order of the trace.
#[must_use]
pub fn leaves(trace: &Trace) -> Vec<String> {
    let leaves = trace.leaves();
    leaves.iter().map(|leaf| leaf.name().to_owned()).collect()
}

/// Asserts that a future comes to wait for just these.
#[track_caller]
pub fn waits_for<F: Future + 'static>(body: impl FnOnce() -> F, resources: &[&str]) -> Trace {
    let trace = trace_until(body, |trace| leaves(trace) == resources);
    assert_eq!(leaves(&trace), resources, "\n{trace}\n{trace:#}");
    trace
}

/// An address at which connections are accepted by the system, and never answered.
///
/// # Panics
///
/// If the system refuses a socket.
#[must_use]
pub fn silent_server() -> std::net::SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket");
    let address = listener.local_addr().expect("an address");
    // For as long as the process lives: a connection is not reset.
    std::mem::forget(listener);
    address
}
