//! Tests that lints still check the user's code.
#![deny(unused, unreachable_code, deprecated)]

use tasktrace::traced;

#[deprecated]
pub struct Old;

#[traced]
pub async fn unused_argument(used: String, unused: u32) {
    drop(used);
}

#[traced]
pub async fn unused_local() {
    let unused = 1;
}

#[traced]
pub async fn not_mutated(mut text: String) {
    drop(text);
}

#[traced]
pub async fn must_use() {
    Ok::<(), ()>(());
}

#[traced]
pub async fn unreachable() -> u32 {
    return 1;
    2
}

#[traced]
pub async fn deprecated_type() -> Old {
    loop {}
}

#[traced]
async fn dead() {}

fn main() {}
