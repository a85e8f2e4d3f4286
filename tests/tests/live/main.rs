//! The live tree: what can be seen of tasks without polling them, and what is joined to a capture.

mod awaiting;
mod children;
mod held;
mod labels;
mod load;
mod numbers;
mod snapshots;
mod states;
mod support;
mod topology;
