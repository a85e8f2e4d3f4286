//! What tracing must not do to a program: poll too often, lose a wake, swallow a panic, keep
//! anybody waiting, or touch what is gone.

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
