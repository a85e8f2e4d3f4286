//! Variables in the bodies of async functions and blocks.
//!
//! A coroutine's own entry leaves out a variable that has the name of another one in the same state: LLVM takes fields
//! of one name for the same field. `let mut stock = stock.lock().await` hides its guard so. The entry of the body has
//! all variables with their types, and without optimisation the place of each in the coroutine.

use gimli::{Operation, UnitOffset, constants as dw};

use super::TypeId;
use super::unit::{Entry, Unit};

/// A variable in the body of a coroutine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Variable<'d> {
    pub(crate) name: &'d str,
    pub(crate) id: TypeId,
    pub(crate) place: Where,
}

/// The place of a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Where {
    /// Always in the coroutine, at this offset.
    Coroutine(u64),
    /// Always on the stack: it does not live across an `.await`.
    Stack,
    /// That is not known.
    Unknown,
}

/// Returns the variables of the function whose entry is at an offset of the unit.
pub(super) fn variables<'d>(unit: &Unit<'d>, offset: UnitOffset) -> Vec<Variable<'d>> {
    let mut found = Vec::new();
    // An error ends the list: the variables that were read before it are kept.
    let _ = read(unit, offset, &mut found);
    found
}

fn read<'d>(
    unit: &Unit<'d>,
    offset: UnitOffset,
    found: &mut Vec<Variable<'d>>,
) -> gimli::Result<()> {
    let mut entries = unit.entries_raw(Some(offset))?;
    let mut entry = Entry::null();
    let is_function = entries.read_entry(&mut entry)?;
    if !is_function || !entry.has_children() {
        return Ok(());
    }
    // The depth of the inlined function that the entries are in.
    let mut inlined = None;
    while entries.next_depth() > 0 && !entries.is_empty() {
        let depth = entries.next_depth();
        if !entries.read_entry(&mut entry)? {
            continue;
        }
        if inlined.is_some_and(|inlined| depth > inlined) {
            continue;
        }
        inlined = (entry.tag() == dw::DW_TAG_inlined_subroutine).then_some(depth);
        if entry.tag() != dw::DW_TAG_variable {
            continue;
        }
        let name = unit.text(&entry, dw::DW_AT_name);
        let id = unit.reference(&entry, dw::DW_AT_type);
        if let (Some(name), Some(id)) = (name, id) {
            found.push(Variable {
                name,
                id,
                place: place(unit, &entry).unwrap_or(Where::Unknown),
            });
        }
    }
    Ok(())
}

/// Returns where a variable is: in what a pointer in the frame points to, or in the frame.
fn place(unit: &Unit<'_>, entry: &Entry<'_>) -> Option<Where> {
    let location = entry.attr_value(dw::DW_AT_location)?.exprloc_value()?;
    let mut operations = location.operations(unit.encoding());
    let Operation::FrameOffset { .. } = operations.next().ok()?? else {
        return None;
    };
    match operations.next().ok()? {
        None => return Some(Where::Stack),
        Some(Operation::Deref { .. }) => {}
        Some(_) => return None,
    }
    match operations.next().ok()? {
        None => Some(Where::Coroutine(0)),
        Some(Operation::PlusConstant { value }) => Some(Where::Coroutine(value)),
        Some(_) => None,
    }
}
