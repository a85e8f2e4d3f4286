//! Lists of records that are not in use.

use std::cell::Cell;
use std::ptr::NonNull;

use super::record::Record;

/// Free records, each of which leads to the next. Whoever has the list has them to himself.
pub(super) struct List(Option<NonNull<Record>>);

// SAFETY: a list is a pointer to records, which are `Sync` and never freed. Whoever has it has these records to himself, on
// whichever thread.
unsafe impl Send for List {}

impl List {
    pub(super) const EMPTY: Self = Self(None);

    #[inline]
    pub(super) fn pop(&mut self) -> Option<&'static Record> {
        // SAFETY: the pointer was made of a `&'static Record` by `push`.
        let record = unsafe { self.0?.as_ref() };
        // SAFETY: the record is on this list, and whoever has the list has its records to himself.
        self.0 = unsafe { record.next_free() };
        Some(record)
    }

    /// Adds a record that the caller has to himself, and does not use any more.
    #[inline]
    pub(super) fn push(&mut self, record: &'static Record) {
        // SAFETY: the caller has the record to himself, and a record without a task has no waker in it.
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
