//! Searches memory for headers of tasks.

use super::header::Layout;
use super::vtables::Vtables;
use crate::address::Address;
use crate::bytes::u64_at;
use crate::limits::{Deadline, Limits};
use crate::memory::{Memory, PageCache};

/// The number of bytes that are read at once.
const CHUNK: u64 = 1 << 20;
const PAGE: u64 = 4096;

/// The result of a search.
pub(super) struct Found {
    /// Addresses of what may be headers.
    pub(super) headers: Vec<Address>,
    /// A bound was reached.
    pub(super) is_cut: bool,
}

/// Returns the addresses at which headers may be: those before words that point to a vtable.
pub(super) fn headers(
    memory: &PageCache<'_>,
    vtables: &Vtables,
    layout: &Layout,
    limits: &Limits,
    deadline: Deadline,
) -> Found {
    let mut found = Found {
        headers: Vec::new(),
        is_cut: false,
    };
    let mut left = limits.search;
    let mut buffer = vec![0; CHUNK as usize];
    for region in memory.regions() {
        let mut at = region.start;
        while at < region.end {
            let length = CHUNK.min(region.end.get() - at.get());
            if left < length || deadline.is_over() {
                found.is_cut = true;
                wipe(buffer);
                return found;
            }
            left -= length;
            let bytes = &mut buffer[..length as usize];
            let mut take = |start: Address, bytes: &[u8]| {
                for (number, word) in bytes.chunks_exact(8).enumerate() {
                    let word = Address::new(u64_at(word, 0).unwrap_or_default());
                    if vtables.cell(word).is_some() {
                        let at = start.offset(number as u64 * 8).get();
                        let header = Address::new(at.wrapping_sub(layout.vtable));
                        found.headers.push(header);
                    }
                }
            };
            if memory.read_now(at, bytes).is_ok() {
                take(at, bytes);
            } else {
                // Some of the pages are missing.
                for (number, bytes) in bytes.chunks_mut(PAGE as usize).enumerate() {
                    let at = at.offset(number as u64 * PAGE);
                    if memory.read_now(at, bytes).is_ok() {
                        take(at, bytes);
                    }
                }
            }
            at = at.offset(length);
        }
    }
    wipe(buffer);
    found
}

/// Overwrites a buffer before it is freed: if the memory is that of this process, a later search would find the tasks
/// in it.
fn wipe(mut buffer: Vec<u8>) {
    buffer.fill(0);
    // Otherwise the compiler may leave out writes that nothing reads.
    std::hint::black_box(&buffer);
}
