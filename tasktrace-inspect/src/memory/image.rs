//! Memory with the executable below it, for core files: they leave out what is in the executable anyway.

use super::{Memory, Region, Unreadable};
use crate::address::Address;
use crate::debug::DebugFile;

/// Reads from memory, and where that is missing, from the executable.
pub(crate) struct WithImage<'m> {
    memory: &'m dyn Memory,
    image: &'m DebugFile,
    bias: u64,
}

impl<'m> WithImage<'m> {
    pub(crate) fn new(memory: &'m dyn Memory, image: &'m DebugFile, bias: u64) -> Self {
        Self {
            memory,
            image,
            bias,
        }
    }
}

impl Memory for WithImage<'_> {
    fn read(&self, address: Address, buffer: &mut [u8]) -> Result<(), Unreadable> {
        self.memory.read(address, buffer).or_else(|error| {
            let linked = address.get().wrapping_sub(self.bias);
            let bytes = self.image.loaded(linked, buffer.len()).ok_or(error)?;
            buffer.copy_from_slice(bytes);
            Ok(())
        })
    }

    fn regions(&self) -> &[Region] {
        self.memory.regions()
    }
}
