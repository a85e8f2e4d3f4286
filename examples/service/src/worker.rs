//! Does work that keeps a processor busy.

use std::time::{Duration, Instant};

use tasktrace::traced;

/// Computes a thumbnail of a picture.
///
/// The problem: this work belongs in `spawn_blocking`, and blocks a worker of the runtime here.
#[traced("picture {picture}")]
pub(crate) async fn thumbnail(picture: u32) -> u32 {
    let begun = Instant::now();
    let mut checksum = picture;
    while begun.elapsed() < Duration::from_millis(300) {
        checksum = checksum.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    }
    checksum
}
