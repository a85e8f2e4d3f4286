//! Where the output goes: the standard output or a file, in colour or not.

use std::env;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use crate::args::When;
use crate::failure::Failure;

/// A place to write to.
pub(crate) enum Output {
    Stdout,
    File(PathBuf),
}

impl Output {
    /// What the argument says. `-` is the standard output.
    pub(crate) fn new(argument: Option<PathBuf>) -> Self {
        match argument {
            Some(path) if path != Path::new("-") => Self::File(path),
            _ => Self::Stdout,
        }
    }

    /// The same for what nobody wants to see on a terminal: there, a file of this name.
    pub(crate) fn or_file(argument: Option<PathBuf>, default: impl FnOnce() -> String) -> Self {
        match argument {
            None if io::stdout().is_terminal() => Self::File(default().into()),
            argument => Self::new(argument),
        }
    }

    /// Whether it is a terminal, or is to look as if it were one.
    pub(crate) fn is_seen(&self, paint: Paint) -> bool {
        matches!(self, Self::Stdout) && (paint.is_on() || io::stdout().is_terminal())
    }

    /// Writes all of it.
    pub(crate) fn write(&self, bytes: &[u8]) -> Result<(), Failure> {
        match self {
            Self::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(bytes)?;
                Ok(out.flush()?)
            }
            Self::File(path) => {
                let written = File::create(path).and_then(|file| {
                    let mut out = BufWriter::new(file);
                    out.write_all(bytes)?;
                    out.flush()
                });
                written.map_err(|error| Failure::writing(path, &error))
            }
        }
    }

    /// Tells of the file, if it is one: on the standard output as JSON, or as a line for people.
    pub(crate) fn tell(&self, bytes: usize, json: bool) -> Result<(), Failure> {
        let Self::File(path) = self else {
            return Ok(());
        };
        if json {
            let told = serde_json::json!({
                "schema": "tasktrace.written/1",
                "path": path,
                "bytes": bytes,
            });
            return Ok(writeln!(io::stdout(), "{told}")?);
        }
        // Not to the standard output, which is for what was asked for.
        let _ = writeln!(io::stderr(), "written to {}", path.display());
        Ok(())
    }
}

/// Colours, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Paint(bool);

impl Paint {
    /// What the argument, the environment and the output are.
    pub(crate) fn new(when: When) -> Self {
        let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = env::var_os("TERM").is_some_and(|value| value == "dumb");
        Self(match when {
            When::Always => true,
            When::Never => false,
            When::Auto => io::stdout().is_terminal() && !is_set("NO_COLOR") && !is_dumb,
        })
    }

    /// For what is compared.
    #[cfg(test)]
    pub(crate) fn none() -> Self {
        Self(false)
    }

    pub(crate) fn is_on(self) -> bool {
        self.0
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    pub(crate) fn red(self, text: &str) -> String {
        self.with("1;31", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        match self.0 {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }
}

/// Text of another process, which may have anything in its names: nothing of it is to reach the
/// terminal but what can be seen.
pub(crate) fn visible(text: &str) -> String {
    let visible = |char: char| match char {
        '\t' => ' ',
        char if char.is_control() => '\u{fffd}',
        // They turn around what comes after them.
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        char => char,
    };
    text.chars().map(visible).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_are_seen_and_not_obeyed() {
        assert_eq!(
            visible("a\x1b[31mb\u{9b}c\td\u{202e}"),
            "a\u{fffd}[31mb\u{fffd}c d\u{fffd}"
        );
        assert_eq!(visible("für Ann"), "für Ann");
    }

    #[test]
    fn paint() {
        assert_eq!(Paint::new(When::Always).red("!"), "\x1b[1;31m!\x1b[0m");
        assert_eq!(Paint::new(When::Never).red("!"), "!");
    }
}
