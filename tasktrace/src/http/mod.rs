#![doc = include_str!("../../docs/http.md")]
//
// The package `tasktrace-http` contains the server, the service and the page. `backend` gives it the tasks of this
// process.
#![forbid(unsafe_code)]

mod backend;

use std::net::ToSocketAddrs;

pub use backend::TasksBackend;
pub use tasktrace_http::{
    BindError, Body, DEFAULT_PORT, Expired, ResponseFuture, Server, TasksService,
};

/// Configures a service or a server: see [`builder`].
pub type Builder = tasktrace_http::Builder<TasksBackend>;

/// Returns a service that answers requests about the tasks of this process, to mount in your own server.
///
/// Mount it in axum with `nest_service`, and in hyper with hyper-util's `TowerToHyperService`. It works on any
/// executor, blocks no thread, and never returns an error. It expects paths relative to its mount point. By default it
/// answers only requests to names of this machine: see [`Builder::allow_host`]. Your server, or a [`Builder::token`],
/// decides who may ask.
///
/// ```
/// use tower_service::Service;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let mut service = tasktrace::http::service();
///
/// let request = http::Request::get("http://localhost/dump.json").body(()).unwrap();
/// let response = service.call(request).await.unwrap();
/// assert_eq!(response.headers()["content-type"], "application/json");
///
/// let request = http::Request::get("http://elsewhere.example/").body(()).unwrap();
/// let response = service.call(request).await.unwrap();
/// assert_eq!(response.status(), 403);
/// # }
/// ```
#[must_use]
pub fn service() -> TasksService {
    builder().service()
}

/// Starts a server that answers requests about the tasks of this process, and returns a handle that stops it when
/// dropped.
///
/// The server has a thread and a runtime of its own. So it answers even if all threads of the program's runtime are
/// blocked, and shows what blocks them. The address must be one of this machine only; for others see
/// [`Builder::allow_remote`].
///
/// With the feature `tokio`, the server counts the untraced tasks of the runtime in which this function is called.
///
/// # Errors
///
/// Returns an error if the server cannot listen there, or must not: see [`BindError`].
///
/// ```
/// use std::io::{Read, Write};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = tasktrace::http::serve("127.0.0.1:0")?;
///
/// let mut client = std::net::TcpStream::connect(server.local_addr())?;
/// client.write_all(b"GET /dump.txt HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
/// let mut answer = String::new();
/// client.read_to_string(&mut answer)?;
/// assert!(answer.starts_with("HTTP/1.0 200 OK"));
/// # Ok(())
/// # }
/// ```
pub fn serve(address: impl ToSocketAddrs) -> Result<Server, BindError> {
    builder().bind(address)
}

/// Returns a builder that configures a [`service`] or a server.
///
/// ```
/// use std::time::Duration;
///
/// let service = tasktrace::http::builder()
///     .allow_host("ops.example.com")
///     .max_profile(Duration::from_secs(30))
///     .service();
/// # drop(service);
/// ```
pub fn builder() -> Builder {
    Builder::default()
}
