//! Tests dumps on signals, in child processes.
#![cfg(unix)]

mod dumps;
mod handlers;
#[cfg(target_os = "linux")]
mod privileged;
mod start;
mod support;
