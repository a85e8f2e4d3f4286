//! What tracing must not do to a program: poll too often, lose a wake, swallow a panic, keep
//! anybody waiting, or touch what is gone.

// What is tested is what becomes of each clone.
#![allow(clippy::waker_clone_wake)]

mod asking;
mod attributes;
mod nested;
mod panics;
mod polls;
mod races;
mod stacks;
mod support;
mod threads;
mod wakers;
