//! Which part of memory is the stack of a thread.

use std::ops::Range;

use super::buffer::Buffer;
use super::{Memory, PageCache, region_of};
use crate::address::Address;
use crate::bytes::u64_at;

/// The largest part of a stack that is searched, in bytes.
const SEARCHED: u64 = 8 << 20;

/// The number of bytes that are read at once.
const CHUNK: u64 = 1 << 16;

/// The alignment of the block of a thread in glibc.
const ALIGNMENT: u64 = 64;

/// The offset of the second pointer to itself in the block of a thread.
const SELF: usize = 16;

/// Returns the addresses of the stack on which a stack pointer is.
///
/// The kernel may show a stack and the heap of an allocator that is mapped after it as one region. But glibc puts the block
/// of a thread, which begins with pointers to itself, at the end of its stack.
pub(crate) fn stack_of(memory: &PageCache<'_>, pointer: Address) -> Option<Range<u64>> {
    let region = region_of(memory.regions(), pointer)?;
    let (start, end) = (region.start.get(), region.end.get());
    Some(start..thread_block(memory, pointer.get(), end).unwrap_or(end))
}

/// Returns the address of the first block of a thread in a part of memory.
fn thread_block(memory: &PageCache<'_>, start: u64, end: u64) -> Option<u64> {
    let end = end.min(start.saturating_add(SEARCHED));
    // Chunks begin and end at pages, so no block is in two of them.
    let mut at = start / CHUNK * CHUNK;
    let mut buffer = Buffer::new(usize::try_from(CHUNK).ok()?);
    while at < end {
        let from = at.max(start.checked_next_multiple_of(ALIGNMENT)?);
        let to = end.min(at.saturating_add(CHUNK));
        let bytes = buffer.get_mut(..usize::try_from(to.checked_sub(from)?).ok()?)?;
        memory.read_now(Address::new(from), bytes).ok()?;
        let blocks = (from..to).step_by(ALIGNMENT as usize);
        let mut blocks = blocks.zip(bytes.chunks(ALIGNMENT as usize));
        let is_block = |(address, bytes): &(u64, &[u8])| {
            u64_at(bytes, 0) == Some(*address) && u64_at(bytes, SELF) == Some(*address)
        };
        if let Some((address, _)) = blocks.find(is_block) {
            return Some(address);
        }
        at = at.saturating_add(CHUNK);
    }
    None
}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;
    use crate::memory::ProcessMemory;

    #[test]
    fn a_stack_ends_at_the_block_of_its_thread() {
        let (send, receive) = mpsc::channel();
        let (end, wait) = mpsc::channel::<()>();
        let thread = thread::spawn(move || {
            let local = 0_u8;
            send.send(std::ptr::from_ref(&local).addr() as u64).unwrap();
            let _ = wait.recv();
        });
        let local = receive.recv().unwrap();
        let memory = ProcessMemory::own().unwrap();
        let cache = PageCache::new(&memory);
        let stack = stack_of(&cache, Address::new(local)).unwrap();
        assert!(stack.contains(&local));
        let region = region_of(memory.regions(), Address::new(local)).unwrap();
        assert_eq!(stack.start, region.start.get());
        assert!(stack.end < region.end.get());
        drop(end);
        thread.join().unwrap();
    }
}
