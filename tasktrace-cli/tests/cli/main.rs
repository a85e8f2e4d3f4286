//! The program `tasktrace`, and what it asks: real processes.
#![cfg(unix)]

mod attach;
mod commands;
mod errors;
mod support;
mod terminal;
