//! Dumps over HTTP.
#![forbid(unsafe_code)]

mod auth;
mod base64;
mod body;
mod builder;
mod document;
mod gate;
mod host;
mod job;
mod negotiate;
mod page;
mod pprof;
mod query;
mod response;
mod route;
mod server;
mod service;
mod settings;
mod shelf;

use std::net::ToSocketAddrs;

pub use body::{Body, Expired};
pub use builder::Builder;
pub use server::{BindError, Server};
// For listeners other than TCP's: `Running::start` serves them on a thread of its own.
#[allow(unused_imports, reason = "for sockets in the file system")]
pub(crate) use server::{Listen, Running};
pub use service::{ResponseFuture, TasksService};
#[allow(unused_imports, reason = "for sockets in the file system")]
pub(crate) use settings::Access;

/// A service that answers requests about the tasks of this process, to be mounted in a server that
/// is there already.
pub fn service() -> TasksService {
    builder().service()
}

/// Serves requests about the tasks of this process, on a thread and a runtime of its own.
///
/// # Errors
///
/// If it cannot listen there, or must not: see [`BindError`].
pub fn serve(address: impl ToSocketAddrs) -> Result<Server, BindError> {
    builder().bind(address)
}

/// How requests about tasks are answered, where that is not to be as by default.
pub fn builder() -> Builder {
    Builder::default()
}
