//! Tests dumps over HTTP, with real clients.

mod binding;
mod forms;
mod go;
mod half_closed;
mod joined;
mod left;
mod mounted;
mod ports;
mod profiles;
mod refusals;
mod services;
mod sites;
mod small_stacks;
mod support;
mod wedged;
