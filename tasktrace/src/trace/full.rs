//! Everything that is on the stack, as it is.

use std::sync::Arc;

use super::Tree;
use super::build::{Builder, Finished};
use super::frame::{LineIs, Place};
use super::notes::Survey;
use super::pattern::Grown;
use super::shared::Shared;
use super::tidy::{is_answering, wait};
use crate::capture::{Entry, RawTrace};
use crate::symbol::{self, Paths, Symbol};
use crate::sync::is_unwanted;

fn place(symbol: &Symbol) -> Place {
    Place {
        file: symbol.file.clone(),
        line: symbol.line,
        column: symbol.column,
        name: Arc::clone(&symbol.name),
        label: None,
        is_library: symbol.is_library,
        line_is: LineIs::Current,
    }
}

pub(super) fn tree(raw: &RawTrace, awaited: &[(u64, &Tree)]) -> Grown {
    let mut builder = Builder::default();
    let mut survey = Survey::start();
    let mut shared = Shared::default();
    let mut path: Vec<(Place, Vec<u64>)> = Vec::new();
    // Where the frames of the path are in the tree.
    let mut nodes: Vec<usize> = Vec::new();
    for stack in raw.stacks().iter().take_while(|_| !is_unwanted()) {
        let same = shared.follow(raw, stack);
        if same == 0 {
            // The keys that may be left belong to frames that come after them.
            shared.forget();
        }
        path.truncate(same);
        nodes.truncate(same);
        // The keys of what is polled in a function that is still to come.
        let mut keys = Vec::new();
        while let Some(entry) = shared.next() {
            let before = path.len();
            match entry {
                Entry::Ip(address) => {
                    let symbols = symbol::resolve(address);
                    survey.see(&symbols);
                    if symbols.is_empty() {
                        let place = Place {
                            name: format!("{:#x}", address.0).into(),
                            ..Place::default()
                        };
                        path.push((place, Vec::new()));
                    }
                    path.extend(symbols.iter().map(|symbol| (place(symbol), Vec::new())));
                    if is_answering(stack, address) {
                        shared.end();
                    }
                }
                Entry::Cut => path.push((super::tidy::cut(), Vec::new())),
                Entry::Lost => path.push((super::tidy::lost(), Vec::new())),
                Entry::Marker(index) => {
                    let marker = raw.marker(index);
                    let marker = marker.filter(|marker| marker.task == raw.task);
                    keys.extend(marker.and_then(|marker| marker.key));
                }
            }
            // Of the functions at an address, the first is the one that was called.
            let at = before.min(path.len().saturating_sub(1));
            if let Some((_, known)) = path.get_mut(at) {
                known.append(&mut keys);
            }
            shared.made(path.len());
        }
        if path.is_empty() {
            // Nothing was polled that left a trace: say at least what the task is.
            path.extend(raw.entries(stack).filter_map(|entry| match entry {
                Entry::Marker(index) => {
                    let marker = raw.marker(index)?;
                    let keys = marker.key.into_iter().collect();
                    Some((super::tidy::place_of(&marker.identity), keys))
                }
                _ => None,
            }));
            shared.forget();
        }
        for (place, keys) in &path[nodes.len()..] {
            nodes.push(builder.step(nodes.last().copied(), place.clone(), keys));
        }
        builder.leaf(nodes.last().copied(), None, wait(stack.kind), stack.count);
    }
    super::live::add(raw, awaited, &mut builder);
    let Finished { frames, seen } = builder.finish();
    let notes = survey.notes(raw);
    Grown {
        tree: Tree { frames, notes },
        seen,
        // It has them as they are.
        paths: Paths::current(),
    }
}
