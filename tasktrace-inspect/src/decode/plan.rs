//! The plan for each type: the fields that can lead to a future or to a guard.

use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;

use super::async_lock::AsyncWait;
use super::kind::{self, Known, Leaf};
use crate::debug::{Kind, Structure, Type, TypeId, Types};
use crate::hash::FastMap;

/// The goal of a walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Goal {
    /// Futures that are polled: references to them count.
    Future,
    /// Guards that are owned: references to them do not.
    Guard,
    /// Closures of `spawn_blocking` in a queue.
    Closure,
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
    /// A structure whose field `len` says how much of its arrays is in use: those that lead somewhere.
    Filled(Rc<[Filled]>),
    /// An enum: of the variant that it is, the fields.
    Variants,
}

/// An array of which only the first elements are in use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Filled {
    pub(super) offset: u64,
    pub(super) element: TypeId,
    /// The number of elements that it has room for.
    pub(super) room: u64,
}

/// How a value of a type is searched for futures.
pub(super) struct Step {
    pub(super) plan: Plan,
    /// A value may wait for something other than the futures inside it.
    pub(super) may_wait_elsewhere: bool,
    /// A wrapper of this type gets no line of its own.
    pub(super) is_plain: bool,
}

/// A cache of the plans of types.
#[derive(Default)]
pub(super) struct Plans {
    steps: RefCell<FastMap<TypeId, Rc<Step>>>,
    plans: RefCell<FastMap<(TypeId, Goal), Plan>>,
    reaches: RefCell<FastMap<(TypeId, Goal), bool>>,
    /// By the types of an enum and of a variant: `true` if the variant may wait for something that is not in it.
    variants: RefCell<FastMap<(TypeId, TypeId), bool>>,
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

