//! The states of async functions and blocks, as the debug info describes them.

use std::cell::RefCell;
use std::rc::Rc;

use super::kind;
use super::node::{Label, NOT_STARTED, NodeKind, PANICKED, Place};
use super::plan::{Goal, Plan, Plans};
use crate::debug::{Member, Type, TypeId, Types, Where, public_path};
use crate::hash::FastMap;
use crate::report::HeldKind;
use crate::text::Text;
use crate::value::{Reader, Value};

/// The future that an async function awaits, as the compiler names it.
const AWAITEE: &str = "__awaitee";

/// A state of an async function or block: all that is the same for each future in it.
pub(super) struct State<'d> {
    /// The function: one of the program, or plumbing. Its note is [`NOT_STARTED`], [`PANICKED`], or the macro that the
    /// `.await` is in.
    pub(super) label: Rc<Label>,
    pub(super) stage: Stage,
    /// The size of the coroutine.
    pub(super) size: u64,
    /// The variables that are kept.
    pub(super) locals: Vec<Member<'d>>,
    /// Those of them that may have guards inside.
    pub(super) owners: Vec<Member<'d>>,
    /// The guards that the debug info leaves out of the variables.
    pub(super) hidden: Vec<Hidden<'d>>,
    /// The future that is awaited.
    pub(super) awaitee: Option<Member<'d>>,
}

/// A variable with a guard that the debug info of a state leaves out, as another variable has the same name.
pub(super) struct Hidden<'d> {
    pub(super) name: &'d str,
    pub(super) id: TypeId,
    pub(super) kind: HeldKind,
    /// The offsets in the coroutine at which it may be.
    pub(super) places: Vec<u64>,
    /// The debug info says where it is.
    pub(super) is_exact: bool,
}

/// How far an async function or block has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    NotStarted,
    Suspended,
    Returned,
    Panicked,
}

/// A cache of the types of coroutines, with their states.
#[derive(Default)]
pub(super) struct States<'d> {
    coroutines: RefCell<FastMap<TypeId, Rc<Known<'d>>>>,
}

/// The type of a coroutine in the cache.
struct Known<'d> {
    ty: Rc<Type<'d>>,
    /// The size of the discriminant.
    size: u64,
    /// The states that coroutines of this type were in, by the index of the variant.
    states: RefCell<FastMap<usize, KnownState<'d>>>,
}

/// A state, or `None` for a variant that is not in the debug info.
type KnownState<'d> = Option<Rc<State<'d>>>;

impl<'d> States<'d> {
    /// Returns the state that a coroutine is in, and its fields in this state.
    pub(super) fn read(
        &self,
        reader: &Reader<'_, 'd>,
        plans: &Plans,
        value: Value,
    ) -> Option<(Rc<State<'d>>, Value)> {
        let known = self.coroutines.borrow().get(&value.id).cloned();
        let known = match known {
            Some(known) => known,
            None => self.insert(reader.types, value.id)?,
        };
        let variants = known.ty.structure()?.variants.as_ref()?;
        let number = reader.variant_number(value, variants, known.size)?;
        let variant = &variants.variants.get(number)?.member;
        let state = known.states.borrow().get(&number).cloned();
        let state = state.unwrap_or_else(|| {
            let state = describe(reader.types, plans, value.id, &known.ty, variant).map(Rc::new);
            known.states.borrow_mut().insert(number, state.clone());
            state
        });
        Some((state?, value.member(variant)))
    }

    /// Adds a type to the cache.
    fn insert(&self, types: &Types<'d>, id: TypeId) -> Option<Rc<Known<'d>>> {
        let ty = types.get(id)?;
        let discriminant = ty.structure()?.variants.as_ref()?.discriminant;
        let size = match discriminant {
            Some(discriminant) => types.get(discriminant.id)?.size,
            None => 0,
        };
        let known = Rc::new(Known {
            ty,
            size,
            states: RefCell::default(),
        });
        self.coroutines.borrow_mut().insert(id, Rc::clone(&known));
        Some(known)
    }
}

/// Describes the state of a variant of a coroutine, as the debug info has it.
fn describe<'d>(
    types: &Types<'d>,
    plans: &Plans,
    id: TypeId,
    ty: &Type<'d>,
    variant: &Member<'d>,
) -> Option<State<'d>> {
    let body = types.get(variant.id)?;
    let members = body.structure()?.members.iter();
    let (awaited, locals): (Vec<_>, Vec<_>) =
        members.copied().partition(|member| member.name == AWAITEE);
    let owners = locals.iter().copied();
    let owners = owners.filter(|local| plans.reaches(types, local.id, Goal::Guard));
    let function = types.function(id);
    let (place, note) = place(types, id, ty, variant, &function);
    let stage = match body.name {
        "Unresumed" => Stage::NotStarted,
        "Returned" => Stage::Returned,
        "Panicked" => Stage::Panicked,
        _ => Stage::Suspended,
    };
    let kind = match types.is_runtime(&function) {
        true => NodeKind::Plumbing,
        false => NodeKind::Function,
    };
    let note = match stage {
        Stage::NotStarted => Some(NOT_STARTED.into()),
        Stage::Panicked => Some(PANICKED.into()),
        Stage::Suspended | Stage::Returned => note,
    };
    Some(State {
        label: Rc::new(Label::with(kind, public_path(&function), place, note)),
        stage,
        size: ty.size,
        owners: owners.collect(),
        hidden: hidden(types, plans, id, &body, &locals),
        locals,
        awaitee: awaited.last().copied(),
    })
}

