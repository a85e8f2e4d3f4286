//! Links free task headers into lists.

use std::cell::Cell;
use std::ptr;

use super::header::Header;

/// A task header in a chunk of the [pool](super::pool) that contains no task. The owner of this value has the header to
/// itself.
pub(super) struct UnusedHeader(&'static Header);

impl UnusedHeader {
    /// Returns a header that the caller has to itself as an unused one.
    ///
    /// # Safety
    ///
    /// The header must be in a chunk of the pool. It must contain no task, and there must be no reference to it and no
    /// other `UnusedHeader` of it.
    #[inline]
    pub(super) unsafe fn new(header: &'static Header) -> Self {
        Self(header)
    }

    /// Returns the address of the header.
    pub(super) fn address(&self) -> usize {
        ptr::from_ref(self.0).addr()
    }

    #[inline]
    pub(super) fn into_header(self) -> &'static Header {
        self.0
    }
}

/// A list of free headers, linked through a field of the headers.
pub(super) struct FreeList(Option<UnusedHeader>);

impl FreeList {
    pub(super) const EMPTY: Self = Self(None);

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    #[inline]
    pub(super) fn pop(&mut self) -> Option<UnusedHeader> {
        let first = self.0.take()?;
        let next = first.0.next_free();
        // SAFETY: `push` consumed the `UnusedHeader` of this next header, and kept only its link, which this call
        // takes.
        self.0 = next.map(|next| unsafe { UnusedHeader::new(next) });
        Some(first)
    }

    #[inline]
    pub(super) fn push(&mut self, unused: UnusedHeader) {
        let next = self.0.take().map(UnusedHeader::into_header);
        unused.0.set_next_free(next);
        self.0 = Some(unused);
    }
}

/// The free headers of a thread, a part of its [`ThreadState`](super::thread_state::ThreadState).
///
/// The list is open only while the thread is certain to return its headers when it ends.
pub(super) struct LocalFreeList {
    list: Cell<FreeList>,
    pub(super) length: Cell<usize>,
    /// `true` if the thread may keep headers.
    pub(super) is_open: Cell<bool>,
}

impl LocalFreeList {
    pub(super) const fn new() -> Self {
        Self {
            list: Cell::new(FreeList::EMPTY),
            length: Cell::new(0),
            is_open: Cell::new(false),
        }
    }

    #[inline]
    pub(super) fn pop(&self) -> Option<UnusedHeader> {
        let mut list = self.list.replace(FreeList::EMPTY);
        let header = list.pop()?;
        self.list.set(list);
        self.length.set(self.length.get() - 1);
        Some(header)
    }

    #[inline]
    pub(super) fn push(&self, unused: UnusedHeader) {
        let mut list = self.list.replace(FreeList::EMPTY);
        list.push(unused);
        self.list.set(list);
        self.length.set(self.length.get() + 1);
    }
}
