//! Converts the stacks of a trace to a tree without simplification.

use std::sync::Arc;

use super::Tree;
use super::frame::{FramePlace, LineIs};
use super::interned_tree::BuiltTree;
use super::notes::SymbolCoverage;
use super::shared_prefix::SharedPrefix;
use super::simplify::{is_in_recorder, wait};
use super::tree_builder::{FinishedTree, TreeBuilder};
use crate::capture::{RawTrace, StackEntry};
use crate::symbol::{self, PathShortener, Symbol};
use crate::sync::is_cancelled;

/// Returns the place of a function.
fn place(symbol: &Symbol) -> FramePlace {
    FramePlace {
        file: symbol.file.clone(),
        line: symbol.line,
        column: symbol.column,
        name: Arc::clone(&symbol.name),
        label: None,
        is_library: symbol.is_library,
        line_is: LineIs::Current,
    }
}

/// Builds the tree that `{:#}` prints. `awaited` has the trees of the tasks whose handles the trace awaits.
pub(super) fn tree(raw: &RawTrace, awaited: &[(u64, &Tree)]) -> BuiltTree {
    let mut builder = TreeBuilder::default();
    let mut coverage = SymbolCoverage::start();
    let mut shared = SharedPrefix::default();
    let mut path: Vec<(FramePlace, Vec<u64>)> = Vec::new();
    // The indices of the frames of the path in the tree.
    let mut nodes: Vec<usize> = Vec::new();
    for stack in raw.stacks().iter().take_while(|_| !is_cancelled()) {
        let same = shared.follow(raw, stack);
        if same == 0 {
            // No frames are shared, but markers before the first frame may be. Their keys have not been given to a
            // frame yet, so all entries are converted again.
            shared.forget();
        }
        path.truncate(same);
        nodes.truncate(same);
        // The keys of the tasks and frames that are polled by a function that has not been added yet.
        let mut keys = Vec::new();
        while let Some(entry) = shared.next() {
            let before = path.len();
            match entry {
                StackEntry::Ip(address) => {
                    let symbols = symbol::resolve(address);
                    coverage.count(&symbols);
                    if symbols.is_empty() {
                        let place = FramePlace {
                            name: format!("{:#x}", address.0).into(),
                            ..FramePlace::default()
                        };
                        path.push((place, Vec::new()));
                    }
                    path.extend(symbols.iter().map(|symbol| (place(symbol), Vec::new())));
                    if is_in_recorder(stack, address) {
                        shared.end();
                    }
                }
                StackEntry::Cut => path.push((super::simplify::cut(), Vec::new())),
                StackEntry::Lost => path.push((super::simplify::lost(), Vec::new())),
                StackEntry::Marker(index) => {
                    let marker = raw.marker(index);
                    let marker = marker.filter(|marker| marker.task == raw.task);
                    keys.extend(marker.and_then(|marker| marker.key));
                }
            }
            // The first of the functions at an address is the one that was called. The others were inlined into it.
            let at = before.min(path.len().saturating_sub(1));
            if let Some((_, known)) = path.get_mut(at) {
                known.append(&mut keys);
            }
            shared.record(path.len());
        }
        if path.is_empty() {
            // The stack has no addresses, so at least the task is shown.
            path.extend(raw.entries(stack).filter_map(|entry| match entry {
                StackEntry::Marker(index) => {
                    let marker = raw.marker(index)?;
                    let keys = marker.key.into_iter().collect();
                    Some((super::simplify::place_of(&marker.identity), keys))
                }
                _ => None,
            }));
            shared.forget();
        }
        for (place, keys) in &path[nodes.len()..] {
            nodes.push(builder.add_frame(nodes.last().copied(), place.clone(), keys));
        }
        builder.add_leaf(nodes.last().copied(), None, wait(stack.kind), stack.count);
    }
    super::live_frames::add(raw, awaited, &mut builder);
    let FinishedTree { frames, live_times } = builder.finish();
    let notes = coverage.notes(raw);
    BuiltTree {
        tree: Tree { frames, notes },
        live_times,
        // Symbols have paths as they are in the debug information, so no particular paths were used.
        paths: PathShortener::current(),
    }
}
