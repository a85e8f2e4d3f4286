//! Reads the constants of a program, among which are its vtables.

use crate::address::Address;
use crate::bytes::u64_at;
use crate::debug::DebugFile;
use crate::memory::Buffer;
use crate::value::Reader;

/// Calls `visit` with each word of the constants and its address.
pub(crate) fn words(
    reader: &Reader<'_, '_>,
    image: &DebugFile,
    mut visit: impl FnMut(Address, u64),
) {
    for (start, length) in image.constants() {
        let start = Address::new(start.wrapping_add(reader.bias));
        let mut bytes = Buffer::new(usize::try_from(*length).unwrap_or_default());
        if reader.memory.read_now(start, &mut bytes).is_err() {
            continue;
        }
        for (number, word) in bytes.chunks_exact(8).enumerate() {
            let word = u64_at(word, 0).unwrap_or_default();
            visit(start.offset(number as u64 * 8), word);
        }
    }
}
