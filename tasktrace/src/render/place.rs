//! Writes the source location of a frame.
//!
//! The wording differs, so that a reader does not confuse the line at which a function waits with the line that
//! defines it:
//!
//! ```text
//! app::serve at src/main.rs:10:5         the line that is awaited or executed
//! app::serve (fn at src/main.rs:8)       the line of the `fn`
//! app::serve (made at src/main.rs:20)    the line that made the future
//! ```
//!
//! A name that contains its place, such as `(spawned at src/main.rs:20)`, is followed by no place.

use std::fmt::{self, Write};
use std::panic::Location;

use crate::origin;
use crate::symbol::PathShortener;
use crate::trace::{Frame, LineIs};

/// Writes the source location of a frame, if it is known.
pub(super) fn write(out: &mut impl Write, frame: &Frame) -> fmt::Result {
    write_line(out, frame)?;
    match (frame.line_is(), frame.line(), frame.column()) {
        (LineIs::Current, Some(_), Some(column)) => write!(out, ":{column}"),
        _ => Ok(()),
    }
}

/// Writes the source location of a frame without the column.
pub(super) fn write_line(out: &mut impl Write, frame: &Frame) -> fmt::Result {
    let Some(file) = frame.file() else {
        return Ok(());
    };
    match (frame.line_is(), frame.line()) {
        (LineIs::Creation, Some(line)) if origin::is_in_name(frame.name(), file, line) => Ok(()),
        (LineIs::Current, Some(line)) => write!(out, " at {file}:{line}"),
        (_, None) => write!(out, " at {file}"),
        (LineIs::Definition, Some(line)) => write_definition(out, file, line),
        (LineIs::Creation, Some(line)) => write!(out, " (made at {file}:{line})"),
    }
}

/// Returns the place where a task was spawned, unless its name contains that place.
pub(super) fn unless_in_name(
    spawned_at: Option<&'static Location<'static>>,
    name: &str,
    paths: &PathShortener,
) -> Option<&'static Location<'static>> {
    spawned_at.filter(|place| {
        let files = [place.file(), &paths.shorten(place.file())];
        !files
            .iter()
            .any(|file| origin::is_in_name(name, file, place.line()))
    })
}

/// Writes the location of the definition of a function.
pub(super) fn write_definition(out: &mut impl Write, file: &str, line: u32) -> fmt::Result {
    write!(out, " (fn at {file}:{line})")
}
