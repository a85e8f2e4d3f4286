//! Work that takes a processor.

use std::time::{Duration, Instant};

use tasktrace::traced;

/// Makes a picture smaller.
///
/// This is what is wrong: it belongs in `spawn_blocking`, and so blocks a worker of the runtime.
#[traced("picture {picture}")]
pub(crate) async fn thumbnail(picture: u32) -> u32 {
    let begun = Instant::now();
    let mut checksum = picture;
    while begun.elapsed() < Duration::from_millis(300) {
        checksum = checksum.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    }
    checksum
}
