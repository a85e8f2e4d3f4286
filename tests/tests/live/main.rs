//! Tests the live tree: what snapshots show of tasks without a poll, and what they add to a capture.

mod awaiting;
mod children;
mod dumping;
mod held;
mod labels;
mod load;
mod numbers;
mod snapshots;
mod states;
mod support;
mod topology;
mod woken;
