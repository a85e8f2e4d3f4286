//! Variables in the stack frame of a function.

use gimli::{Operation, UnitOffset, constants as dw};

use super::TypeId;
use super::unit::{Entry, Unit};

/// The number that DWARF gives to `rsp`.
const RSP: u16 = 7;

/// A variable at a fixed place in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InFrame {
    /// The distance from the stack pointer of the frame.
    pub(crate) offset: i64,
    pub(crate) id: TypeId,
}

/// Returns the variables of the function whose entry is at an offset of the unit, with those of the functions that were
/// inlined into it. Frames that are not addressed by the stack pointer have none.
pub(super) fn variables(unit: &Unit<'_>, offset: UnitOffset) -> Vec<InFrame> {
    let mut found = Vec::new();
    // An error ends the list: the variables that were read before it are kept.
    let _ = read(unit, offset, &mut found);
    found
}

fn read(unit: &Unit<'_>, offset: UnitOffset, found: &mut Vec<InFrame>) -> gimli::Result<()> {
    let mut entries = unit.entries_raw(Some(offset))?;
    let mut entry = Entry::null();
    let is_function = entries.read_entry(&mut entry)?;
    if !is_function || !entry.has_children() || !is_by_stack_pointer(unit, &entry) {
        return Ok(());
    }
    while entries.next_depth() > 0 && !entries.is_empty() {
        if !entries.read_entry(&mut entry)? {
            continue;
        }
        let is_variable = matches!(
            entry.tag(),
            dw::DW_TAG_variable | dw::DW_TAG_formal_parameter
        );
        if is_variable
            && let Some(offset) = frame_offset(unit, &entry)
            && let Some(id) = type_of(unit, &entry)
        {
            found.push(InFrame { offset, id });
        }
    }
    Ok(())
}

fn is_by_stack_pointer(unit: &Unit<'_>, entry: &Entry<'_>) -> bool {
    let register = || {
        let base = entry.attr_value(dw::DW_AT_frame_base)?.exprloc_value()?;
        match base.operations(unit.encoding()).next().ok()?? {
            Operation::Register { register } => Some(register),
            _ => None,
        }
    };
    register() == Some(gimli::Register(RSP))
}

/// Returns the offset in a location that is nothing but a place in the frame.
fn frame_offset(unit: &Unit<'_>, entry: &Entry<'_>) -> Option<i64> {
    let location = entry.attr_value(dw::DW_AT_location)?.exprloc_value()?;
    let mut operations = location.operations(unit.encoding());
    let Operation::FrameOffset { offset } = operations.next().ok()?? else {
        return None;
    };
    match operations.next().ok()? {
        None => Some(offset),
        Some(_) => None,
    }
}

/// Returns the type of a variable. Those of inlined functions have it in another entry.
fn type_of(unit: &Unit<'_>, entry: &Entry<'_>) -> Option<TypeId> {
    unit.reference(entry, dw::DW_AT_type).or_else(|| {
        let origin = unit.reference(entry, dw::DW_AT_abstract_origin)?;
        let origin = unit.entry(unit.offset(origin)?).ok()?;
        unit.reference(&origin, dw::DW_AT_type)
    })
}
