//! What samples refer to, each once.

use std::collections::HashMap;

use super::message::{Function, Line, Location};
use crate::render::folded::function;
use crate::trace::Frame;

/// The number of the one mapping: the program.
pub(super) const PROGRAM: u64 = 1;

/// The texts, functions and locations of a profile.
pub(super) struct Tables {
    pub(super) texts: Vec<String>,
    texts_at: HashMap<String, i64>,
    pub(super) functions: Vec<Function>,
    functions_at: HashMap<(i64, i64), u64>,
    pub(super) locations: Vec<Location>,
    locations_at: HashMap<(u64, u32, u32), u64>,
}

impl Tables {
    pub(super) fn new() -> Self {
        let mut tables = Self {
            texts: Vec::new(),
            texts_at: HashMap::new(),
            functions: Vec::new(),
            functions_at: HashMap::new(),
            locations: Vec::new(),
            locations_at: HashMap::new(),
        };
        // The first has to be.
        tables.text("");
        tables
    }

    /// Where in the table of texts one is.
    pub(super) fn text(&mut self, text: &str) -> i64 {
        if let Some(at) = self.texts_at.get(text) {
            return *at;
        }
        let at = i64::try_from(self.texts.len()).unwrap_or(0);
        self.texts.push(text.to_owned());
        self.texts_at.insert(text.to_owned(), at);
        at
    }

    /// The number of the location of a frame.
    pub(super) fn frame(&mut self, frame: &Frame) -> u64 {
        let function = self.function(function(frame), frame.file().unwrap_or_default());
        let line = frame.line().unwrap_or(0);
        let column = frame.column().unwrap_or(0);
        self.location(function, line, column)
    }

    /// The number of a location of which a name is known.
    pub(super) fn name(&mut self, name: &str) -> u64 {
        let function = self.function(name, "");
        self.location(function, 0, 0)
    }

    fn function(&mut self, name: &str, file: &str) -> u64 {
        let name = self.text(name);
        let filename = self.text(file);
        let functions = &mut self.functions;
        *self
            .functions_at
            .entry((name, filename))
            .or_insert_with(|| {
                let id = functions.len() as u64 + 1;
                functions.push(Function {
                    id,
                    name,
                    system_name: name,
                    filename,
                });
                id
            })
    }

    fn location(&mut self, function_id: u64, line: u32, column: u32) -> u64 {
        let locations = &mut self.locations;
        let key = (function_id, line, column);
        *self.locations_at.entry(key).or_insert_with(|| {
            let id = locations.len() as u64 + 1;
            locations.push(Location {
                id,
                mapping_id: PROGRAM,
                line: vec![Line {
                    function_id,
                    line: line.into(),
                    column: column.into(),
                }],
            });
            id
        })
    }
}
