//! The tasks of the crate async-task, which are those of async-executor, smol and others.
//!
//! Each task is one allocation: a `Header`, the function that schedules the task, and the future or its output. Its
//! vtable is a constant of the program, which is recognised by its pointer to the function `run` of a
//! `RawTask<F, T, S, M>`. Headers are found like those of tokio, by words in memory that point to a vtable. There is no
//! list of the live tasks, but a task is completed or closed before it is freed, and its state says so.

use std::collections::HashMap;
use std::ops::Range;

use crate::address::Address;
use crate::constants;
use crate::debug::{DebugFile, Kind, TypeId};
use crate::hash::FastMap;
use crate::limits::{Deadline, Limits};
use crate::memory;
use crate::value::{Reader, Value};

/// A task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AsyncTask {
    /// The address of its header.
    pub(crate) address: Address,
    pub(crate) future: Value,
    /// The address of the word with its state.
    state: Address,
}

/// The state of a task, as async-task packs it into a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State(u64);

impl State {
    const SCHEDULED: u64 = 1;
    const RUNNING: u64 = 1 << 1;
    const COMPLETED: u64 = 1 << 2;
    const CLOSED: u64 = 1 << 3;
    /// There is a `Task`, the handle.
    const TASK: u64 = 1 << 4;
    const REFERENCES: u32 = 8;

    pub(crate) fn is_scheduled(self) -> bool {
        self.0 & Self::SCHEDULED != 0
    }

    pub(crate) fn is_running(self) -> bool {
        self.0 & Self::RUNNING != 0
    }

    pub(crate) fn has_ended(self) -> bool {
        self.0 & (Self::COMPLETED | Self::CLOSED) != 0
    }

    /// Returns `false` for words that allocators write to freed memory: these are pointers, which are larger numbers.
    fn is_plausible(self) -> bool {
        let references = self.0 >> Self::REFERENCES;
        references < 1 << 24 && (references > 0 || self.0 & Self::TASK != 0)
    }
}

impl AsyncTask {
    /// Reads the state.
    pub(crate) fn state(&self, reader: &Reader<'_, '_>) -> Option<State> {
        reader.word(self.state).map(State)
    }
}

/// The tasks that were found.
#[derive(Debug, Default)]
pub(crate) struct AsyncTasks {
    /// The tasks that have not ended, by address.
    pub(crate) tasks: Vec<AsyncTask>,
    /// The number of further tasks, which are left out because of [`Limits::tasks`].
    pub(crate) left_out: usize,
    /// `true` if a bound was reached before the end of the memory.
    pub(crate) is_cut: bool,
    /// `true` if the program has vtables of such tasks.
    pub(crate) can_exist: bool,
}

impl AsyncTasks {
    /// Finds all tasks that have not ended. `stack_pointers` are those of the threads.
    pub(crate) fn find(
        reader: &Reader<'_, '_>,
        image: &DebugFile,
        stack_pointers: &[Address],
        limits: &Limits,
        deadline: Deadline,
    ) -> Self {
        let vtables = vtables(reader, image);
        let mut found = Self {
            can_exist: !vtables.is_empty(),
            ..Self::default()
        };
        if vtables.is_empty() {
            return found;
        }
        let mut headers = Vec::new();
        let is_whole = memory::words(reader.memory, limits.search, deadline, |at, word| {
            if let Some(layout) = vtables.get(&Address::new(word)) {
                headers.push((Address::new(at.get().wrapping_sub(layout.vtable)), *layout));
            }
        });
        found.is_cut = !is_whole;
        let stacks = stack_pointers.iter();
        let stacks: Vec<Range<u64>> = stacks
            .filter_map(|pointer| memory::stack_of(reader.memory, *pointer))
            .collect();
        for (address, layout) in headers {
            // A header is made on the stack, and then moved to the heap.
            if stacks.iter().any(|stack| stack.contains(&address.get())) {
                continue;
            }
            let task = AsyncTask {
                address,
                future: Value {
                    address: address.offset(layout.future_offset),
                    id: layout.future,
                },
                state: address.offset(layout.state),
            };
            let state = task.state(reader);
            if state.is_some_and(|state| state.is_plausible() && !state.has_ended()) {
                found.tasks.push(task);
            }
        }
        found.tasks.sort_by_key(|task| task.address);
        found.tasks.dedup();
        found.left_out = found.tasks.len().saturating_sub(limits.tasks);
        found.tasks.truncate(limits.tasks);
        found
    }
}

