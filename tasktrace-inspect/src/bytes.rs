//! Numbers in byte slices that may be too short.

/// Returns the `LENGTH` bytes at `at`, if the slice has them.
pub(crate) fn array<const LENGTH: usize>(bytes: &[u8], at: usize) -> Option<[u8; LENGTH]> {
    let end = at.checked_add(LENGTH)?;
    bytes.get(at..end)?.try_into().ok()
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    array(bytes, at).map(u16::from_le_bytes)
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_le_bytes)
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    array(bytes, at).map(u64::from_le_bytes)
}

/// Returns the little-endian number that the bytes are. At most the first 16 bytes count.
pub(crate) fn unsigned(bytes: &[u8]) -> u128 {
    let mut number = 0;
    for (at, byte) in bytes.iter().take(16).enumerate() {
        number |= u128::from(*byte) << (8 * at);
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_outside_the_slice_are_none() {
        let bytes = [1, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!(u16_at(&bytes, 6), Some(0x0807));
        assert_eq!(u16_at(&bytes, 7), None);
        assert_eq!(u64_at(&bytes, 0), Some(0x0807_0605_0403_0201));
        assert_eq!(u64_at(&bytes, usize::MAX), None);
        assert_eq!(unsigned(&bytes[..2]), 0x0201);
        assert_eq!(unsigned(&[0xff; 20]), u128::MAX);
    }
}
