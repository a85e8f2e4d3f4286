//! What can be told of the executor: which of its tasks is being polled, and how many it has.
//!
//! With the feature `tokio`, that is tokio. Otherwise nothing is known. Both have the same functions.
#![forbid(unsafe_code)]

#[cfg(feature = "tokio")]
mod tokio;
#[cfg(not(feature = "tokio"))]
mod unknown;

#[cfg(feature = "tokio")]
pub(crate) use self::tokio::{Host, Job, Runtime};
#[cfg(not(feature = "tokio"))]
pub(crate) use self::unknown::{Host, Job, Runtime};
