//! Simplifies the stacks of a trace to the frames that a reader wants to see.
//!
//! These are:
//!
//! * The functions of the program, each once. The body of an async fn is a closure to the compiler, and an attribute
//!   may have put another closure into it.
//! * A closure only if it is an async block, which has `.await`s of its own. `poll_fn`, `select!` and `join!` call
//!   closures as well, but for these only the function that awaits them is shown.
//! * Below the last function of the program, one frame for the resource that it waits for.
//! * The names and places from the attributes, if there are no symbols.

mod combinators;
mod leaf_path;

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use self::leaf_path::LeafPath;
use super::Tree;
use super::frame::{FramePlace, LineIs, Wait};
use super::interned_tree::BuiltTree;
use super::live_frames;
use super::notes::SymbolCoverage;
use super::shared_prefix::SharedPrefix;
use super::tree_builder::{FinishedTree, TreeBuilder};
use crate::capture::{LeafKind, RawTrace, ScopeMarker, Stack, StackEntry, is_recording};
use crate::origin::{Identity, Origin};
use crate::symbol::{self, PathShortener, ReturnAddress, Symbols};
use crate::sync::is_cancelled;

/// Builds the tree that `{}` prints. `awaited` has the trees of the tasks whose handles the trace awaits.
pub(super) fn tree(raw: &RawTrace, awaited: &[(u64, &Tree)]) -> BuiltTree {
    let mut builder = TreeBuilder::default();
    let mut resolver = Resolver::start();
    learn_crates(raw);
    let resolved = ResolvedStacks::of(raw, &mut resolver);
    learn_workspaces(raw, &resolved.parts);
    let paths = PathShortener::current();
    let is_own = combinators::own_registrations(raw, &resolved);
    let is_sampled = raw.stacks().iter().any(|it| it.kind == LeafKind::Sampled);
    let mut path = LeafPath::new(&paths, is_sampled, raw.task);
    for ((stack, stack_parts), is_own) in raw.stacks().iter().zip(&resolved.stacks).zip(is_own) {
        if is_cancelled() {
            break;
        }
        path.follow(&resolved.parts, stack_parts);
        if !is_own {
            path.add_to(&mut builder, stack.kind, stack.count);
        }
    }
    live_frames::add(raw, awaited, &mut builder);
    let FinishedTree { frames, live_times } = builder.finish();
    let notes = resolver.coverage.notes(raw);
    BuiltTree {
        tree: Tree { frames, notes },
        live_times,
        paths,
    }
}

/// Returns how a leaf of this kind waits.
pub(super) fn wait(kind: LeafKind) -> Wait {
    match kind {
        LeafKind::Registered | LeafKind::AwaitsTrace | LeafKind::AwaitsDump => Wait::Registered,
        LeafKind::Woken => Wait::Yielded,
        LeafKind::NoWaker => Wait::NoWaker,
        LeafKind::Here | LeafKind::Sampled => Wait::Running,
    }
}

/// Returns `true` if the stack was sampled while its thread recorded a stack itself, and `address` is in the function
/// that does so.
pub(super) fn is_in_recorder(stack: &Stack, address: ReturnAddress) -> bool {
    stack.kind == LeafKind::Sampled && is_recording(address)
}

/// Returns the place that stands for frames that were not recorded.
pub(super) fn cut() -> FramePlace {
    FramePlace {
        name: "(frames nearer to the root were not recorded: the stack is too deep)".into(),
        ..FramePlace::default()
    }
}

/// Returns the place that stands for frames of which nothing is known.
pub(super) fn lost() -> FramePlace {
    FramePlace {
        name: "(frames nearer to the root are not known: the stack could not be followed)".into(),
        ..FramePlace::default()
    }
}

