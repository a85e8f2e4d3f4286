//! The vtables of tasks: constants of the program with the address of `poll::<T, S>`.

use std::collections::HashMap;

use super::header::{Cell, Layout};
use crate::address::Address;
use crate::constants;
use crate::debug::{DebugFile, Poll, TypeId};
use crate::hash::FastMap;
use crate::value::Reader;

/// The vtables of tasks.
#[derive(Debug, Default)]
pub(crate) struct Vtables {
    /// The type of the cell, by the address of the vtable.
    cells: FastMap<Address, Cell>,
    last: Address,
    /// The distance between the first vtable and the last.
    span: u64,
    layout: Option<Layout>,
    /// The number of functions that poll tasks whose cells are not in the debug info.
    pub(crate) unknown: usize,
}

impl Vtables {
    /// Finds the vtables in the constants of the program.
    pub(crate) fn find(reader: &Reader<'_, '_>, image: &DebugFile) -> Self {
        let mut found = Self::default();
        let mut polls: HashMap<u64, TypeId> = HashMap::new();
        let index = reader.types.index();
        for (address, poll) in &index.polls {
            match cell(reader, poll) {
                Some(cell) => {
                    polls.insert(address.wrapping_add(reader.bias), cell);
                }
                None => found.unknown += 1,
            }
        }
        found.layout = polls
            .values()
            .min()
            .and_then(|cell| Layout::new(reader, *cell));
        let Some(layout) = found.layout else {
            return found;
        };
        constants::words(reader, image, |at, word| {
            if let Some(cell) = polls.get(&word) {
                let vtable = Address::new(at.get().wrapping_sub(layout.poll));
                found.cells.insert(vtable, Cell::new(reader, *cell));
            }
        });
        let first = found.cells.keys().min().copied().unwrap_or_default();
        found.last = found.cells.keys().max().copied().unwrap_or_default();
        found.span = found.last.get() - first.get();
        found
    }

    /// Returns `true` if no task can exist.
    pub(crate) fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// Returns the type of the tasks with this vtable.
    pub(super) fn cell(&self, vtable: Address) -> Option<Cell> {
        // This is called for each word in memory, so one comparison checks both bounds: above `last`, the difference
        // wraps around to a large number.
        if self.last.get().wrapping_sub(vtable.get()) > self.span {
            return None;
        }
        self.cells.get(&vtable).copied()
    }

    /// Returns where the fields of headers are.
    pub(crate) fn layout(&self) -> Option<&Layout> {
        self.layout.as_ref()
    }
}

/// Returns the type of the cells whose tasks a function polls.
fn cell(reader: &Reader<'_, '_>, poll: &Poll<'_>) -> Option<TypeId> {
    let index = reader.types.index();
    let cell = index.cells.get(&(poll.future, poll.scheduler));
    cell.or_else(|| index.cells_by_name.get(poll.arguments))
        .copied()
}
