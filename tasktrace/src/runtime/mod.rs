//! Identifies the executor and the task that it is polling, and counts its tasks.
//!
//! With the feature `tokio`, the executor is tokio. Without it, no executor is known. Both modules have the same types.
#![forbid(unsafe_code)]

#[cfg(feature = "tokio")]
mod tokio;
#[cfg(not(feature = "tokio"))]
mod unknown;

#[cfg(feature = "tokio")]
pub(crate) use self::tokio::{RuntimeHandle, RuntimeId, RuntimeTaskId};
#[cfg(not(feature = "tokio"))]
pub(crate) use self::unknown::{RuntimeHandle, RuntimeId, RuntimeTaskId};
