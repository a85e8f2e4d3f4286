//! Lists of records that are not in use.

use std::cell::Cell;

use super::record::Record;

/// A record that is not in use, which whoever has this has to himself.
pub(super) struct Unused(&'static Record);

impl Unused {
    /// # Safety
    ///
    /// There is no task in the record, and no other reference to it or `Unused` of it.
    #[inline]
    pub(super) unsafe fn new(record: &'static Record) -> Self {
        Self(record)
    }

    #[inline]
    pub(super) fn into_record(self) -> &'static Record {
        self.0
    }
}

/// Free records, each of which leads to the next.
pub(super) struct List(Option<Unused>);

impl List {
    pub(super) const EMPTY: Self = Self(None);

    #[inline]
    pub(super) fn pop(&mut self) -> Option<Unused> {
        let first = self.0.take()?;
        let next = first.0.next_free();
        // SAFETY: `push` had an `Unused` of this one, and put its record in that place instead.
        self.0 = next.map(|next| unsafe { Unused::new(next) });
        Some(first)
    }

    #[inline]
    pub(super) fn push(&mut self, unused: Unused) {
        let next = self.0.take().map(Unused::into_record);
        unused.0.set_next_free(next);
        self.0 = Some(unused);
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
    pub(super) fn pop(&self) -> Option<Unused> {
        let mut list = self.list.replace(List::EMPTY);
        let record = list.pop()?;
        self.list.set(list);
        self.length.set(self.length.get() - 1);
        Some(record)
    }

    #[inline]
    pub(super) fn push(&self, unused: Unused) {
        let mut list = self.list.replace(List::EMPTY);
        list.push(unused);
        self.list.set(list);
        self.length.set(self.length.get() + 1);
    }
}