/// The places of the parts of a task.
#[derive(Clone, Copy, Debug)]
struct Layout {
    /// The offset of the vtable in the header.
    vtable: u64,
    /// The offset of the state in the header.
    state: u64,
    /// The offset of `run` in the vtable.
    run: u64,
    /// The offset, in the vtable, of the pointer to the `TaskLayout`.
    layout_info: u64,
    /// The offset, in the `TaskLayout`, of the field with the offset of the future.
    offset_f: u64,
    /// The type of the future.
    future: TypeId,
    /// The offset of the future in the task.
    future_offset: u64,
}

impl Layout {
    /// Reads the layout from the type `RawTask<F, T, S, M>`. Only the offset of the future is not in the type: the
    /// vtable leads to it.
    fn new(reader: &Reader<'_, '_>, raw_task: TypeId) -> Option<Self> {
        let target = |id, name| {
            let (offset, pointer) = reader.offset(id, name)?;
            match reader.types.get(pointer)?.kind {
                Kind::Pointer(Some(target)) => Some((offset, target)),
                _ => None,
            }
        };
        let (_, header) = target(raw_task, "header")?;
        let (vtable, table) = target(header, "vtable")?;
        let (layout_info, parts) = target(table, "layout_info")?;
        Some(Self {
            vtable,
            state: reader.offset(header, "state")?.0,
            run: reader.offset(table, "run")?.0,
            layout_info,
            offset_f: offset_in(reader, parts, "offset_f")?,
            future: target(raw_task, "future")?.1,
            future_offset: 0,
        })
    }
}

/// Returns the offset of a field in a structure, or in an `Option` of one, which versions such as 4.3 have.
fn offset_in(reader: &Reader<'_, '_>, id: TypeId, name: &'static str) -> Option<u64> {
    if let Some((offset, _)) = reader.offset(id, name) {
        return Some(offset);
    }
    let option = reader.types.get(id)?;
    let variants = option.structure()?.variants.as_ref()?;
    variants.variants.iter().find_map(|variant| {
        let (offset, _) = reader.offset(variant.member.id, name)?;
        variant.member.offset.checked_add(offset)
    })
}

/// Finds the vtables in the constants of the program.
fn vtables(reader: &Reader<'_, '_>, image: &DebugFile) -> FastMap<Address, Layout> {
    let index = reader.types.index();
    let mut layouts: HashMap<u64, Layout> = HashMap::new();
    for (address, raw_task) in &index.runs {
        let layout = Layout::new(reader, *raw_task);
        layouts.extend(layout.map(|layout| (address.wrapping_add(reader.bias), layout)));
    }
    let mut vtables = FastMap::default();
    if layouts.is_empty() {
        return vtables;
    }
    constants::words(reader, image, |at, word| {
        let Some(layout) = layouts.get(&word) else {
            return;
        };
        let vtable = Address::new(at.get().wrapping_sub(layout.run));
        let parts = reader.word(vtable.offset(layout.layout_info));
        let offset = |parts| reader.word(Address::new(parts).offset(layout.offset_f));
        if let Some(future_offset) = parts.and_then(offset) {
            let layout = Layout {
                future_offset,
                ..*layout
            };
            vtables.insert(vtable, layout);
        }
    });
    vtables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_read_bit_by_bit() {
        let suspended = State(0x110);
        assert!(suspended.is_plausible() && !suspended.has_ended());
        assert!(!suspended.is_running() && !suspended.is_scheduled());
        assert!(State(0x103).is_running() && State(0x103).is_scheduled());
        assert!(State(0x104).has_ended() && State(0x108).has_ended());
        assert!(!State(0x7f00_1234_5670).is_plausible());
        assert!(!State(0).is_plausible());
    }
}
