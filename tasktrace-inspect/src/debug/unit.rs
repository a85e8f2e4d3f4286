//! Units: the parts of debug info that the compiler wrote at once.

use std::cell::OnceCell;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;

use gimli::{DebuggingInformationEntry, DwAt, UnitHeader, UnitOffset};

use super::{Slice, TypeId};

pub(super) type Entry<'d> = DebuggingInformationEntry<Slice<'d>>;
pub(super) type Dwarf<'d> = gimli::Dwarf<Slice<'d>>;

/// A unit, and the sections that it refers to.
#[derive(Debug)]
pub(super) struct Unit<'d> {
    unit: gimli::Unit<Slice<'d>>,
    dwarf: Arc<Dwarf<'d>>,
    /// The sections with the texts of the line program, which are in the executable for a split unit.
    lines: Arc<Dwarf<'d>>,
    /// The number from which the ids of the unit's entries are counted.
    start: usize,
    /// The number from which the ids of the file's entries are counted.
    file_start: usize,
}

impl<'d> Deref for Unit<'d> {
    type Target = gimli::Unit<Slice<'d>>;

    fn deref(&self) -> &Self::Target {
        &self.unit
    }
}

impl<'d> Unit<'d> {
    /// Returns the id of the entry at an offset of the unit.
    pub(super) fn id(&self, offset: UnitOffset) -> Option<TypeId> {
        self.start.checked_add(offset.0).map(TypeId)
    }

    /// Returns the offset in the unit of an entry.
    pub(super) fn offset(&self, id: TypeId) -> Option<UnitOffset> {
        id.0.checked_sub(self.start).map(UnitOffset)
    }

    /// Returns the type that an attribute refers to.
    pub(super) fn reference(&self, entry: &Entry<'_>, name: DwAt) -> Option<TypeId> {
        match entry.attr_value(name)? {
            gimli::AttributeValue::UnitRef(offset) => self.id(offset),
            gimli::AttributeValue::DebugInfoRef(offset) => {
                self.file_start.checked_add(offset.0).map(TypeId)
            }
            _ => None,
        }
    }

    /// Returns the text of an attribute. Returns `None` if it is not UTF-8.
    pub(super) fn text(&self, entry: &Entry<'d>, name: DwAt) -> Option<&'d str> {
        let text = self.attribute_text(entry.attr_value(name)?)?;
        std::str::from_utf8(text.slice()).ok()
    }

    /// Returns the text that the value of an attribute stands for.
    pub(super) fn attribute_text(
        &self,
        value: gimli::AttributeValue<Slice<'d>>,
    ) -> Option<Slice<'d>> {
        self.dwarf.attr_string(&self.unit, value).ok()
    }

    /// Returns the text that a value in the line program stands for.
    pub(super) fn text_of_line_program(
        &self,
        value: gimli::AttributeValue<Slice<'d>>,
    ) -> Option<Slice<'d>> {
        self.lines.attr_string(&self.unit, value).ok()
    }

    /// Returns the address that the value of an attribute stands for, itself or by an index.
    pub(super) fn address(&self, value: gimli::AttributeValue<Slice<'d>>) -> Option<u64> {
        self.dwarf.attr_address(&self.unit, value).ok()?
    }

    /// Returns the address with this index.
    pub(super) fn address_at(&self, index: gimli::DebugAddrIndex<usize>) -> Option<u64> {
        self.dwarf.address(&self.unit, index).ok()
    }
}

/// A unit that is not read yet.
#[derive(Debug)]
pub(super) struct UnitSource<'d> {
    pub(super) dwarf: Arc<Dwarf<'d>>,
    pub(super) header: UnitHeader<Slice<'d>>,
    /// The number from which the ids of the file's entries are counted.
    pub(super) file_start: usize,
    /// The skeleton in the executable, if this is a split unit.
    pub(super) skeleton: Option<Box<Unit<'d>>>,
}

impl<'d> UnitSource<'d> {
    /// Returns the number from which the ids of the unit's entries are counted.
    fn start(&self) -> Option<usize> {
        let offset = self.header.debug_info_offset()?;
        self.file_start.checked_add(offset.0)
    }

    /// Returns the number after the largest id that an entry of the unit can have.
    pub(super) fn end(&self) -> usize {
        let start = self.start().unwrap_or(self.file_start);
        start.saturating_add(self.header.length_including_self())
    }

    /// Reads the first entry of the unit, which describes the unit.
    pub(super) fn read(&self) -> Option<Unit<'d>> {
        let mut unit = self.dwarf.unit(self.header).ok()?;
        let mut lines = &self.dwarf;
        if let Some(skeleton) = &self.skeleton {
            unit.copy_relocated_attributes(skeleton);
            unit.comp_dir = skeleton.comp_dir;
            if unit.line_program.is_none() {
                unit.line_program.clone_from(&skeleton.line_program);
                lines = &skeleton.dwarf;
            }
        }
        Some(Unit {
            unit,
            dwarf: Arc::clone(&self.dwarf),
            lines: Arc::clone(lines),
            start: self.start()?,
            file_start: self.file_start,
        })
    }
}

/// All units, in the order of the ids of their entries. Each unit is read when it is first asked for.
pub(super) struct Units<'d> {
    units: Vec<Slot<'d>>,
}

struct Slot<'d> {
    start: usize,
    end: usize,
    source: UnitSource<'d>,
    unit: OnceCell<Option<Rc<Unit<'d>>>>,
}

impl<'d> Units<'d> {
    pub(super) fn new(sources: Vec<UnitSource<'d>>) -> Self {
        let mut units: Vec<Slot<'d>> = sources
            .into_iter()
            .filter_map(|source| {
                let start = source.start()?;
                Some(Slot {
                    start,
                    end: source.end(),
                    source,
                    unit: OnceCell::new(),
                })
            })
            .collect();
        units.sort_by_key(|unit| unit.start);
        Self { units }
    }

    /// Returns the unit that an entry is in, with its number.
    pub(super) fn of(&self, id: TypeId) -> Option<(usize, Rc<Unit<'d>>)> {
        let after = self.units.partition_point(|unit| unit.start <= id.0);
        let number = after.checked_sub(1)?;
        let slot = self.units.get(number)?;
        if id.0 >= slot.end {
            return None;
        }
        let unit = slot.unit.get_or_init(|| slot.source.read().map(Rc::new));
        Some((number, Rc::clone(unit.as_ref()?)))
    }
}

pub(super) fn number(entry: &Entry<'_>, name: DwAt) -> Option<u64> {
    match entry.attr_value(name)? {
        gimli::AttributeValue::FileIndex(number) => Some(number),
        value => value.udata_value(),
    }
}