/// Returns the guards that are left out of the variables of a coroutine.
fn hidden<'d>(
    types: &Types<'d>,
    plans: &Plans,
    id: TypeId,
    body: &Type<'d>,
    locals: &[Member<'d>],
) -> Vec<Hidden<'d>> {
    let is_named_twice = |name: &str| locals.iter().filter(|it| it.name == name).count() > 1;
    if !locals.iter().any(|local| is_named_twice(local.name)) {
        return Vec::new();
    }
    let variables = types.variables(id);
    let variables = variables.iter().filter_map(|variable| {
        let Plan::Known(kind::Known::Guard(kind)) = plans.get(types, variable.id, Goal::Guard)
        else {
            return None;
        };
        // The body may be in another unit, which has entries of its own for all types.
        let name_of = |id| types.get(id).map(|ty| ty.name);
        let is_shown = |local: &Member<'_>| {
            local.name == variable.name && name_of(local.id) == name_of(variable.id)
        };
        if !is_named_twice(variable.name) || locals.iter().any(is_shown) {
            return None;
        }
        let (places, is_exact) = match variable.place {
            Where::Stack => return None,
            Where::Coroutine(offset) => (vec![offset], true),
            Where::Unknown => (gaps(types, body), false),
        };
        Some(Hidden {
            name: variable.name,
            id: variable.id,
            kind,
            places,
            is_exact,
        })
    });
    variables.collect()
}

/// The largest size of a coroutine in which variables are looked for.
const SEARCHED: u64 = 80_000;

/// Returns the offsets of the words of a coroutine in which no variable is, as far as it is known.
fn gaps(types: &Types<'_>, body: &Type<'_>) -> Vec<u64> {
    let Some(structure) = body.structure() else {
        return Vec::new();
    };
    let size = |id| types.get(id).map_or(0, |ty| ty.size);
    let members = structure.members.iter();
    let taken: Vec<(u64, u64)> = members
        .map(|member| (member.offset, member.offset.saturating_add(size(member.id))))
        .collect();
    let words = (0..body.size.min(SEARCHED) / 8).map(|word| word * 8);
    words
        .filter(|word| !taken.iter().any(|(from, to)| from <= word && word < to))
        .collect()
}

/// Returns where a coroutine is. The line of an `.await` in a macro of a runtime is that of the macro: then it is the
/// function's own, with the name of the macro.
fn place(
    types: &Types<'_>,
    id: TypeId,
    ty: &Type<'_>,
    variant: &Member<'_>,
    function: &str,
) -> (Option<Place>, Option<Text>) {
    let place = |member: &Member<'_>| {
        let (file, line) = member.place?;
        let file = types.file(id, file)?;
        Some(Place { file, line })
    };
    let here = place(variant);
    let in_macro = here
        .as_ref()
        .filter(|here| !types.is_runtime(function) && is_of_runtime(&here.file));
    let Some(macro_place) = in_macro else {
        return (here, None);
    };
    let note = macro_of(&macro_place.file);
    let variants = ty.structure().and_then(|it| it.variants.as_ref());
    let first = variants.and_then(|variants| variants.variants.first());
    let own = first.and_then(|first| place(&first.member));
    (own, Some(note.into()))
}

/// Returns the name of the macro that a file of a runtime is for: `join!` for `macros/join.rs` and for `join_mod.rs`.
fn macro_of(file: &str) -> String {
    let stem = file.rsplit('/').next().unwrap_or(file);
    let stem = stem.strip_suffix(".rs").unwrap_or(stem);
    let stem = stem.strip_suffix("_mod").unwrap_or(stem);
    format!("{stem}!")
}

/// Returns `true` for files of the crates that are plumbing.
fn is_of_runtime(file: &str) -> bool {
    let package = file.split('/').next().unwrap_or(file);
    let version = package
        .match_indices('-')
        .find(|(at, _)| package[at + 1..].starts_with(|c: char| c.is_ascii_digit()));
    let Some((end, _)) = version else {
        return false;
    };
    crate::debug::is_runtime_crate(&package[..end].replace('-', "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn macros_are_named_by_their_files() {
        assert_eq!(macro_of("tokio-1.40.0/src/macros/select.rs"), "select!");
        let of_futures = "futures-util-0.3.31/src/async_await/join_mod.rs";
        assert_eq!(macro_of(of_futures), "join!");
    }

    #[test]
    fn files_of_runtimes_are_known_by_their_packages() {
        assert!(is_of_runtime("tokio-1.40.0/src/macros/select.rs"));
        assert!(is_of_runtime("futures-util-0.3.31/src/async_await/mod.rs"));
        assert!(!is_of_runtime("hyper-1.0.0/src/lib.rs"));
        assert!(!is_of_runtime("src/macros/select.rs"));
    }
}
