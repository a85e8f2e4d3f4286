//! What may be anywhere in memory.

/// A value without an alignment.
///
/// What every annotated call has in its future is made of these. A future is often a few bytes long, as an
/// async block that awaits another is, and each word that must be aligned would have up to seven bytes of
/// nothing around it: *measured*, 15 for each call.
#[derive(Clone, Copy, Debug)]
#[repr(C, packed)]
pub(super) struct Unaligned<T>(pub(super) T);

const _: () = assert!(align_of::<Unaligned<u64>>() == 1);
