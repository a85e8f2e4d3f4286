//! Tests tasks under random operations: a generator with a fixed seed chooses what is polled, moved, dropped and
//! traced, while other threads read all tasks without pause.
//!
//! Each scenario ends when every task has finished. It asserts that no task header and no frame is left, and that every
//! tree that was read is correct. The scenarios have a process of their own, because they count headers and frames.

mod combined;
mod hopping;
mod reading;
mod support;
mod threads;
