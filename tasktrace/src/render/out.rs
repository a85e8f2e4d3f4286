//! Where text goes: lines, in colour or not.

use std::fmt;

use crate::escape;

/// Whether to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Ansi,
}

/// How much to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Detail {
    /// What a reader wants to see at first: `{}`.
    Tidy,
    /// Everything: `{:#}`.
    Full,
}

impl Detail {
    /// What the flags of a formatter ask for.
    pub(super) fn of(f: &fmt::Formatter<'_>) -> Self {
        match f.alternate() {
            false => Self::Tidy,
            true => Self::Full,
        }
    }
}

/// Lines of text. None ends with a line feed: each but the first begins with one.
pub(super) struct Out<'a, 'b> {
    style: Style,
    is_empty: bool,
    f: &'a mut fmt::Formatter<'b>,
}

impl<'a, 'b> Out<'a, 'b> {
    pub(super) fn new(style: Style, f: &'a mut fmt::Formatter<'b>) -> Self {
        Self {
            style,
            is_empty: true,
            f,
        }
    }

    /// Begins a line.
    pub(super) fn line(&mut self, indent: &str) -> fmt::Result {
        if !std::mem::take(&mut self.is_empty) {
            self.f.write_str("\n")?;
        }
        self.f.write_str(indent)
    }

    /// What is written from here on stands out.
    pub(super) fn bold(&mut self) -> fmt::Result {
        self.escape("\x1b[1m")
    }

    /// What is written from here on stands back.
    pub(super) fn dim(&mut self) -> fmt::Result {
        self.escape("\x1b[2m")
    }

    /// What is written from here on alarms.
    pub(super) fn red(&mut self) -> fmt::Result {
        self.escape("\x1b[1;31m")
    }

    /// What is written from here on is as usual.
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

/// Escapes all text, because it may come from the program. Only the methods above begin lines and colours.
impl fmt::Write for Out<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        escape::write(self.f, text)
    }
}
