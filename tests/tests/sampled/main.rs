//! Tests samples: the thread of a task that is in the middle of a poll is interrupted, and its stack copied, which must
//! not harm the program.
#![cfg(any(
    all(
        target_os = "linux",
        any(target_arch = "x86_64", target_arch = "aarch64")
    ),
    all(windows, target_arch = "x86_64")
))]

mod blocked;
mod deep;
#[cfg(target_os = "linux")]
mod descriptors;
mod frames;
mod load;
mod nested;
#[cfg(target_os = "linux")]
mod racing;
mod requesters;
#[cfg(target_os = "linux")]
mod restarts;
mod runtimes;
#[cfg(target_os = "linux")]
mod signals;
mod stacks;
mod support;
#[cfg(windows)]
mod suspended;
mod workers;
