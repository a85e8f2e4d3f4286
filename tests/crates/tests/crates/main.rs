//! Tests the names of resources of real crates, in several profiles: see `crates` in `.ci/run`.

mod embassy;
mod names;
mod resources;
mod services;
mod verdicts;
