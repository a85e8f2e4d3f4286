//! The plan for each type: the fields that can lead to a future or to a guard.

use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;

use super::kind::{self, Known, Leaf};
use crate::debug::{Kind, Type, TypeId, Types};
use crate::hash::FastMap;

/// The goal of a walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Goal {
    /// Futures that are polled: references to them count.
    Future,
    /// Guards that are owned: references to them do not.
    Guard,
}

/// The way in which a type is walked.
#[derive(Clone, Debug)]
pub(super) enum Plan {
    /// There is nothing in it.
    Nothing,
    /// An async function, block or closure.
    Coroutine,
    Known(Known),
    /// A pointer that is followed, and its target.
    Pointer(TypeId),
    /// A pointer with a vtable, which says the type of the target.
    Dynamic,
    /// A pointer with a length.
    Slice,
    /// An array: its elements and their number.
    Array(TypeId, u64),
    /// A structure: the offsets and types of the fields that lead somewhere.
    Fields(Rc<[(u64, TypeId)]>),
    /// An enum: of the variant that it is, the fields.
    Variants,
}

/// The plans of all types that were met.
#[derive(Default)]
pub(super) struct Plans {
    plans: RefCell<FastMap<(TypeId, Goal), Plan>>,
    reaches: RefCell<FastMap<(TypeId, Goal), bool>>,
}

/// The largest depth of nested types that are read.
const DEPTH: usize = 60;

impl Plans {
    /// Returns how a type is walked.
    pub(super) fn get(&self, types: &Types<'_>, id: TypeId, goal: Goal) -> Plan {
        if let Some(plan) = self.plans.borrow().get(&(id, goal)) {
            return plan.clone();
        }
        let plan = match self.reaches(types, id, goal) {
            true => self.make(types, id, goal),
            false => Plan::Nothing,
        };
        self.plans.borrow_mut().insert((id, goal), plan.clone());
        plan
    }

    fn make(&self, types: &Types<'_>, id: TypeId, goal: Goal) -> Plan {
        let Some(ty) = types.get(id) else {
            return Plan::Nothing;
        };
        let structure = match shape(types, id, &ty, goal) {
            Shape::Plan(plan) => return plan,
            Shape::Structure => ty.structure(),
        };
        let Some(structure) = structure else {
            return Plan::Nothing;
        };
        if structure.variants.is_some() {
            return Plan::Variants;
        }
        let members = structure.members.iter();
        let fields: Vec<_> = members
            .filter(|member| self.reaches(types, member.id, goal))
            .map(|member| (member.offset, member.id))
            .collect();
        Plan::Fields(fields.into())
    }

    /// Returns `true` if what is looked for can be reached from a value of a type.
    pub(super) fn reaches(&self, types: &Types<'_>, id: TypeId, goal: Goal) -> bool {
        let mut search = Search {
            plans: self,
            types,
            goal,
            around: HashSet::new(),
            is_cut: false,
        };
        search.reaches(id, 0)
    }
}

/// The shape of a type, before its fields are looked at.
enum Shape {
    Plan(Plan),
    Structure,
}

fn shape(types: &Types<'_>, id: TypeId, ty: &Type<'_>, goal: Goal) -> Shape {
    let plan = match &ty.kind {
        Kind::Scalar | Kind::Other => Plan::Nothing,
        Kind::Pointer(target) => match target {
            Some(target) if is_followed(ty.name, goal) => Plan::Pointer(*target),
            _ => Plan::Nothing,
        },
        Kind::Array(element, count) => Plan::Array(*element, *count),
        Kind::Structure(_) if ty.name.starts_with("{async_") => Plan::Coroutine,
        // A `MaybeUninit` may be garbage.
        Kind::Structure(structure) if structure.is_union => Plan::Nothing,
        Kind::Structure(structure) => {
            let has = |name| structure.members.iter().any(|member| member.name == name);
            if has("pointer") && has("vtable") {
                match is_dynamic_future(ty.name) && is_followed(ty.name, goal) {
                    true => Plan::Dynamic,
                    false => Plan::Nothing,
                }
            } else if has("data_ptr") && has("length") {
                match is_followed(ty.name, goal) {
                    true => Plan::Slice,
                    false => Plan::Nothing,
                }
            } else {
                match kind::known(&types.path(id)) {
                    Some(Known::Opaque) => Plan::Nothing,
                    Some(known) => Plan::Known(known),
                    None => return Shape::Structure,
                }
            }
        }
    };
    Shape::Plan(plan)
}

/// Returns `true` for the pointers through which futures are polled, or guards owned.
fn is_followed(name: &str, goal: Goal) -> bool {
    name.starts_with("alloc::boxed::Box<")
        || goal == Goal::Future && (name.starts_with("&mut ") || name.starts_with('&'))
}

