//! Values in memory, by type.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use crate::address::Address;
use crate::bytes::unsigned;
use crate::debug::{Kind, Member, Type, TypeId, Types, Variant, Variants};
use crate::hash::FastMap;
use crate::memory::{Memory, PageCache};

/// A value: where it is, and of which type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Value {
    pub(crate) address: Address,
    pub(crate) id: TypeId,
}

impl Value {
    /// Returns a field of a structure.
    pub(crate) fn member(self, member: &Member<'_>) -> Self {
        Self {
            address: self.address.offset(member.offset),
            id: member.id,
        }
    }
}

/// Reads values.
pub(crate) struct Reader<'a, 'd> {
    pub(crate) types: &'a Types<'d>,
    pub(crate) memory: &'a PageCache<'a>,
    /// The distance by which the program was moved when it was loaded.
    pub(crate) bias: u64,
    /// Places of fields and of types, by the type that they are in.
    places: RefCell<FastMap<(TypeId, Sought), Option<Place>>>,
}

/// A part of a type that is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Sought {
    /// The outermost field of this name.
    Field(&'static str),
    /// The outermost value of the type with this path.
    Type(&'static str),
    /// The outermost pointer.
    Pointer,
}

/// A place in a type: the offset and the type of the part.
#[derive(Clone, Copy, Debug)]
struct Place {
    offset: u64,
    id: TypeId,
}

/// The largest number of types that are read to find one field.
const LOOKED_AT: usize = 2000;

impl<'a, 'd> Reader<'a, 'd> {
    pub(crate) fn new(types: &'a Types<'d>, memory: &'a PageCache<'a>, bias: u64) -> Self {
        Self {
            types,
            memory,
            bias,
            places: RefCell::default(),
        }
    }

    pub(crate) fn ty(&self, value: Value) -> Option<Rc<Type<'d>>> {
        self.types.get(value.id)
    }

    /// Reads a word.
    pub(crate) fn word(&self, address: Address) -> Option<u64> {
        self.memory.word(address)
    }

    /// Reads a number of up to 16 bytes.
    pub(crate) fn number_of(&self, address: Address, size: u64) -> Option<u128> {
        let size = usize::try_from(size).ok().filter(|size| *size <= 16)?;
        let mut bytes = [0; 16];
        self.memory.read(address, &mut bytes[..size]).ok()?;
        Some(unsigned(&bytes[..size]))
    }

    /// Reads a value as a number, whatever is wrapped around the number.
    pub(crate) fn number(&self, value: Value) -> Option<u64> {
        let size = self.ty(value)?.size;
        u64::try_from(self.number_of(value.address, size)?).ok()
    }

    /// Returns the outermost field of this name in a value or in the values that it consists of. Neither pointers nor
    /// variants are followed.
    pub(crate) fn find(&self, value: Value, name: &'static str) -> Option<Value> {
        self.at(value, Sought::Field(name))
    }

    /// Returns the outermost value of the type with this path in a value or in the values that it consists of.
    pub(crate) fn find_type(&self, value: Value, path: &'static str) -> Option<Value> {
        self.at(value, Sought::Type(path))
    }

    /// Returns the outermost pointer in a value, such as that in an `Arc`.
    pub(crate) fn find_pointer(&self, value: Value) -> Option<Value> {
        self.at(value, Sought::Pointer)
    }

    fn at(&self, value: Value, sought: Sought) -> Option<Value> {
        let place = self.place(value.id, sought)?;
        Some(Value {
            address: value.address.offset(place.offset),
            id: place.id,
        })
    }

    /// Returns the offset of a field, as [`find`](Self::find) finds it.
    pub(crate) fn offset(&self, id: TypeId, name: &'static str) -> Option<(u64, TypeId)> {
        let place = self.place(id, Sought::Field(name))?;
        Some((place.offset, place.id))
    }

    fn place(&self, id: TypeId, sought: Sought) -> Option<Place> {
        if let Some(known) = self.places.borrow().get(&(id, sought)) {
            return *known;
        }
        let place = self.look_for(id, sought);
        self.places.borrow_mut().insert((id, sought), place);
        place
    }

    fn look_for(&self, id: TypeId, sought: Sought) -> Option<Place> {
        let mut queue = VecDeque::from([Place { offset: 0, id }]);
        let mut looked_at = 0;
        while let Some(place) = queue.pop_front() {
            looked_at += 1;
            if looked_at > LOOKED_AT {
                return None;
            }
            let Some(ty) = self.types.get(place.id) else {
                continue;
            };
            match (sought, &ty.kind) {
                (Sought::Type(path), Kind::Structure(_)) if &*self.types.path(place.id) == path => {
                    return Some(place);
                }
                (Sought::Pointer, Kind::Pointer(_)) => return Some(place),
                _ => {}
            }
            let Some(structure) = ty.structure() else {
                continue;
            };
            for member in &structure.members {
                let inner = Place {
                    offset: place.offset.wrapping_add(member.offset),
                    id: member.id,
                };
                if matches!(sought, Sought::Field(name) if name == member.name) {
                    return Some(inner);
                }
                queue.push_back(inner);
            }
        }
        None
    }

    /// Returns the address in a pointer.
    pub(crate) fn pointer(&self, value: Value) -> Option<Address> {
        self.word(value.address).map(Address::new)
    }

    /// Returns what the outermost pointer in a value points to. Null points to nothing.
    pub(crate) fn follow(&self, value: Value) -> Option<Value> {
        let pointer = self.find_pointer(value)?;
        let ty = self.ty(pointer)?;
        let Kind::Pointer(Some(target)) = ty.kind else {
            return None;
        };
        let address = self.pointer(pointer).filter(|address| !address.is_null())?;
        Some(Value {
            address,
            id: target,
        })
    }

    /// Returns what an `Arc` points to, past its counters.
    pub(crate) fn follow_arc(&self, value: Value) -> Option<Value> {
        let inner = self.follow(value)?;
        match &*self.types.path(inner.id) {
            "alloc::sync::ArcInner" => self.find(inner, "data"),
            _ => Some(inner),
        }
    }

    /// Returns the variant that an enum or a coroutine is, and its fields.
    pub(crate) fn variant<'t>(
        &self,
        value: Value,
        ty: &'t Type<'d>,
    ) -> Option<(&'t Variant<'d>, Value)> {
        let variants = ty.structure()?.variants.as_ref()?;
        let size = match &variants.discriminant {
            Some(discriminant) => self.types.get(discriminant.id)?.size,
            None => 0,
        };
        let number = self.variant_number(value, variants, size)?;
        let variant = variants.variants.get(number)?;
        Some((variant, value.member(&variant.member)))
    }

    /// Returns the index of the variant that a value is. `size` is the size of the discriminant.
    pub(crate) fn variant_number(
        &self,
        value: Value,
        variants: &Variants<'d>,
        size: u64,
    ) -> Option<usize> {
        let Some(discriminant) = &variants.discriminant else {
            return Some(0);
        };
        let number = self.number_of(value.member(discriminant).address, size)?;
        let variants = &variants.variants;
        let is_exact = |it: &Variant<'_>| it.value.is_some_and(|it| is_same(it, number, size));
        let exact = variants.iter().position(is_exact);
        exact.or_else(|| variants.iter().position(|it| it.value.is_none()))
    }
}

/// Returns `true` if a constant is the number that `size` bytes are. The constant may be a sign-extended negative.
fn is_same(constant: u128, number: u128, size: u64) -> bool {
    let bits = size.saturating_mul(8);
    let mask = match bits {
        0..128 => (1 << bits) - 1,
        _ => u128::MAX,
    };
    constant & mask == number & mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_are_compared_in_the_size_of_the_discriminant() {
        assert!(is_same(3, 3, 1));
        assert!(is_same(0xffff_ffff_ffff_ffff, 0xff, 1));
        assert!(!is_same(4, 3, 1));
        assert!(is_same(u128::MAX, u128::MAX, 16));
    }
}
