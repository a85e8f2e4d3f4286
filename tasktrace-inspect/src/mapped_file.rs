//! Maps files into memory.

use std::fs::File;
use std::path::Path;

use memmap2::Mmap;

use crate::error::Error;

/// Opens and maps a file for reading.
pub(crate) fn map(path: &Path) -> Result<Mmap, Error> {
    let error = |source| Error::Open {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(error)?;
    // SAFETY: The map is read-only, and this process does not write to the file. `Mmap::map` also demands that no other
    // process changes it. This cannot be enforced: the docs of the crate ask the user for it, and the kernel refuses
    // writes to an executable that runs.
    unsafe { Mmap::map(&file) }.map_err(error)
}
