//! Reserves the memory of the chunks of the [pool](super::pool).
//!
//! The first chunks are allocated one by one. A process with many tasks takes the others from *regions* of the size of
//! a huge page, and asks the system to back regions with huge pages. Tasks are polled in any order, so each poll reads
//! a header on another page. The processor caches the addresses of some thousand pages. With more pages, each poll
//! would also wait until the processor has found its page.
//!
//! *Measured* with 300,000 tasks that are polled in random order: see "A poll out of the cache" in
//! `tests/peers/PROFILE.md`.
//!
//! # Protocol
//!
//! `NEXT` points to the first free chunk of the current region. A thread takes a chunk with a compare-and-exchange that
//! adds the size of a chunk. Regions are aligned to their size, so an address that is a multiple of it is the end of a
//! region: there is no free chunk. Then a thread allocates a region without a lock, and publishes it with a
//! compare-and-exchange from that end. If another thread was faster, it frees its own region, which no other thread
//! has. Published regions are never freed, so `NEXT` never has a value twice.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use crate::os::huge_pages;

/// The size and the alignment of a region: those of a huge page on x86_64, and on aarch64 with pages of 4 KiB.
const REGION_SIZE: usize = 2 << 20;

/// The memory of a region.
#[repr(align(2097152))]
struct Region(
    #[expect(dead_code, reason = "only its size and its alignment are used")] [u8; REGION_SIZE],
);

const _: () = assert!(size_of::<Region>() == REGION_SIZE && align_of::<Region>() == REGION_SIZE);

/// The size and the alignment of a chunk, in bytes.
pub(super) const CHUNK_SIZE: usize = 32 << 10;

/// The memory of a chunk.
#[repr(align(32768))]
pub(super) struct ChunkMemory(
    #[expect(dead_code, reason = "only its size and its alignment are used")] [u8; CHUNK_SIZE],
);

const _: () =
    assert!(size_of::<ChunkMemory>() == CHUNK_SIZE && align_of::<ChunkMemory>() == CHUNK_SIZE);

/// The size in bytes of all chunks that are allocated one by one. The processor caches the addresses of that many small
/// pages, and a region of which little is used is small beside them.
const SINGLE_SIZE: usize = 8 << 20;

/// The number of bytes that were reserved, or a little more than [`SINGLE_SIZE`].
static RESERVED: AtomicUsize = AtomicUsize::new(0);

/// The first free chunk of the current region, or the end of that region. Null before the first region.
static NEXT: AtomicPtr<ChunkMemory> = AtomicPtr::new(ptr::null_mut());

/// Returns the memory of a chunk. It is not initialised and never freed, and no other thread has it.
pub(super) fn reserve() -> *mut ChunkMemory {
    if RESERVED.load(Ordering::Relaxed) < SINGLE_SIZE {
        RESERVED.fetch_add(CHUNK_SIZE, Ordering::Relaxed);
        return allocate();
    }
    reserve_in_region(&NEXT)
}

/// Returns a chunk of the region of `next`, or of a new region.
fn reserve_in_region(next: &AtomicPtr<ChunkMemory>) -> *mut ChunkMemory {
    let mut first = next.load(Ordering::Acquire);
    loop {
        let is_end = first.addr().is_multiple_of(REGION_SIZE);
        let region = is_end.then(allocate_region);
        let taken = region.map_or(first, <*mut Region>::cast);
        // Release: a thread that takes a chunk of a region has the allocation of the region before it.
        let published = next.compare_exchange(
            first,
            taken.wrapping_add(1),
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        match published {
            Ok(_) => return taken,
            Err(now) => first = now,
        }
        if let Some(region) = region {
            // SAFETY: `allocate_region` allocated this memory with this layout. It was not published, so no other
            // thread has a pointer to it, and this function does not use it again.
            unsafe { dealloc(region.cast(), Layout::new::<Region>()) };
        }
    }
}

#[cold]
fn allocate_region() -> *mut Region {
    let region = allocate::<Region>();
    huge_pages::prefer(region.cast(), REGION_SIZE);
    region
}

/// Allocates memory for a `T`, and ends the process if there is none, as `Box` does.
fn allocate<T>() -> *mut T {
    const { assert!(size_of::<T>() > 0) };
    let layout = Layout::new::<T>();
    // SAFETY: the size of the layout is not 0, as asserted above.
    let memory = unsafe { alloc(layout) };
    if memory.is_null() {
        handle_alloc_error(layout);
    }
    memory.cast()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::thread;

    use super::*;

    #[test]
    fn threads_never_get_the_same_chunk_twice() {
        const THREADS: usize = 4;
        // More than fit into two regions.
        const EACH: usize = 40;
        static NEXT: AtomicPtr<ChunkMemory> = AtomicPtr::new(ptr::null_mut());
        let reserve = || -> Vec<usize> {
            let chunk = || reserve_in_region(&NEXT).expose_provenance();
            (0..EACH).map(|_| chunk()).collect()
        };
        let threads: Vec<_> = (0..THREADS).map(|_| thread::spawn(reserve)).collect();
        let chunks = threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap());
        let chunks: BTreeSet<usize> = chunks.collect();
        assert_eq!(chunks.len(), THREADS * EACH);
        assert!(
            chunks
                .iter()
                .all(|address| address.is_multiple_of(CHUNK_SIZE))
        );
        let regions: BTreeSet<usize> = chunks.iter().map(|address| address / REGION_SIZE).collect();
        assert_eq!(
            regions.len(),
            (THREADS * EACH * CHUNK_SIZE).div_ceil(REGION_SIZE)
        );
    }
}
