//! Everything that is on the stack, as it is.

use std::sync::Arc;

use super::Tree;
use super::build::Builder;
use super::frame::Place;
use super::notes::Survey;
use super::tidy::wait;
use crate::capture::{Entry, RawTrace};
use crate::symbol::{self, Symbol};

fn place(symbol: &Symbol) -> Place {
    Place {
        file: symbol.file.clone(),
        line: symbol.line,
        column: symbol.column,
        name: Arc::clone(&symbol.name),
        label: None,
    }
}

pub(super) fn tree(raw: &RawTrace) -> Tree {
    let mut builder = Builder::default();
    let mut survey = Survey::default();
    for stack in &raw.stacks {
        let mut path = Vec::new();
        for entry in raw.entries(*stack) {
            match entry {
                Entry::Ip(address) => {
                    let symbols = symbol::resolve(*address);
                    survey.see(&symbols);
                    if symbols.is_empty() {
                        path.push(Place {
                            name: format!("{:#x}", address.0).into(),
                            ..Place::default()
                        });
                    }
                    path.extend(symbols.iter().map(place));
                    if symbols.iter().any(Symbol::is_recording) {
                        break;
                    }
                }
                Entry::Cut => path.push(super::tidy::cut()),
                Entry::Marker(_) => {}
            }
        }
        if path.is_empty() {
            // Nothing was polled that left a trace: say at least what the task is.
            path.extend(raw.entries(*stack).iter().filter_map(|entry| {
                match entry {
                    Entry::Marker(index) => raw
                        .marker(*index)
                        .map(|marker| super::tidy::place_of(&marker.identity)),
                    _ => None,
                }
            }));
        }
        let path = path.into_iter().map(|place| (place, Vec::new()));
        builder.add(path, None, wait(stack.kind), stack.count);
    }
    if raw.stacks.is_empty() {
        super::live::add(raw, &mut builder);
    }
    Tree {
        frames: builder.finish(),
        notes: survey.notes(raw),
    }
}
