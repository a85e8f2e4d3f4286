//! Headers of tasks.

use super::vtables::Vtables;
use crate::address::Address;
use crate::debug::TypeId;
use crate::decode::PlaceInQueue;
use crate::value::{Reader, Value};

/// The offsets of the fields of headers, vtables and trailers, as the debug info says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// The offset of the vtable in the header.
    pub(super) vtable: u64,
    pub(super) state: u64,
    pub(super) owner: u64,
    /// The offset of `poll` in the vtable.
    pub(super) poll: u64,
    /// The offset, in the vtable, of the field with the offset of the trailer.
    pub(super) trailer: u64,
    /// The offset, in the trailer, of the pointer to the next header of the list.
    pub(super) next: u64,
}

impl Layout {
    /// Reads the layout from the type of any cell.
    pub(super) fn new(reader: &Reader<'_, '_>, cell: TypeId) -> Option<Self> {
        let (_, header) = reader.offset(cell, "header")?;
        let (vtable, pointer) = reader.offset(header, "vtable")?;
        let crate::debug::Kind::Pointer(Some(table)) = reader.types.get(pointer)?.kind else {
            return None;
        };
        let (_, trailer) = reader.offset(cell, "trailer")?;
        Some(Self {
            vtable,
            state: reader.offset(header, "state")?.0,
            owner: reader.offset(header, "owner_id")?.0,
            poll: reader.offset(table, "poll")?.0,
            trailer: reader.offset(table, "trailer_offset")?.0,
            next: reader.offset(trailer, "next")?.0,
        })
    }
}

/// The header of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) address: Address,
    /// The type of the whole cell.
    pub(crate) cell: TypeId,
    /// The number that tokio gives to the task.
    pub(crate) id: Option<u64>,
    pub(crate) state: State,
    /// The address of the word with the state.
    pub(crate) state_address: Address,
    /// The number of the list that the task is in.
    pub(crate) owner: u64,
    /// The closure of a `spawn_blocking`.
    pub(crate) is_blocking: bool,
    /// The place of a closure in the queue of its pool.
    pub(crate) queue: Option<PlaceInQueue>,
}

impl Header {
    /// Reads the header at an address.
    pub(super) fn read(
        reader: &Reader<'_, '_>,
        vtables: &Vtables,
        layout: &Layout,
        address: Address,
    ) -> Option<Self> {
        let vtable = Address::new(reader.word(address.offset(layout.vtable))?);
        let cell = vtables.cell(vtable)?;
        let id = cell
            .task_id
            .and_then(|offset| reader.word(address.offset(offset)));
        let state_address = address.offset(layout.state);
        Some(Self {
            address,
            cell: cell.id,
            id,
            state: State(reader.word(state_address)?),
            state_address,
            owner: reader.word(address.offset(layout.owner))?,
            is_blocking: cell.is_blocking,
            queue: None,
        })
    }

    /// Returns `true` if this may be the header of a closure of `spawn_blocking` that has not ended. Runtimes
    /// keep no list of closures, so freed memory can look like one.
    pub(super) fn is_plausible_closure(&self) -> bool {
        let has_number = self.id.is_some_and(|id| (1..=MOST_TASKS).contains(&id));
        // Runtimes keep no list of closures.
        let has_no_list = self.owner == 0;
        // Allocators keep pointers in the first words of freed memory, which are larger numbers.
        let is_counted = (1..1 << 16).contains(&self.state.references());
        has_number && has_no_list && is_counted && !self.state.is_complete()
    }

    /// Returns the cell.
    pub(crate) fn value(&self) -> Value {
        Value {
            address: self.address,
            id: self.cell,
        }
    }
}

/// The largest number of a task, which tokio counts from 1 on: one that a process of 12 days reaches with a million
/// tasks a second.
const MOST_TASKS: u64 = 1 << 40;

/// The type of a cell.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    pub(super) id: TypeId,
    /// The offset of the word with the number of the task.
    task_id: Option<u64>,
    /// Its task is the closure of a `spawn_blocking`.
    is_blocking: bool,
}

impl Cell {
    pub(super) fn new(reader: &Reader<'_, '_>, id: TypeId) -> Self {
        let types = reader.types;
        let scheduler = reader.offset(id, "scheduler");
        let task_id = reader.offset(id, "task_id");
        let task_id = task_id.filter(|(_, id)| types.get(*id).is_some_and(|ty| ty.size == 8));
        Self {
            id,
            task_id: task_id.map(|(offset, _)| offset),
            is_blocking: scheduler
                .is_some_and(|(_, id)| types.path(id).ends_with("::BlockingSchedule")),
        }
    }
}

/// The state of a task, as tokio packs it into a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State(pub(crate) u64);

impl State {
    const RUNNING: u64 = 1;
    const COMPLETE: u64 = 1 << 1;
    const NOTIFIED: u64 = 1 << 2;
    const REFERENCES: u32 = 6;

    pub(crate) fn is_running(self) -> bool {
        self.0 & Self::RUNNING != 0
    }

    pub(crate) fn is_complete(self) -> bool {
        self.0 & Self::COMPLETE != 0
    }

    pub(crate) fn is_notified(self) -> bool {
        self.0 & Self::NOTIFIED != 0
    }

    /// Returns the number of references to the task.
    fn references(self) -> u64 {
        self.0 >> Self::REFERENCES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_read_bit_by_bit() {
        let state = State(0b1000_1101);
        assert!(state.is_running() && state.is_notified());
        assert!(!state.is_complete());
        assert_eq!(state.references(), 2);
    }
}
