//! Searches memory for headers of tasks.

use super::header::Layout;
use super::vtables::Vtables;
use crate::address::Address;
use crate::limits::{Deadline, Limits};
use crate::memory::{self, PageCache};

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
    let mut headers = Vec::new();
    let is_whole = memory::words(memory, limits.search, deadline, |at, word| {
        if vtables.cell(Address::new(word)).is_some() {
            headers.push(Address::new(at.get().wrapping_sub(layout.vtable)));
        }
    });
    Found {
        headers,
        is_cut: !is_whole,
    }
}
