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

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use self::path::Path;
use super::Tree;
use super::build::{Builder, Finished};
use super::frame::{LineIs, Place, Wait};
use super::live;
use super::notes::Survey;
use super::pattern::Grown;
use super::shared::Shared;
use crate::capture::{Entry, LeafKind, Marker, RawTrace, Stack, is_recording};
use crate::origin::{Identity, Origin};
use crate::symbol::{self, Paths, ReturnAddress, Symbols};
use crate::sync::is_unwanted;

pub(super) fn tree(raw: &RawTrace, awaited: &[(u64, &Tree)]) -> Grown {
    let mut builder = Builder::default();
    let mut resolver = Resolver::start();
    learn_crates(raw);
    let lines = Lines::of(raw, &mut resolver);
    learn_workspaces(raw, &lines.parts);
    let paths = Paths::current();
    let own = combinators::own_registrations(raw, &lines);
    let is_sampled = raw.stacks().iter().any(|it| it.kind == LeafKind::Sampled);
    let mut path = Path::new(&paths, is_sampled, raw.task);
    for ((stack, line), own) in raw.stacks().iter().zip(&lines.lines).zip(own) {
        if is_unwanted() {
            break;
        }
        path.follow(&lines.parts, line);
        if !own {
            path.add_to(&mut builder, stack.kind, stack.count);
        }
    }
    live::add(raw, awaited, &mut builder);
    let Finished { frames, seen } = builder.finish();
    let notes = resolver.survey.notes(raw);
    Grown {
        tree: Tree { frames, notes },
        seen,
        paths,
    }
}

pub(super) fn wait(kind: LeafKind) -> Wait {
    match kind {
        LeafKind::Registered | LeafKind::AwaitsTrace | LeafKind::AwaitsDump => Wait::Registered,
        LeafKind::Woken => Wait::Yielded,
        LeafKind::NoWaker => Wait::NoWaker,
        LeafKind::Here | LeafKind::Sampled => Wait::Running,
    }
}

/// Returns `true` if the thread was interrupted while it recorded a stack, in the function at `address`.
pub(super) fn is_answering(stack: &Stack, address: ReturnAddress) -> bool {
    stack.kind == LeafKind::Sampled && is_recording(address)
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
        is_library: symbol::is_in_library(origin.file()),
        line_is: match origin {
            Origin::Function(_) => LineIs::Definition,
            Origin::Call { .. } | Origin::Named { .. } | Origin::Wait { .. } => LineIs::Creation,
        },
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

/// Looks up the addresses of a trace, each once: most stacks have most of theirs in common.
struct Resolver {
    survey: Survey,
    /// By the address that has called, and the address.
    known: HashMap<(Option<ReturnAddress>, ReturnAddress), Resolved>,
}

struct Resolved {
    symbols: Symbols,
    /// The function that was called, if it is another than the one at the address.
    tail_caller: Option<Symbols>,
}

impl Resolver {
    fn start() -> Self {
        Self {
            survey: Survey::start(),
            known: HashMap::new(),
        }
    }

    fn resolve(&mut self, caller: Option<ReturnAddress>, address: ReturnAddress) -> &Resolved {
        self.known.entry((caller, address)).or_insert_with(|| {
            let symbols = symbol::resolve(address);
            self.survey.see(&symbols);
            let tail_caller =
                caller.and_then(|caller| symbol::tail_caller(caller, address, &symbols));
            Resolved {
                tail_caller,
                symbols,
            }
        })
    }
}

/// The stacks of a trace, resolved. Each has its first parts from the one before.
struct Lines<'a> {
    parts: Vec<Part<'a>>,
    lines: Vec<Line>,
}

/// The parts of a stack.
struct Line {
    /// How many of the one before are also the first of this one.
    shared: usize,
    /// The others.
    own: Range<usize>,
}

impl<'a> Lines<'a> {
    fn of(raw: &'a RawTrace, resolver: &mut Resolver) -> Self {
        let mut parts = Vec::new();
        let mut lines = Vec::new();
        let mut shared = Shared::default();
        for stack in raw.stacks().iter().take_while(|_| !is_unwanted()) {
            let same = shared.follow(raw, stack);
            let start = parts.len();
            let mut caller = shared.caller();
            while let Some(entry) = shared.next() {
                match entry {
                    // The thread was about to answer: how that is done is of no interest.
                    Entry::Ip(address) if is_answering(stack, address) => shared.end(),
                    Entry::Ip(address) => {
                        let resolved = resolver.resolve(caller.replace(address), address);
                        let between = resolved.tail_caller.as_ref();
                        parts.extend(between.map(Arc::clone).map(Part::TailCaller));
                        parts.push(Part::Functions(Arc::clone(&resolved.symbols), Vec::new()));
                    }
                    Entry::Marker(index) => match (raw.marker(index), parts[start..].last_mut()) {
                        (Some(marker), Some(Part::Functions(_, markers))) => markers.push(marker),
                        (Some(marker), _) => parts.push(Part::Root(marker)),
                        (None, _) => {}
                    },
                    Entry::Cut => parts.push(Part::Missing(cut())),
                    Entry::Lost => parts.push(Part::Missing(lost())),
                }
                shared.made(same + parts.len() - start);
            }
            lines.push(Line {
                shared: same,
                own: start..parts.len(),
            });
        }
        Self { parts, lines }
    }
}

/// The crates that have attributes are the program's, whatever they are called.
fn learn_crates(raw: &RawTrace) {
    let origins = raw.markers().iter().map(|marker| marker.identity.origin());
    let mut functions: Vec<Origin> = origins
        .filter(|origin| matches!(origin, Origin::Function(_)))
        .collect();
    functions.sort_unstable_by_key(|origin| origin.address());
    functions.dedup_by_key(|origin| origin.address());
    for origin in functions {
        symbol::learn_crate(origin.path(), origin.file());
    }
}

/// The attributes know paths relative to the workspace, the symbols know them whole.
///
/// Each file is looked at once, however many frames are in it.
fn learn_workspaces(raw: &RawTrace, parts: &[Part<'_>]) {
    let origins = raw.markers().iter().map(|marker| marker.identity.origin());
    let relative: HashSet<&str> = origins.map(|origin| origin.file()).collect();
    let symbols = parts.iter().flat_map(|part| match part {
        Part::Functions(symbols, _) => &**symbols,
        _ => &[],
    });
    let absolute: HashSet<&str> = symbols
        .filter_map(|symbol| symbol.file.as_deref())
        .collect();
    for absolute in absolute {
        for relative in &relative {
            symbol::learn_workspace(relative, absolute);
        }
    }
}
