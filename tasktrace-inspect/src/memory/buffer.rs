//! Buffers for memory that was read.

use std::hint::black_box;
use std::ops::{Deref, DerefMut};

/// Bytes that are overwritten before they are freed: a process that reads its own memory would otherwise find copies of
/// its tasks and of pointers to its locks.
#[derive(Debug, Default)]
pub(crate) struct Buffer(Box<[u8]>);

impl Buffer {
    /// Returns a buffer of zeros.
    pub(crate) fn new(length: usize) -> Self {
        Self(vec![0; length].into_boxed_slice())
    }

    /// Overwrites the first bytes with zeros.
    pub(crate) fn wipe(&mut self, length: usize) {
        let length = length.min(self.0.len());
        self.0[..length].fill(0);
        // Otherwise the compiler may leave out writes that nothing reads.
        black_box(&self.0);
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.wipe(usize::MAX);
    }
}
