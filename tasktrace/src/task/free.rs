//! Lists of records that are not in use.

use std::cell::Cell;
use std::ptr::NonNull;

use super::record::Record;

/// Free records, each of which leads to the next. Whoever has the list has them to himself.
pub(super) struct List(Option<NonNull<Record>>);

// SAFETY: records are `Sync`, and never freed.
unsafe impl Send for List {}

impl List {
    pub(super) const EMPTY: Self = Self(None);

    #[inline]
    pub(super) fn pop(&mut self) -> Option<&'static Record> {
        // SAFETY: records are never freed.
        let record = unsafe { self.0?.as_ref() };
        // SAFETY: those on a list are nobody else's.
        self.0 = unsafe { record.next_free() };
        Some(record)
    }

    /// The caller has the record to himself, and gives that up.
    #[inline]
    pub(super) fn push(&mut self, record: &'static Record) {
        // SAFETY: as asserted by the caller.
        unsafe { record.set_next_free(self.0) };
        self.0 = Some(NonNull::from(record));
    }
}

/// The free records of a thread, which it keeps with what else it has: [`Local`](super::local::Local). Empty before the
/// thread is known to give them back when it ends, and after that.
pub(super) struct Own {
    list: Cell<List>,
    pub(super) length: Cell<usize>,
    /// Whether records may be kept.
    pub(super) is_open: Cell<bool>,
}

impl Own {
    pub(super) const fn new() -> Self {
        Self {
            list: Cell::new(List::EMPTY),
            length: Cell::new(0),
            is_open: Cell::new(false),
        }
    }

    #[inline]
    pub(super) fn pop(&self) -> Option<&'static Record> {
        let mut list = self.list.replace(List::EMPTY);
        let record = list.pop()?;
        self.list.set(list);
        self.length.set(self.length.get() - 1);
        Some(record)
    }

    #[inline]
    pub(super) fn push(&self, record: &'static Record) {
        let mut list = self.list.replace(List::EMPTY);
        list.push(record);
        self.list.set(list);
        self.length.set(self.length.get() + 1);
    }
}
