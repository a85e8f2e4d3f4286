//! Numbers the texts, functions and locations of a profile, so that each is written once.

use std::collections::HashMap;

use super::message::{PprofFunction, PprofLine, PprofLocation};
use crate::render::folded::function;
use crate::trace::Frame;

/// The number of the one mapping: the program.
pub(super) const PROGRAM: u64 = 1;

/// The texts, functions and locations of a profile.
pub(super) struct PprofTables {
    pub(super) texts: Vec<String>,
    texts_at: HashMap<String, i64>,
    pub(super) functions: Vec<PprofFunction>,
    functions_at: HashMap<(i64, i64), u64>,
    pub(super) locations: Vec<PprofLocation>,
    locations_at: HashMap<(u64, u32, u32), u64>,
}

impl PprofTables {
    pub(super) fn new() -> Self {
        let mut tables = Self {
            texts: Vec::new(),
            texts_at: HashMap::new(),
            functions: Vec::new(),
            functions_at: HashMap::new(),
            locations: Vec::new(),
            locations_at: HashMap::new(),
        };
        // The first text must be the empty one.
        tables.text("");
        tables
    }

    /// Returns the position of a text in the table of texts, and adds the text if it is new.
    pub(super) fn text(&mut self, text: &str) -> i64 {
        if let Some(at) = self.texts_at.get(text) {
            return *at;
        }
        let at = i64::try_from(self.texts.len()).unwrap_or(0);
        self.texts.push(text.to_owned());
        self.texts_at.insert(text.to_owned(), at);
        at
    }

    /// Returns the number of the location of a frame.
    pub(super) fn frame(&mut self, frame: &Frame) -> u64 {
        let function = self.function(function(frame), frame.file().unwrap_or_default());
        let line = frame.line().unwrap_or(0);
        let column = frame.column().unwrap_or(0);
        self.location(function, line, column)
    }

    /// Returns the number of a location that has only a name.
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
                functions.push(PprofFunction {
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
            locations.push(PprofLocation {
                id,
                mapping_id: PROGRAM,
                line: vec![PprofLine {
                    function_id,
                    line: line.into(),
                    column: column.into(),
                }],
            });
            id
        })
    }
}
