//! Traces as text: data in, [`fmt::Write`](std::fmt::Write) out. Nothing is captured or looked up.
#![forbid(unsafe_code)]

mod text;

pub(crate) use text::{Style, text};