/// Returns the place of a task or a frame as its origin knows it, without symbols.
pub(super) fn place_of(identity: &Identity) -> FramePlace {
    let origin = identity.origin();
    FramePlace {
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

/// An entry of a stack with its symbols.
enum StackPart<'a> {
    /// The functions at an address, and the markers of the tasks and frames that they poll.
    Functions(Symbols, Vec<&'a ScopeMarker>),
    /// A function that is not on the stack because it has called the next function by a tail call. It is the first of
    /// the symbols.
    TailCaller(Symbols),
    /// The marker of the task.
    Root(&'a ScopeMarker),
    /// The place that stands for missing frames.
    Missing(FramePlace),
}

/// Looks up the addresses of a trace, each only once, because the stacks have most of their addresses in common.
struct Resolver {
    coverage: SymbolCoverage,
    /// The results, by the address of the caller and the address.
    known: HashMap<(Option<ReturnAddress>, ReturnAddress), Resolved>,
}

/// The symbols of an address.
struct Resolved {
    symbols: Symbols,
    /// The function that the caller has called, if it has reached the address by a tail call.
    tail_caller: Option<Symbols>,
}

impl Resolver {
    fn start() -> Self {
        Self {
            coverage: SymbolCoverage::start(),
            known: HashMap::new(),
        }
    }

    fn resolve(&mut self, caller: Option<ReturnAddress>, address: ReturnAddress) -> &Resolved {
        self.known.entry((caller, address)).or_insert_with(|| {
            let symbols = symbol::resolve(address);
            self.coverage.count(&symbols);
            let tail_caller =
                caller.and_then(|caller| symbol::tail_caller(caller, address, &symbols));
            Resolved {
                tail_caller,
                symbols,
            }
        })
    }
}

/// The stacks of a trace with their symbols. Each stack shares its first parts with the previous one.
struct ResolvedStacks<'a> {
    parts: Vec<StackPart<'a>>,
    stacks: Vec<StackParts>,
}

/// The parts of a stack.
struct StackParts {
    /// The number of parts of the previous stack that are the first parts of this stack.
    shared: usize,
    /// The indices of the other parts.
    own: Range<usize>,
}

impl<'a> ResolvedStacks<'a> {
    fn of(raw: &'a RawTrace, resolver: &mut Resolver) -> Self {
        let mut parts = Vec::new();
        let mut stacks = Vec::new();
        let mut shared = SharedPrefix::default();
        for stack in raw.stacks().iter().take_while(|_| !is_cancelled()) {
            let same = shared.follow(raw, stack);
            let start = parts.len();
            let mut caller = shared.caller();
            while let Some(entry) = shared.next() {
                match entry {
                    // The frames below are those of this crate while it records a stack, which are not shown.
                    StackEntry::Ip(address) if is_in_recorder(stack, address) => shared.end(),
                    StackEntry::Ip(address) => {
                        let resolved = resolver.resolve(caller.replace(address), address);
                        let between = resolved.tail_caller.as_ref();
                        parts.extend(between.map(Arc::clone).map(StackPart::TailCaller));
                        parts.push(StackPart::Functions(
                            Arc::clone(&resolved.symbols),
                            Vec::new(),
                        ));
                    }
                    StackEntry::Marker(index) => {
                        match (raw.marker(index), parts[start..].last_mut()) {
                            (Some(marker), Some(StackPart::Functions(_, markers))) => {
                                markers.push(marker)
                            }
                            (Some(marker), _) => parts.push(StackPart::Root(marker)),
                            (None, _) => {}
                        }
                    }
                    StackEntry::Cut => parts.push(StackPart::Missing(cut())),
                    StackEntry::Lost => parts.push(StackPart::Missing(lost())),
                }
                shared.record(same + parts.len() - start);
            }
            stacks.push(StackParts {
                shared: same,
                own: start..parts.len(),
            });
        }
        Self { parts, stacks }
    }
}

/// Learns which crates belong to the program: the crates that have attributes, whatever their names are.
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

/// Learns the workspaces of the program: the attributes have paths relative to the workspace, and the symbols have
/// absolute paths.
///
/// Each file is examined once, however many frames it has.
fn learn_workspaces(raw: &RawTrace, parts: &[StackPart<'_>]) {
    let origins = raw.markers().iter().map(|marker| marker.identity.origin());
    let relative: HashSet<&str> = origins.map(|origin| origin.file()).collect();
    let symbols = parts.iter().flat_map(|part| match part {
        StackPart::Functions(symbols, _) => &**symbols,
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
