//! Dumps on signals, of programs of their own.
#![cfg(unix)]

mod dumps;
mod handlers;
#[cfg(target_os = "linux")]
mod privileged;
mod start;
mod support;
