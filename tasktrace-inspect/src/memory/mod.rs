//! Memory that can be read: of a process, or in a core file.

mod buffer;
mod cache;
mod core;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod freeze;
mod image;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod maps;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod process;
mod scan;
mod stack;
mod thread;

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use crate::address::Address;

pub(crate) use self::buffer::Buffer;
pub(crate) use self::cache::PageCache;
pub(crate) use self::core::CoreFile;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub(crate) use self::freeze::Freeze;
pub(crate) use self::image::WithImage;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub use self::process::ProcessMemory;
pub(crate) use self::scan::words;
pub(crate) use self::stack::stack_of;
pub(crate) use self::thread::Thread;

/// Memory of a program, by address.
pub trait Memory {
    /// Fills the buffer with the bytes at `address`.
    ///
    /// # Errors
    ///
    /// If any of the bytes cannot be read. The buffer may have been written to.
    fn read(&self, address: Address, buffer: &mut [u8]) -> Result<(), Unreadable>;

    /// Fills each buffer with the bytes at its address.
    ///
    /// # Errors
    ///
    /// If any of the bytes cannot be read. The buffers may have been written to.
    fn read_all(&self, parts: &mut [(Address, &mut [u8])]) -> Result<(), Unreadable> {
        let mut parts = parts.iter_mut();
        parts.try_for_each(|(address, buffer)| self.read(*address, buffer))
    }

    /// Returns the ranges of memory that the program can write to, by address.
    fn regions(&self) -> &[Region];

    /// Returns `true` if the program has written to no page of a range that is not mapped from a file, as far as it is
    /// known. Such a range is full of zeros, and need not be searched.
    fn is_untouched(&self, _address: Address, _length: u64) -> bool {
        false
    }
}

/// Memory that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// The address of the first byte that was asked for.
    pub address: Address,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the memory at {} cannot be read", self.address)
    }
}

impl std::error::Error for Unreadable {}

/// A range of memory that the program can write to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// The first address.
    pub start: Address,
    /// The address after the last.
    pub end: Address,
    /// The mapped file, if there is one.
    pub is_file: bool,
}

impl Region {
    /// Returns the length in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.end.get().saturating_sub(self.start.get())
    }

    /// Returns `true` if the address is in the range.
    #[must_use]
    pub fn contains(&self, address: Address) -> bool {
        self.start <= address && address < self.end
    }
}

/// A part of a file that a program may execute.
#[derive(Clone, Debug)]
pub(crate) struct Code {
    /// Its addresses.
    pub(crate) range: Range<u64>,
    /// Its place in the file, in bytes.
    pub(crate) place: u64,
    pub(crate) path: PathBuf,
}

/// Returns the range that an address is in. The ranges are ordered by address.
pub(crate) fn region_of(regions: &[Region], address: Address) -> Option<&Region> {
    let after = regions.partition_point(|region| region.start <= address);
    let region = regions.get(after.checked_sub(1)?)?;
    region.contains(address).then_some(region)
}

impl<M: Memory + ?Sized> Memory for &M {
    fn read(&self, address: Address, buffer: &mut [u8]) -> Result<(), Unreadable> {
        (**self).read(address, buffer)
    }

    fn read_all(&self, parts: &mut [(Address, &mut [u8])]) -> Result<(), Unreadable> {
        (**self).read_all(parts)
    }

    fn regions(&self) -> &[Region] {
        (**self).regions()
    }

    fn is_untouched(&self, address: Address, length: u64) -> bool {
        (**self).is_untouched(address, length)
    }
}

impl<M: Memory + ?Sized> Memory for Box<M> {
    fn read(&self, address: Address, buffer: &mut [u8]) -> Result<(), Unreadable> {
        (**self).read(address, buffer)
    }

    fn read_all(&self, parts: &mut [(Address, &mut [u8])]) -> Result<(), Unreadable> {
        (**self).read_all(parts)
    }

    fn regions(&self) -> &[Region] {
        (**self).regions()
    }

    fn is_untouched(&self, address: Address, length: u64) -> bool {
        (**self).is_untouched(address, length)
    }
}