    /// Returns how a type is searched for futures.
    pub(super) fn step(&self, types: &Types<'_>, id: TypeId) -> Rc<Step> {
        if let Some(step) = self.steps.borrow().get(&id) {
            return Rc::clone(step);
        }
        let plan = self.get(types, id, Goal::Future);
        let step = Rc::new(Step {
            may_wait_elsewhere: self.look_for_other_waits(types, id, &plan),
            is_plain: match plan {
                Plan::Fields(_) | Plan::Variants => is_plain(types, &types.path(id)),
                _ => true,
            },
            plan,
        });
        self.steps.borrow_mut().insert(id, Rc::clone(&step));
        step
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
        let filled = filled(types, structure).filter(|it| self.reaches(types, it.element, goal));
        let filled: Rc<[Filled]> = filled.collect();
        if !filled.is_empty() {
            return Plan::Filled(filled);
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

/// Types that may wait for more than the futures which are found in them.
impl Plans {
    /// Returns `true` if a value of a type may wait for something that is not in one of the values inside.
    ///
    /// Async functions and pointers hide nothing: what they lead to is judged by itself. A future that the program
    /// implements by hand may wait for anything.
    fn look_for_other_waits(&self, types: &Types<'_>, id: TypeId, plan: &Plan) -> bool {
        let is_fields = match plan {
            Plan::Nothing => return true,
            Plan::Fields(_) | Plan::Filled(_) => true,
            Plan::Variants => false,
            _ => return false,
        };
        let path = types.path(id);
        let is_of_language = is_of_language(&path);
        let ty = types.get(id);
        let Some(structure) = ty.as_ref().and_then(|ty| ty.structure()) else {
            return true;
        };
        // Closures of runtimes, such as that of `JoinSet::join_next`, wait for their variables.
        let is_of_program = || {
            let closure = structure.parameters.first();
            !closure.is_some_and(|closure| types.is_runtime(&types.path(*closure)))
        };
        if is_poll_fn(&path) && is_of_program() || !is_of_language && !types.is_runtime(&path) {
            return true;
        }
        // Which variant it is, and what that one hides, is known only from a value.
        if !is_fields {
            return false;
        }
        match is_of_language {
            true => structure
                .members
                .iter()
                .any(|member| self.is_ignored(types, member.id)),
            // Combinators poll the futures that they are generic over.
            false => structure
                .parameters
                .iter()
                .any(|id| self.is_ignored(types, *id) && !is_function(types, *id)),
        }
    }

    /// Returns `true` if a variant of an enum has a future that is not found in it. Results of futures are none.
    pub(super) fn variant_may_wait_elsewhere(
        &self,
        types: &Types<'_>,
        id: TypeId,
        variant: TypeId,
    ) -> bool {
        let key = (id, variant);
        if let Some(known) = self.variants.borrow().get(&key) {
            return *known;
        }
        let of = types.get(id);
        let of = of.as_ref().and_then(|ty| ty.structure());
        let hides = of.is_none_or(|of| self.look_into_variant(types, of, variant));
        self.variants.borrow_mut().insert(key, hides);
        hides
    }

    fn look_into_variant(&self, types: &Types<'_>, of: &Structure<'_>, variant: TypeId) -> bool {
        let ty = types.get(variant);
        let Some(structure) = ty.as_ref().and_then(|ty| ty.structure()) else {
            return true;
        };
        structure
            .members
            .iter()
            .any(|member| of.parameters.contains(&member.id) && self.is_ignored(types, member.id))
    }

    /// Returns `true` for types that the walk passes by, and that may be futures.
    fn is_ignored(&self, types: &Types<'_>, id: TypeId) -> bool {
        !self.reaches(types, id, Goal::Future) && !is_inert(types, id, 0)
    }
}

/// Returns `true` for types that are not worth a line: those of runtimes and of the standard library, tuples, and
/// closures.
fn is_plain(types: &Types<'_>, path: &str) -> bool {
    path.starts_with(['(', '&', '*', '[']) || path.contains('{') || types.is_runtime(path)
}

/// Returns `true` for the paths of types that are what their fields are: tuples, closures, `Pin`, `Option`.
fn is_of_language(path: &str) -> bool {
    path.starts_with(['(', '[', '&', '*'])
        || path.contains("{closure")
        || ["core::", "alloc::", "std::"]
            .iter()
            .any(|krate| path.starts_with(krate))
}

/// Returns `true` for futures whose poll is a closure, which may wait for anything.
pub(super) fn is_poll_fn(path: &str) -> bool {
    path.ends_with("::PollFn")
}

/// Returns `true` for closures and functions, which combinators call rather than poll.
fn is_function(types: &Types<'_>, id: TypeId) -> bool {
    let Some(ty) = types.get(id) else {
        return false;
    };
    ty.name.contains("{closure") || ty.name.starts_with("fn(") || ty.name.starts_with("unsafe fn(")
}

/// Returns `true` for plain data, which no thread can wait for.
fn is_inert(types: &Types<'_>, id: TypeId, depth: usize) -> bool {
    const DEEPEST: usize = 12;
    let Some(ty) = types.get(id).filter(|_| depth < DEEPEST) else {
        return false;
    };
    match &ty.kind {
        Kind::Scalar | Kind::Other => true,
        Kind::Pointer(target) => target.is_some_and(|id| is_inert(types, id, depth + 1)),
        Kind::Array(element, _) => is_inert(types, *element, depth + 1),
        Kind::Structure(structure) => {
            let variants = structure.variants.iter().flat_map(|it| &it.variants);
            let variants = variants.map(|variant| variant.member.id);
            let members = structure.members.iter().map(|member| member.id);
            !structure.is_union
                && is_of_language(&types.path(id))
                && members
                    .chain(variants)
                    .all(|id| is_inert(types, id, depth + 1))
        }
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
        // A `MaybeUninit` may be garbage, unless something says how many of them are not.
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

/// Returns the arrays of `MaybeUninit` in a structure, if it has a field `len`.
fn filled(types: &Types<'_>, structure: &Structure<'_>) -> impl Iterator<Item = Filled> {
    let has_length = structure.members.iter().any(|member| member.name == "len");
    let members = structure.members.iter().filter(move |_| has_length);
    members.filter_map(|member| {
        let Kind::Array(element, room) = types.get(member.id)?.kind else {
            return None;
        };
        let union = types.get(element)?;
        let parts = union.structure().filter(|it| it.is_union)?;
        let value = parts.members.iter().find(|part| part.name == "value")?;
        union.name.starts_with("MaybeUninit<").then_some(Filled {
            offset: member.offset,
            element: value.id,
            room,
        })
    })
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
                Plan::Coroutine | Plan::Dynamic => self.goal != Goal::Closure,
                Plan::Known(known) => match known {
                    Known::Closure => self.goal == Goal::Closure,
                    Known::Leaf(_) if self.goal == Goal::Future => true,
                    Known::Leaf(_) | Known::Timeout | Known::Shared
                        if self.goal == Goal::Closure =>
                    {
                        false
                    }
                    Known::Leaf(
                        Leaf::Acquire | Leaf::Lock(AsyncWait::Write | AsyncWait::Upgrade, _),
                    ) => true,
                    // Messages that were sent and not received.
                    Known::Leaf(Leaf::Channel | Leaf::FuturesChannel | Leaf::Oneshot) => {
                        self.parameters(&ty, 1, next)
                    }
                    Known::Leaf(_) => false,
                    Known::Guard(_) => self.goal == Goal::Guard,
                    Known::Timeout | Known::Shared => true,
                    // Futures behind an `Arc` may be polled by another task, or by none.
                    Known::Arc if self.goal == Goal::Future => false,
                    Known::Vec
                    | Known::SmallVec
                    | Known::VecDeque
                    | Known::LinkedList
                    | Known::HashTable
                    | Known::Arc
                    | Known::FuturesUnordered => self.parameters(&ty, 1, next),
                    Known::BTreeMap => self.parameters(&ty, 2, next),
                    Known::Opaque => false,
                },
                Plan::Pointer(target) => self.reaches(target, next),
                Plan::Array(element, count) => count > 0 && self.reaches(element, next),
                Plan::Slice => {
                    let element = slice_element(self.types, &ty);
                    element.is_some_and(|id| self.reaches(id, next))
                }
                Plan::Nothing | Plan::Fields(_) | Plan::Filled(_) | Plan::Variants => false,
            },
            Shape::Structure => {
                let Some(structure) = ty.structure() else {
                    return false;
                };
                let variants = structure.variants.iter().flat_map(|it| &it.variants);
                let variants = variants.map(|variant| variant.member.id);
                let members = structure.members.iter().map(|member| member.id);
                let filled = filled(self.types, structure).map(|it| it.element);
                members
                    .chain(variants)
                    .chain(filled)
                    .any(|member| self.reaches(member, next))
            }
        }
    }

    /// Returns `true` if what is looked for can be reached from one of the first generic arguments.
    fn parameters(&mut self, ty: &Type<'_>, count: usize, depth: usize) -> bool {
        let parameters = ty.structure().map_or(&[][..], |it| &it.parameters);
        let mut first = parameters.iter().take(count);
        first.any(|id| self.reaches(*id, depth))
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
