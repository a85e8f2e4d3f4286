//! Shows over HTTP where async tasks are waiting: a page for browsers, text and JSON for `curl`, and the paths of Go's
//! `net/http/pprof` for profile collectors.
//!
//! Programs use it as `tasktrace::http`, which serves the tasks of the process. By itself this crate knows nothing of
//! tasks. It asks a [`Backend`] for data, and the [`Document`] that the backend returns writes itself in the format
//! that a client accepts. Everything else is here: the server with its limits, the checks of token, host and origin,
//! the paths and parameters, the page, and the sharing of responses. The documentation of `tasktrace::http` lists the
//! paths and the guarantees.
//!
//! A library that traces tasks in another way, or an exporter of other data about tasks, implements two methods:
//!
//! ```
//! use std::io::{self, Write};
//!
//! use tasktrace_http::{Backend, Builder, DataRequest, Document, Format, GatherError, Subject};
//!
//! /// Knows the names of two tasks.
//! struct Names;
//!
//! impl Backend for Names {
//!     fn gather(&self, request: DataRequest) -> Result<Box<dyn Document>, GatherError> {
//!         match request.subject {
//!             Subject::Tasks(_) => Ok(Box::new(NameList(vec!["accept", "flush"]))),
//!             Subject::Task { number, .. } => {
//!                 Err(GatherError::NotFound(format!("there is no task {number}")))
//!             }
//!             _ => Ok(Box::new(NameList(Vec::new()))),
//!         }
//!     }
//! }
//!
//! struct NameList(Vec<&'static str>);
//!
//! impl Document for NameList {
//!     fn write(&self, format: Format, out: &mut dyn Write) -> io::Result<()> {
//!         match format {
//!             Format::Text => writeln!(out, "{}", self.0.join("\n")),
//!             Format::Json => writeln!(out, "{:?}", self.0),
//!             _ => Err(io::ErrorKind::Unsupported.into()),
//!         }
//!     }
//! }
//!
//! # fn main() -> Result<(), tasktrace_http::BindError> {
//! let server = Builder::new(Names).bind("127.0.0.1:0")?;
//! println!("tasks: http://{}/", server.local_addr());
//! # Ok(())
//! # }
//! ```
//!
//! # Modules
//!
//! A request passes these modules:
//!
//! * `server`: the sockets, connections and limits of [`Builder::bind`]. Other servers call the [`TasksService`]
//!   directly.
//! * `service`: checks access (`host`, `site`, `auth`) and parses the request (`route`, `query`, `negotiate`,
//!   `pprof`).
//! * `single_flight`: limits the jobs that run at a time, and joins equal requests.
//! * `handler`: does a `job`, on a separate thread: it asks the `backend`.
//! * `store`: keeps the result until the client has read its `body`.
//! * `response`: builds responses and their headers; `page_response` builds that of the `page`.
#![forbid(unsafe_code)]

mod auth;
mod backend;
mod body;
mod builder;
mod handler;
mod host;
mod job;
mod negotiate;
mod page;
mod page_response;
mod pprof;
mod query;
mod response;
mod route;
mod server;
mod service;
mod settings;
mod single_flight;
mod site;
mod store;

pub use backend::{Backend, Caller, Cancellation, DataRequest, Document, GatherError};
pub use body::{Body, Expired};
pub use builder::Builder;
pub use job::{CaptureMode, Format, GoProfile, SampleWeight, Subject};
pub use server::{BindError, Server, ServerThread};
pub use service::{ResponseFuture, TasksService};

/// The port that the examples and the documentation use. Browsers allow it.
///
/// ```no_run
/// use tasktrace::http::{self, DEFAULT_PORT};
///
/// http::serve(("127.0.0.1", DEFAULT_PORT))?.detach();
/// # Ok::<_, http::BindError>(())
/// ```
pub const DEFAULT_PORT: u16 = 6670;
