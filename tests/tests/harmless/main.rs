//! What tracing must not do to a program: poll too often, lose a wake, swallow a panic, keep
//! anybody waiting, or touch what is gone.

// What is tested is what becomes of each clone.
#![allow(clippy::waker_clone_wake)]

mod asking;
mod attributes;
mod ended;
mod forks;
mod limits;
mod nested;
mod panics;
mod polls;
mod races;
#[cfg(target_os = "linux")]
mod signals;
#[cfg(target_os = "linux")]
mod small_stacks;
mod stacks;
mod support;
mod threads;
mod wakers;
