//! Tests that tracing does not harm a program: it polls no task too often, loses no wake, swallows no panic, blocks no
//! thread, and touches no freed memory.

// The tests check what happens to each clone of a waker.
#![allow(clippy::waker_clone_wake)]

mod attributes;
mod ended;
mod forks;
mod limits;
mod nested;
mod panics;
mod polls;
mod races;
mod requests;
#[cfg(target_os = "linux")]
mod signals;
#[cfg(target_os = "linux")]
mod small_stacks;
mod stacks;
mod support;
mod threads;
mod wakers;
