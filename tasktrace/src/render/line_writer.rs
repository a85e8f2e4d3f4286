//! Writes lines of text to a formatter, with or without colours, and escapes what comes from the program.

use std::fmt;

use crate::escape;

/// The style of the text: plain, or with ANSI colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Ansi,
}

/// The amount of detail in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DetailLevel {
    /// The text of `{}`: similar tasks and frames are shown together, and frames of libraries are hidden.
    Simplified,
    /// The text of `{:#}`: each task and each frame is shown.
    Full,
}

impl DetailLevel {
    /// Returns the level that the flags of a formatter select.
    pub(super) fn of(f: &fmt::Formatter<'_>) -> Self {
        match f.alternate() {
            false => Self::Simplified,
            true => Self::Full,
        }
    }
}

/// A writer of lines. No line ends with a line feed: each line except the first begins with one.
pub(super) struct LineWriter<'a, 'b> {
    style: Style,
    is_empty: bool,
    f: &'a mut fmt::Formatter<'b>,
}

impl<'a, 'b> LineWriter<'a, 'b> {
    pub(super) fn new(style: Style, f: &'a mut fmt::Formatter<'b>) -> Self {
        Self {
            style,
            is_empty: true,
            f,
        }
    }

    /// Begins a line with an indent.
    pub(super) fn line(&mut self, indent: &str) -> fmt::Result {
        if !std::mem::take(&mut self.is_empty) {
            self.f.write_str("\n")?;
        }
        self.f.write_str(indent)
    }

    /// Makes the following text bold.
    pub(super) fn bold(&mut self) -> fmt::Result {
        self.escape("\x1b[1m")
    }

    /// Makes the following text dim.
    pub(super) fn dim(&mut self) -> fmt::Result {
        self.escape("\x1b[2m")
    }

    /// Makes the following text bold and red.
    pub(super) fn red(&mut self) -> fmt::Result {
        self.escape("\x1b[1;31m")
    }

    /// Ends all styles.
    pub(super) fn normal(&mut self) -> fmt::Result {
        self.escape("\x1b[0m")
    }

    fn escape(&mut self, sequence: &str) -> fmt::Result {
        match self.style {
            Style::Plain => Ok(()),
            Style::Ansi => self.f.write_str(sequence),
        }
    }
}

/// Escapes all text, because names and labels come from the program. Only the methods above begin lines and colours.
impl fmt::Write for LineWriter<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        escape::write(self.f, text)
    }
}
