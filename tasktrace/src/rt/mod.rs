//! Spawns traced tasks on tokio, and traces the tasks of servers.
//!
//! * [`spawn`](mod@spawn): the spawn functions, and a builder for named tasks.
//! * [`join_handle`], [`join_set`]: wrap tokio's types, and record which task awaits them.
//! * [`tower`]: shows requests as tasks; [`hyper`]: traces the tasks of hyper's servers and clients.
#![forbid(unsafe_code)]

#[cfg(feature = "hyper")]
pub(crate) mod hyper;
#[cfg(feature = "tokio")]
mod join_handle;
#[cfg(feature = "tokio")]
mod join_set;
#[cfg(feature = "tokio")]
mod spawn;
#[cfg(feature = "tower")]
pub(crate) mod tower;

#[cfg(feature = "tokio")]
pub use join_handle::JoinHandle;
#[cfg(feature = "tokio")]
pub use join_set::{JoinSet, JoinSetTaskBuilder};
#[cfg(feature = "tokio")]
pub use spawn::{TaskBuilder, spawn, spawn_local, spawn_local_on, spawn_on};
