//! The attributes of [tasktrace](https://docs.rs/tasktrace). Use them through that crate.
