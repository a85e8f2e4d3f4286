//! Reads the headers and the function table of an image.

/// An image of a program or a library, as it is in memory.
#[derive(Clone, Debug)]
pub(super) struct Image {
    start: usize,
    /// The number of bytes that may be read.
    size: usize,
    /// The function table.
    table: Table,
}

#[derive(Clone, Copy, Debug, Default)]
struct Table {
    offset: usize,
    functions: usize,
}

/// A row of the function table. All numbers are offsets from the start of the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Function {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) unwind_info: usize,
}

/// The number of bytes of a row.
const ROW: usize = 12;

/// The bit of [`Function::unwind_info`] of a row that refers to another row: the other bits are the offset of that row.
const REFERENCE: usize = 1;

// Offsets in the headers.
const NEW_HEADER_AT: usize = 0x3c;
const SIZE_OF_IMAGE: usize = 0x50;
const TABLE: usize = 0xa0;
/// The number of bytes in which the headers are, up to the entry of the function table: a page.
const HEADERS: usize = 0x1000;

impl Image {
    /// Reads the headers of the image at this address.
    ///
    /// # Safety
    ///
    /// There must be an image at this address, of which all bytes can be read, and as many as its headers say. It must
    /// stay there as long as the result and its clones are used.
    pub(super) unsafe fn at(start: usize) -> Self {
        // The headers are in the first page of an image.
        let mut image = Self {
            start,
            size: HEADERS,
            table: Table::default(),
        };
        if let Some([size, offset, length]) = image.sizes() {
            image.size = size;
            image.table = Table {
                offset,
                functions: length / ROW,
            };
        }
        image
    }

    /// Returns the size of the image, and the offset and the size of its function table.
    fn sizes(&self) -> Option<[usize; 3]> {
        let header = self.word(NEW_HEADER_AT)?;
        Some([
            self.word(header.checked_add(SIZE_OF_IMAGE)?)?,
            self.word(header.checked_add(TABLE)?)?,
            self.word(header.checked_add(TABLE + 4)?)?,
        ])
    }

    pub(super) fn contains(&self, address: usize) -> bool {
        self.offset_of(address).is_some()
    }

    /// Returns the offset of an address in the image.
    pub(super) fn offset_of(&self, address: usize) -> Option<usize> {
        address
            .checked_sub(self.start)
            .filter(|offset| *offset < self.size)
    }

    /// Returns the bytes at an offset.
    pub(super) fn bytes<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        if offset.checked_add(N)? > self.size {
            return None;
        }
        let start = std::ptr::with_exposed_provenance::<u8>(self.start + offset);
        // SAFETY: the check above has proved that the bytes are in the image. By the `# Safety` section of `at`, the
        // image is still there, and its bytes can be read. Code and tables are not written while they are in use, and a
        // volatile read assumes nothing about the bytes around them.
        Some(std::array::from_fn(|at| unsafe {
            start.add(at).read_volatile()
        }))
    }

    /// Returns the number in the four bytes at an offset.
    pub(super) fn word(&self, offset: usize) -> Option<usize> {
        self.bytes(offset)
            .map(|bytes| u32::from_le_bytes(bytes) as usize)
    }

    /// Reads the row at this offset, which need not be in the function table.
    pub(super) fn function_row(&self, offset: usize) -> Option<Function> {
        Some(Function {
            start: self.word(offset)?,
            end: self.word(offset.checked_add(4)?)?,
            unwind_info: self.word(offset.checked_add(8)?)?,
        })
    }

    /// Returns the function with the code at this offset, or `None` if the table has no such function. If the row of the
    /// code refers to another row, returns that row, which may be the row of other code.
    pub(super) fn function_at(&self, code: usize) -> Option<Function> {
        let row = |index: usize| self.function_row(self.table.offset + index * ROW);
        let (mut low, mut high) = (0, self.table.functions);
        while low < high {
            let middle = low + (high - low) / 2;
            let function = row(middle)?;
            if code < function.start {
                high = middle;
            } else if code >= function.end {
                low = middle + 1;
            } else if function.unwind_info & REFERENCE == 0 {
                return Some(function);
            } else {
                return self.function_row(function.unwind_info & !REFERENCE);
            }
        }
        None
    }
}
