//! Dumps for browsers and other clients of HTTP.
#![forbid(unsafe_code)]

mod page;
