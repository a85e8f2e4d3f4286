//! What to call the thing that a leaf waits for.

use super::frame::Place;
use crate::symbol::{Class, Paths, Symbol};

/// The frame for a resource, given the functions of runtimes that lead to the waker.
pub(super) fn place(functions: &[&Symbol], paths: &Paths) -> Option<Place> {
    let symbol = functions
        .iter()
        .find(|symbol| !is_wrapper(&symbol.function))
        .or_else(|| functions.last())?;
    Some(Place {
        file: symbol
            .file
            .as_deref()
            .map(|file| paths.shorten(file).into()),
        line: symbol.line,
        column: symbol.column,
        name: name(symbol).into(),
        label: None,
    })
}

fn is_wrapper(_function: &str) -> bool {
    false
}

fn name(symbol: &Symbol) -> String {
    if symbol.class == Class::OurLeaf {
        return "tasktrace::TraceHandle::backtrace".to_owned();
    }
    symbol.function.to_string()
}
