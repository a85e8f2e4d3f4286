//! Tests the program `tasktrace` against real processes.
#![cfg(unix)]

mod attach;
mod commands;
mod errors;
mod memory;
mod support;
mod terminal;
