//! Writes documents as JSON, without a dependency.

use std::fmt::{self, Write};

use super::value::Value;
use crate::dump::{Dump, Hang};
use crate::profile::Profile;
use crate::trace::Trace;

impl Dump {
    /// Returns the dump as JSON. `{}` prints it on one line, and `{:#}` indents it.
    ///
    /// The format has a version and a [JSON
    /// Schema](https://github.com/petrosagg/tasktrace/blob/HEAD/tasktrace/schema/tasktrace.schema.json). It is the
    /// format of `Serialize` with the feature `serde`, but needs no feature. The text is generated task by task, so
    /// `write!` to a file does not need memory for the whole text.
    ///
    /// ```
    /// println!("{:#}", tasktrace::snapshot().json());
    ///
    /// let text = tasktrace::snapshot().json().to_string();
    /// assert!(text.starts_with(r#"{"schema":"tasktrace.dump/1","#));
    /// ```
    pub fn json(&self) -> impl fmt::Display + '_ {
        Json(self)
    }
}

impl Trace {
    /// Returns the trace as JSON. `{}` prints it on one line, and `{:#}` indents it.
    ///
    /// The format is that of the traces [in a dump](Dump::json), with the same version.
    ///
    /// ```
    /// let (future, handle) = tasktrace::traced(std::future::pending::<()>());
    /// let trace = handle.snapshot();
    /// let text = trace.json().to_string();
    /// assert!(text.starts_with(r#"{"schema":"tasktrace.trace/1","frames":["#));
    /// # drop(future);
    /// ```
    pub fn json(&self) -> impl fmt::Display + '_ {
        Json(self)
    }
}

impl Profile {
    /// Returns the profile as JSON. `{}` prints it on one line, and `{:#}` indents it.
    ///
    /// The format has a version, and the [JSON Schema](Dump::json) of dumps also describes it.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let profile = tasktrace::profile()
    ///     .lasting(Duration::from_millis(50))
    ///     .run_blocking();
    /// let text = profile.json().to_string();
    /// assert!(text.starts_with(r#"{"schema":"tasktrace.profile/1","#));
    /// ```
    pub fn json(&self) -> impl fmt::Display + '_ {
        Json(self)
    }
}

impl Hang {
    /// Returns the report as JSON.
    pub(crate) fn json(&self) -> impl fmt::Display + '_ {
        Json(self)
    }
}

/// Displays a value as JSON. The document is described when it is written.
struct Json<'a, T>(&'a T);

impl<'a, T> fmt::Display for Json<'a, T>
where
    &'a T: Into<Value<'a>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.into().fmt(f)
    }
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let layout = match f.alternate() {
            false => Layout::OneLine,
            true => Layout::Indented { depth: 0 },
        };
        value(f, layout, self)
    }
}

/// The layout of the JSON text.
#[derive(Clone, Copy)]
enum Layout {
    OneLine,
    Indented { depth: usize },
}

impl Layout {
    /// Returns the layout of the elements of a list or an object.
    fn inside(self) -> Self {
        match self {
            Self::OneLine => self,
            Self::Indented { depth } => Self::Indented { depth: depth + 1 },
        }
    }

    /// Begins a line.
    fn line(self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OneLine => Ok(()),
            Self::Indented { depth } => write!(f, "\n{:1$}", "", 2 * depth),
        }
    }

    /// Returns the separator between a name and its value.
    fn colon(self) -> &'static str {
        match self {
            Self::OneLine => ":",
            Self::Indented { .. } => ": ",
        }
    }
}

/// Writes a value.
///
/// It may recurse, because the nesting depth of values depends on their types and not on the data.
fn value(f: &mut fmt::Formatter<'_>, layout: Layout, it: &Value<'_>) -> fmt::Result {
    match it {
        Value::Bool(it) => write!(f, "{it}"),
        Value::Number(number) => write!(f, "{number}"),
        Value::Text(text) => string(f, text),
        Value::Optional(None) => f.write_str("null"),
        Value::Optional(Some(it)) => value(f, layout, it),
        Value::LazyList(list) => {
            let write = |f: &mut fmt::Formatter<'_>, element| value(f, layout.inside(), &element);
            bracket(f, layout, ['[', ']'], list.elements(), write)
        }
        Value::Object(object) => {
            let write = |f: &mut fmt::Formatter<'_>, (name, it): &(&str, _)| {
                string(f, name)?;
                f.write_str(layout.colon())?;
                value(f, layout.inside(), it)
            };
            bracket(f, layout, ['{', '}'], object.fields.iter(), write)
        }
    }
}

/// Writes elements in brackets.
fn bracket<T>(
    f: &mut fmt::Formatter<'_>,
    layout: Layout,
    [open, close]: [char; 2],
    elements: impl Iterator<Item = T>,
    write: impl Fn(&mut fmt::Formatter<'_>, T) -> fmt::Result,
) -> fmt::Result {
    f.write_char(open)?;
    let mut is_empty = true;
    for element in elements {
        if !std::mem::take(&mut is_empty) {
            f.write_char(',')?;
        }
        layout.inside().line(f)?;
        write(f, element)?;
    }
    if !is_empty {
        layout.line(f)?;
    }
    f.write_char(close)
}

fn string(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('"')?;
    let mut rest = text;
    while let Some(at) = rest.find(must_be_escaped) {
        let (before, from) = rest.split_at(at);
        f.write_str(before)?;
        let mut chars = from.chars();
        if let Some(char) = chars.next() {
            escape(f, char)?;
        }
        rest = chars.as_str();
    }
    f.write_str(rest)?;
    f.write_char('"')
}

/// Returns `true` if JSON requires a character to be escaped. U+2028 and U+007F need no escape.
fn must_be_escaped(char: char) -> bool {
    matches!(char, '"' | '\\' | '\0'..='\x1f')
}

fn escape(f: &mut fmt::Formatter<'_>, char: char) -> fmt::Result {
    match char {
        '"' => f.write_str("\\\""),
        '\\' => f.write_str("\\\\"),
        '\n' => f.write_str("\\n"),
        '\r' => f.write_str("\\r"),
        '\t' => f.write_str("\\t"),
        '\x08' => f.write_str("\\b"),
        '\x0c' => f.write_str("\\f"),
        other => write!(f, "\\u{:04x}", u32::from(other)),
    }
}
