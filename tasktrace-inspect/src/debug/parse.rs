//! Reads the entries of a type.

use gimli::constants as dw;

use super::TypeId;
use super::unit::{Entry, Unit, number};

/// A type.
#[derive(Debug)]
pub(crate) struct Type<'d> {
    /// The name, with generic arguments and without the namespaces around it.
    pub(crate) name: &'d str,
    /// The size in bytes.
    pub(crate) size: u64,
    pub(crate) kind: Kind<'d>,
}

/// The kind of a type.
#[derive(Debug)]
pub(crate) enum Kind<'d> {
    /// A number, a character or a truth value.
    Scalar,
    /// A structure, a tuple, an enum with fields, a coroutine or a union.
    Structure(Structure<'d>),
    /// A pointer, and what it points to.
    Pointer(Option<TypeId>),
    /// An array: its elements and their number.
    Array(TypeId, u64),
    /// Anything else, such as functions and enums without fields.
    Other,
}

/// The parts of a structure.
#[derive(Debug, Default)]
pub(crate) struct Structure<'d> {
    pub(crate) members: Vec<Member<'d>>,
    pub(crate) parameters: Vec<TypeId>,
    pub(crate) variants: Option<Variants<'d>>,
    /// Only one of the members is there at a time.
    pub(crate) is_union: bool,
}

/// A field.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member<'d> {
    pub(crate) name: &'d str,
    pub(crate) offset: u64,
    pub(crate) id: TypeId,
    /// The number of the file in the list of the unit, and the line.
    pub(crate) place: Option<(u64, u64)>,
}

/// The variants of an enum or a coroutine.
#[derive(Debug, Default)]
pub(crate) struct Variants<'d> {
    /// The field that says which variant it is. An enum with one variant has none.
    pub(crate) discriminant: Option<Member<'d>>,
    pub(crate) variants: Vec<Variant<'d>>,
}

/// A variant.
#[derive(Debug)]
pub(crate) struct Variant<'d> {
    /// The value of the discriminant. The variant without one has all other values.
    pub(crate) value: Option<u128>,
    pub(crate) member: Member<'d>,
}

impl<'d> Type<'d> {
    /// Returns the parts, if the type is a structure.
    pub(crate) fn structure(&self) -> Option<&Structure<'d>> {
        match &self.kind {
            Kind::Structure(structure) => Some(structure),
            _ => None,
        }
    }
}

/// The entry that the next one is inside of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    Type,
    VariantPart,
    Variant(Option<u128>),
    Nothing,
}

/// Reads the type whose entry is at `id`, which is in this unit.
pub(super) fn parse<'d>(unit: &Unit<'d>, id: TypeId) -> Option<Type<'d>> {
    let mut entries = unit.entries_raw(Some(unit.offset(id)?)).ok()?;
    let mut entry = Entry::null();
    if !entries.read_entry(&mut entry).ok()? {
        return None;
    }
    let tag = entry.tag();
    let name = unit.text(&entry, dw::DW_AT_name).unwrap_or_default();
    let size = number(&entry, dw::DW_AT_byte_size);
    let target = unit.reference(&entry, dw::DW_AT_type);
    let has_children = entry.has_children();
    let mut structure = Structure {
        is_union: tag == dw::DW_TAG_union_type,
        ..Structure::default()
    };
    let mut count = 0;
    // The entry that says which member is the discriminant.
    let mut discriminant = None;
    // For each depth, the entry that contains the entries at that depth.
    let mut inside = vec![Inside::Type];
    while has_children && entries.next_depth() > 0 && !entries.is_empty() {
        let at = entries.next_offset();
        let depth = usize::try_from(entries.next_depth()).ok()?;
        if !entries.read_entry(&mut entry).ok()? {
            continue;
        }
        inside.truncate(depth);
        let around = match inside.len() == depth {
            true => inside.last().copied().unwrap_or(Inside::Nothing),
            false => Inside::Nothing,
        };
        let mut below = Inside::Nothing;
        match (around, entry.tag()) {
            (Inside::Type, dw::DW_TAG_member) => {
                structure.members.extend(member(unit, &entry));
            }
            (Inside::Type, dw::DW_TAG_template_type_parameter) => {
                structure
                    .parameters
                    .extend(unit.reference(&entry, dw::DW_AT_type));
            }
            (Inside::Type, dw::DW_TAG_variant_part) => {
                discriminant = unit.reference(&entry, dw::DW_AT_discr);
                structure.variants = Some(Variants::default());
                below = Inside::VariantPart;
            }
            (Inside::VariantPart, dw::DW_TAG_member) => {
                let is_discriminant = discriminant == unit.id(at);
                if let Some(variants) = &mut structure.variants
                    && is_discriminant
                {
                    variants.discriminant = member(unit, &entry);
                }
            }
            (Inside::VariantPart, dw::DW_TAG_variant) => {
                below = Inside::Variant(value(&entry, dw::DW_AT_discr_value));
            }
            (Inside::Variant(value), dw::DW_TAG_member) => {
                if let Some(variants) = &mut structure.variants
                    && let Some(member) = member(unit, &entry)
                {
                    variants.variants.push(Variant { value, member });
                }
            }
            (Inside::Type, dw::DW_TAG_subrange_type) => {
                count = number(&entry, dw::DW_AT_count)
                    .or_else(|| number(&entry, dw::DW_AT_upper_bound)?.checked_add(1))
                    .unwrap_or_default();
            }
            _ => {}
        }
        if entry.has_children() {
            inside.push(below);
        }
    }
    let (kind, default) = match tag {
        dw::DW_TAG_base_type => (Kind::Scalar, 0),
        dw::DW_TAG_structure_type | dw::DW_TAG_union_type => (Kind::Structure(structure), 0),
        dw::DW_TAG_pointer_type | dw::DW_TAG_reference_type => (Kind::Pointer(target), 8),
        dw::DW_TAG_array_type => (Kind::Array(target?, count), 0),
        _ => (Kind::Other, 0),
    };
    Some(Type {
        name,
        size: size.unwrap_or(default),
        kind,
    })
}

fn member<'d>(unit: &Unit<'d>, entry: &Entry<'d>) -> Option<Member<'d>> {
    Some(Member {
        name: unit.text(entry, dw::DW_AT_name).unwrap_or_default(),
        offset: number(entry, dw::DW_AT_data_member_location).unwrap_or_default(),
        id: unit.reference(entry, dw::DW_AT_type)?,
        place: place(entry),
    })
}

/// Returns the number of the file and the line at which something is declared.
pub(super) fn place(entry: &Entry<'_>) -> Option<(u64, u64)> {
    let file = number(entry, dw::DW_AT_decl_file);
    file.zip(number(entry, dw::DW_AT_decl_line))
}

/// Returns a constant of up to 16 bytes. Signed constants are those with the same bits in eight bytes.
fn value(entry: &Entry<'_>, name: gimli::DwAt) -> Option<u128> {
    let value = entry.attr_value(name)?;
    if let gimli::AttributeValue::Block(bytes) = &value {
        return Some(crate::bytes::unsigned(bytes.slice()));
    }
    match value.udata_value() {
        Some(value) => Some(value.into()),
        None => value.sdata_value().map(|value| u128::from(value as u64)),
    }
}