/// Returns `true` for the names of pointers to futures and streams of any type.
fn is_dynamic_future(name: &str) -> bool {
    let Some((_, object)) = name.split_once("dyn ") else {
        return false;
    };
    let object = object.split_once('<').map_or(object, |(path, _)| path);
    let last = object.rsplit("::").next().unwrap_or(object);
    let last = last.split([' ', ',', '>']).next().unwrap_or(last);
    last.ends_with("Future") || last.ends_with("Stream")
}

/// A search through types. Types that contain themselves are cut off.
struct Search<'p, 't, 'd> {
    plans: &'p Plans,
    types: &'t Types<'d>,
    goal: Goal,
    around: HashSet<TypeId>,
    /// The answer depends on a type whose answer is not known yet.
    is_cut: bool,
}

impl Search<'_, '_, '_> {
    fn reaches(&mut self, id: TypeId, depth: usize) -> bool {
        if let Some(known) = self.plans.reaches.borrow().get(&(id, self.goal)) {
            return *known;
        }
        if depth > DEPTH || !self.around.insert(id) {
            self.is_cut = true;
            return false;
        }
        let was_cut = std::mem::take(&mut self.is_cut);
        let reaches = self.look_into(id, depth);
        self.around.remove(&id);
        // A `false` that was cut off holds for this search only, unless it is that of the outermost type.
        if reaches || !self.is_cut || self.around.is_empty() {
            let key = (id, self.goal);
            self.plans.reaches.borrow_mut().insert(key, reaches);
        }
        self.is_cut |= was_cut;
        reaches
    }

    fn look_into(&mut self, id: TypeId, depth: usize) -> bool {
        let Some(ty) = self.types.get(id) else {
            return false;
        };
        let next = depth + 1;
        match shape(self.types, id, &ty, self.goal) {
            Shape::Plan(plan) => match plan {
                Plan::Coroutine | Plan::Dynamic => true,
                Plan::Known(known) => match known {
                    Known::Leaf(leaf) => self.goal == Goal::Future || leaf == Leaf::Acquire,
                    Known::Guard(_) => self.goal == Goal::Guard,
                    Known::Timeout | Known::Shared => true,
                    Known::Vec | Known::FuturesUnordered => {
                        let parameter = ty.structure().and_then(|it| it.parameters.first());
                        parameter.is_some_and(|id| self.reaches(*id, next))
                    }
                    Known::Opaque => false,
                },
                Plan::Pointer(target) => self.reaches(target, next),
                Plan::Array(element, count) => count > 0 && self.reaches(element, next),
                Plan::Slice => {
                    let element = slice_element(self.types, &ty);
                    element.is_some_and(|id| self.reaches(id, next))
                }
                Plan::Nothing | Plan::Fields(_) | Plan::Variants => false,
            },
            Shape::Structure => {
                let Some(structure) = ty.structure() else {
                    return false;
                };
                let variants = structure.variants.iter().flat_map(|it| &it.variants);
                let variants = variants.map(|variant| variant.member.id);
                let members = structure.members.iter().map(|member| member.id);
                members
                    .chain(variants)
                    .any(|member| self.reaches(member, next))
            }
        }
    }
}

/// Returns the type of the elements of a slice.
pub(super) fn slice_element(types: &Types<'_>, ty: &Type<'_>) -> Option<TypeId> {
    let mut members = ty.structure()?.members.iter();
    let pointer = members.find(|member| member.name == "data_ptr")?;
    match types.get(pointer.id)?.kind {
        Kind::Pointer(target) => target,
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_to_dynamic_futures_are_known_by_name() {
        for (name, is_future) in [
            (
                "alloc::boxed::Box<(dyn core::future::future::Future<Output=()> + core::marker::Send), alloc::alloc::Global>",
                true,
            ),
            ("&mut dyn core::future::future::Future<Output=()>", true),
            (
                "alloc::boxed::Box<dyn futures_core::stream::Stream<Item=u8>>",
                true,
            ),
            ("alloc::boxed::Box<dyn core::error::Error>", false),
            (
                "alloc::boxed::Box<dyn core::ops::function::Fn<(core::future::Ready<u8>)>>",
                false,
            ),
            ("alloc::boxed::Box<shop::Future>", false),
        ] {
            assert_eq!(is_dynamic_future(name), is_future, "{name}");
        }
    }

    #[test]
    fn guards_are_not_owned_through_references() {
        assert!(is_followed("&mut shop::Stock", Goal::Future));
        assert!(!is_followed("&mut shop::Stock", Goal::Guard));
        assert!(is_followed("alloc::boxed::Box<shop::Stock>", Goal::Guard));
        assert!(!is_followed("*const shop::Stock", Goal::Future));
    }
}
