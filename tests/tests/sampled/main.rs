//! Tests samples: the thread of a task that is in the middle of a poll is interrupted, and its stack copied, which must
//! not harm the program.
#![cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]

mod blocked;
mod deep;
mod frames;
mod load;
mod nested;
mod racing;
mod requesters;
mod restarts;
mod runtimes;
mod signals;
mod stacks;
mod support;
mod workers;
