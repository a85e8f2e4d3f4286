//! The names of what tasks wait for in real crates. Run in several profiles: see `crates` in
//! `.ci/run`.

mod embassy;
mod names;
mod resources;
mod services;
mod verdicts;
