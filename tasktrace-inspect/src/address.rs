//! Addresses in the memory that is read.

use std::cmp::Ordering;
use std::fmt;

/// An address in the memory of the inspected process.
///
/// Its bits are kept inverted. So a process that searches its own memory for pointers to a lock does not find the
/// addresses of the lock that the search itself has noted.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Address {
    inverted: u64,
}

impl Address {
    /// Returns the address with this number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self { inverted: !number }
    }

    /// Returns the number of the address.
    #[must_use]
    pub const fn get(self) -> u64 {
        !self.inverted
    }

    /// Returns the address `bytes` bytes further. It wraps around, as garbage may have any address.
    #[must_use]
    pub const fn offset(self, bytes: u64) -> Self {
        Self::new(self.get().wrapping_add(bytes))
    }

    /// Returns `true` for the null pointer.
    #[must_use]
    pub const fn is_null(self) -> bool {
        self.get() == 0
    }
}

impl Default for Address {
    /// Returns the null pointer.
    fn default() -> Self {
        Self::new(0)
    }
}

impl Ord for Address {
    fn cmp(&self, other: &Self) -> Ordering {
        self.get().cmp(&other.get())
    }
}

impl PartialOrd for Address {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.get())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_ordered_by_number() {
        assert!(Address::new(1) < Address::new(2));
        assert!(Address::default().is_null());
        assert_eq!(Address::new(u64::MAX).offset(2), Address::new(1));
        assert_eq!(Address::new(0x10).to_string(), "0x10");
    }
}
