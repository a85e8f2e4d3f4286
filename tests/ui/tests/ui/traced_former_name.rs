//! Tests that the former name of an argument gets a warning at its place.

#![deny(deprecated)]

use tasktrace::traced;

#[traced(stalled_after = "5s")]
async fn alone() {}

#[traced("{_id}", stalled_after = "5s")]
async fn after_a_label(_id: u32) {}

#[traced(wait_limit = "5s")]
async fn present_name() {}

fn main() {}
