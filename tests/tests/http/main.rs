//! Dumps over HTTP, as clients get them.

mod binding;
mod forms;
mod go;
mod joined;
mod mounted;
mod profiles;
mod refusals;
mod support;
mod wedged;
