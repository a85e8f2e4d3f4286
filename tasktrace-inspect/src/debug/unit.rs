//! Units: the parts of debug info that the compiler wrote at once.

use std::cell::OnceCell;
use std::rc::Rc;

use gimli::{DebuggingInformationEntry, DwAt, UnitHeader};

use super::{Slice, TypeId};

pub(super) type Entry<'d> = DebuggingInformationEntry<Slice<'d>>;
pub(super) type Dwarf<'d> = gimli::Dwarf<Slice<'d>>;
pub(super) type Unit<'d> = gimli::Unit<Slice<'d>>;

/// All units, by offset. Each is prepared when it is first asked for.
pub(super) struct Units<'d> {
    units: Vec<Slot<'d>>,
}

struct Slot<'d> {
    start: usize,
    end: usize,
    header: UnitHeader<Slice<'d>>,
    unit: OnceCell<Option<Rc<Unit<'d>>>>,
}

impl<'d> Units<'d> {
    pub(super) fn new(headers: &[UnitHeader<Slice<'d>>]) -> Self {
        let mut units: Vec<Slot<'d>> = headers
            .iter()
            .filter_map(|header| {
                let start = header.debug_info_offset()?.0;
                Some(Slot {
                    start,
                    end: start.saturating_add(header.length_including_self()),
                    header: *header,
                    unit: OnceCell::new(),
                })
            })
            .collect();
        units.sort_by_key(|unit| unit.start);
        Self { units }
    }

    /// Returns the unit that an entry is in, with its number and its offset.
    pub(super) fn of(&self, dwarf: &Dwarf<'d>, id: TypeId) -> Option<(usize, usize, Rc<Unit<'d>>)> {
        let after = self.units.partition_point(|unit| unit.start <= id.0);
        let number = after.checked_sub(1)?;
        let slot = self.units.get(number)?;
        if id.0 >= slot.end {
            return None;
        }
        let unit = slot
            .unit
            .get_or_init(|| dwarf.unit(slot.header).ok().map(Rc::new));
        Some((number, slot.start, Rc::clone(unit.as_ref()?)))
    }
}

/// Returns the type that an attribute refers to. `start` is the offset of the unit.
pub(super) fn reference(start: usize, entry: &Entry<'_>, name: DwAt) -> Option<TypeId> {
    match entry.attr_value(name)? {
        gimli::AttributeValue::UnitRef(offset) => start.checked_add(offset.0).map(TypeId),
        gimli::AttributeValue::DebugInfoRef(offset) => Some(TypeId(offset.0)),
        _ => None,
    }
}

/// Returns the text of an attribute. What is not UTF-8 is not text.
pub(super) fn text<'d>(
    dwarf: &Dwarf<'d>,
    unit: &Unit<'d>,
    entry: &Entry<'d>,
    name: DwAt,
) -> Option<&'d str> {
    let value = entry.attr_value(name)?;
    let text = dwarf.attr_string(unit, value).ok()?;
    std::str::from_utf8(text.slice()).ok()
}

pub(super) fn number(entry: &Entry<'_>, name: DwAt) -> Option<u64> {
    match entry.attr_value(name)? {
        gimli::AttributeValue::FileIndex(number) => Some(number),
        value => value.udata_value(),
    }
}
