//! Tasks that are in the middle of a poll: their threads are interrupted to see what they do, and that
//! does the program no harm.
#![cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]

mod askers;
mod blocked;
mod deep;
mod frames;
mod load;
mod nested;
mod racing;
mod restarts;
mod runtimes;
mod signals;
mod stacks;
mod support;
mod workers;
