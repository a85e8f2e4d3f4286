//! Writes output to the standard output or a file, with or without colours.

use std::env;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use tasktrace::__private::cli::{is_function, is_plain};

use crate::args::When;
use crate::failure::Failure;

/// The destination of output.
pub(crate) enum Output {
    Stdout,
    File(PathBuf),
}

impl Output {
    /// Returns the destination that an argument names. `-` is the standard output.
    pub(crate) fn new(argument: Option<PathBuf>) -> Self {
        match argument {
            Some(path) if path != Path::new("-") => Self::File(path),
            _ => Self::Stdout,
        }
    }

    /// Returns the destination of output that is not readable on a terminal. On a terminal, it is a file with the
    /// default name.
    pub(crate) fn or_file(argument: Option<PathBuf>, default: impl FnOnce() -> String) -> Self {
        match argument {
            None if io::stdout().is_terminal() => Self::File(default().into()),
            argument => Self::new(argument),
        }
    }

    /// Returns `true` if the output goes to a terminal, or should look as if it did.
    pub(crate) fn is_terminal_output(&self, paint: Paint) -> bool {
        matches!(self, Self::Stdout) && (paint.is_on() || io::stdout().is_terminal())
    }

    /// Writes all bytes.
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

    /// Writes bytes that another process has made. A file gets them unchanged. A terminal gets no characters that it
    /// would obey.
    pub(crate) fn write_foreign(&self, bytes: &[u8], format: TextFormat) -> Result<(), Failure> {
        let is_terminal = match self {
            Self::Stdout => io::stdout().is_terminal(),
            Self::File(path) => is_terminal(path),
        };
        match is_terminal {
            true => self.write(shown(bytes, format).as_bytes()),
            false => self.write(bytes),
        }
    }

    /// Reports the file that was written, if it is one: as JSON on the standard output, or as text on stderr.
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
        // The standard output is for the output of the command.
        let _ = writeln!(
            io::stderr(),
            "written to {}",
            visible(&path.display().to_string())
        );
        Ok(())
    }
}

/// Returns `true` for the name of a terminal, such as `/dev/tty`.
#[cfg(unix)]
fn is_terminal(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;

    // Only character devices are opened: opening another file, such as a pipe, may wait for a writer.
    let is_device = path
        .metadata()
        .is_ok_and(|it| it.file_type().is_char_device());
    is_device && File::open(path).is_ok_and(|file| file.is_terminal())
}

#[cfg(not(unix))]
fn is_terminal(_path: &Path) -> bool {
    false
}

/// Formats text with or without colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Paint(bool);

impl Paint {
    /// Determines from the argument, the environment and the output if colours are used.
    pub(crate) fn new(when: When) -> Self {
        let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = env::var_os("TERM").is_some_and(|value| value == "dumb");
        Self(match when {
            When::Always => true,
            When::Never => false,
            When::Auto => io::stdout().is_terminal() && !is_set("NO_COLOR") && !is_dumb,
        })
    }

    /// Returns a formatter without colours.
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

/// Returns a line of another process without the characters that a terminal would obey. The names in such a line may
/// contain any characters.
pub(crate) fn visible(text: &str) -> String {
    let visible = |char: char| match char {
        '\t' => ' ',
        char if is_plain(char) => char,
        _ => '\u{fffd}',
    };
    text.chars().map(visible).collect()
}

/// Returns the name of a task with its label, in the same order as in the texts of the library.
pub(crate) fn title(name: &str, label: Option<&str>) -> String {
    match label {
        None => name.to_owned(),
        Some(label) if is_function(name) => format!("{name} \"{label}\""),
        Some(label) => format!("\"{label}\" {name}"),
    }
}

/// The format of bytes that another process has made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TextFormat {
    /// Lines.
    Text,
    Json,
}

/// Returns bytes of another process as text without characters that a terminal would obey. JSON keeps its meaning.
fn shown(bytes: &[u8], format: TextFormat) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut shown = String::with_capacity(text.len());
    for char in text.chars() {
        match (char, format) {
            ('\n', _) => shown.push('\n'),
            (char, _) if is_plain(char) => shown.push(char),
            // A tab can only be between two JSON values, because a string must not contain one.
            ('\t', _) => shown.push(' '),
            ('\r', TextFormat::Json) => {}
            (char, TextFormat::Json) => {
                for unit in char.encode_utf16(&mut [0; 2]) {
                    shown += &format!("\\u{unit:04x}");
                }
            }
            (_, TextFormat::Text) => shown.push('\u{fffd}'),
        }
    }
    shown
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
    fn json_of_others_stays_json_on_a_terminal() {
        let json = "{\"a\":\"\u{9b}31m\u{7f}\u{202e}\u{2028}\u{e0041}é\"}\n";
        let seen = shown(json.as_bytes(), TextFormat::Json);
        assert_eq!(
            seen,
            "{\"a\":\"\\u009b31m\\u007f\\u202e\\u2028\\udb40\\udc41é\"}\n"
        );
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(value(&seen), value(json));
    }

    #[test]
    fn only_visible_characters_reach_a_terminal() {
        let all: String = ('\0'..=char::MAX).collect();
        let bytes: Vec<u8> = (0..=u8::MAX).collect();
        for format in [TextFormat::Text, TextFormat::Json] {
            for bytes in [all.as_bytes(), &bytes] {
                let shown = shown(bytes, format);
                assert!(shown.chars().all(|char| char == '\n' || is_plain(char)));
            }
        }
        assert!(visible(&all).chars().all(is_plain));
    }

    #[test]
    fn any_json_stays_the_same_json() {
        let texts: Vec<String> = ('\0'..=char::MAX).map(String::from).collect();
        let json = serde_json::to_string_pretty(&texts).unwrap();
        let shown = shown(json.as_bytes(), TextFormat::Json);
        assert_eq!(serde_json::from_str::<Vec<String>>(&shown).unwrap(), texts);
    }

    #[test]
    fn paint() {
        assert_eq!(Paint::new(When::Always).red("!"), "\x1b[1;31m!\x1b[0m");
        assert_eq!(Paint::new(When::Never).red("!"), "!");
    }
}
