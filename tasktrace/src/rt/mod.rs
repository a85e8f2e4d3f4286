//! Spawning traced tasks on tokio.
//!
//! * [`spawn`](mod@spawn): the functions, and a builder for tasks that have names.
//! * [`join_handle`], [`join_set`]: tokio's, and whoever awaits them is known to await the tasks.
#![forbid(unsafe_code)]

mod join_handle;
mod join_set;
mod spawn;

pub use join_handle::JoinHandle;
pub use join_set::{JoinSet, JoinSetTaskBuilder};
pub use spawn::{TaskBuilder, spawn, spawn_local, spawn_local_on, spawn_on};
