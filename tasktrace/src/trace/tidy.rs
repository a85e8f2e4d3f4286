//! The frames that a reader wants to see of a stack.
//!
//! * The functions of the program, each once: the body of an async fn is a closure to the
//!   compiler, and an attribute may have put another into it.
//! * A closure only where it is an async block, which has `.await`s of its own. What `poll_fn`,
//!   `select!` and `join!` call is a closure as well, but only the function that awaits it is of
//!   interest.
//! * Below the last function of the program, one frame for the resource that it waits for.
//! * The names and places that the attributes know, where there are no symbols.

mod combinators;
mod path;

use self::path::Path;
use super::Tree;
use super::build::{Builder, Finished};
use super::frame::{Place, Wait};
use super::live;
use super::notes::Survey;
use super::pattern::Grown;
use crate::capture::{Entry, LeafKind, Marker, RawTrace, Stack};
use crate::origin::Identity;
use crate::symbol::{self, Paths, Symbol, Symbols};

pub(super) fn tree(raw: &RawTrace, awaited: &[(u64, &Tree)]) -> Grown {
    let mut builder = Builder::default();
    let mut survey = Survey::default();
    let resolved: Vec<Vec<Part<'_>>> = raw
        .stacks
        .iter()
        .map(|stack| parts(raw, stack, &mut survey))
        .collect();
    for part in resolved.iter().flatten() {
        learn_workspaces(part, raw);
    }
    let paths = Paths::current();
    let own = combinators::own_registrations(raw, &resolved);
    for ((stack, parts), own) in raw.stacks.iter().zip(&resolved).zip(own) {
        if own {
            continue;
        }
        let mut path = Path::new(&paths, stack.kind, raw.task);
        for part in parts {
            path.push(part);
        }
        let (frames, resource) = path.finish();
        builder.add(frames, resource, wait(stack.kind), stack.count);
    }
    live::add(raw, awaited, &mut builder);
    let Finished { frames, seen } = builder.finish();
    let notes = survey.notes(raw);
    Grown {
        tree: Tree { frames, notes },
        seen,
        paths,
    }
}

pub(super) fn wait(kind: LeafKind) -> Wait {
    match kind {
        LeafKind::Registered => Wait::Registered,
        LeafKind::Woken => Wait::Yielded,
        LeafKind::NoWaker => Wait::NoWaker,
        LeafKind::Here | LeafKind::Sampled => Wait::Running,
    }
}

/// Stands for frames that were not recorded.
pub(super) fn cut() -> Place {
    Place {
        name: "(frames nearer to the root were not recorded: the stack is too deep)".into(),
        ..Place::default()
    }
}

/// Stands for frames of which nothing is known.
pub(super) fn lost() -> Place {
    Place {
        name: "(frames nearer to the root are not known: the stack could not be followed)".into(),
        ..Place::default()
    }
}

/// What is known of a task or a frame without symbols.
pub(super) fn place_of(identity: &Identity) -> Place {
    let origin = identity.origin();
    Place {
        file: Some(origin.file().into()),
        line: Some(origin.line()),
        column: Some(origin.column()),
        name: symbol::split_name(origin.path()).function.into(),
        label: identity.label(),
    }
}

/// An entry of a stack, resolved.
enum Part<'a> {
    /// The functions at an address, and the tasks and frames whose polls are among them.
    Functions(Symbols, Vec<&'a Marker>),
    /// The first of these has given up its frame to the functions that follow.
    TailCaller(Symbols),
    /// The task.
    Root(&'a Marker),
    /// Stands for frames that are missing.
    Missing(Place),
}

fn parts<'a>(raw: &'a RawTrace, stack: &Stack, survey: &mut Survey) -> Vec<Part<'a>> {
    let mut parts = Vec::new();
    let mut caller = None;
    for entry in raw.entries(stack) {
        match entry {
            Entry::Ip(address) => {
                let symbols = symbol::resolve(address);
                survey.see(&symbols);
                let caller = caller.replace(address);
                let between =
                    caller.and_then(|caller| symbol::tail_caller(caller, address, &symbols));
                parts.extend(between.map(Part::TailCaller));
                let is_recording = symbols.iter().any(Symbol::is_recording);
                parts.push(Part::Functions(symbols, Vec::new()));
                // What that calls is not shown, and so need not be looked up.
                if is_recording {
                    break;
                }
            }
            Entry::Marker(index) => match (raw.marker(index), parts.last_mut()) {
                (Some(marker), Some(Part::Functions(_, markers))) => markers.push(marker),
                (Some(marker), _) => parts.push(Part::Root(marker)),
                (None, _) => {}
            },
            Entry::Cut => parts.push(Part::Missing(cut())),
            Entry::Lost => parts.push(Part::Missing(lost())),
        }
    }
    parts
}

/// The attributes know paths relative to the workspace, the symbols know them whole.
fn learn_workspaces(part: &Part<'_>, raw: &RawTrace) {
    let Part::Functions(symbols, _) = part else {
        return;
    };
    for file in symbols.iter().filter_map(|symbol| symbol.file.as_deref()) {
        for marker in raw.markers() {
            symbol::learn_workspace(marker.identity.origin().file(), file);
        }
    }
}
