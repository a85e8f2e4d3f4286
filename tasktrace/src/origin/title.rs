//! Writes the title of a task or a frame: its name and its label.

use std::fmt::{self, Display};

use super::with_slashes;

/// A name and a label, of which the more informative comes first.
///
/// The path of a function is more informative than a label. The path of a type and the location of a call say only how
/// the future was created, so the label comes first.
///
/// ```text
/// shop::session "ann"
/// "shard 7" (spawned at src/main.rs:31)
/// "shard 7" shop::stream::Merge
/// ```
pub(crate) struct Title<'a> {
    name: &'a str,
    label: Option<&'a str>,
}

impl<'a> Title<'a> {
    pub(crate) fn new(name: &'a str, label: Option<&'a str>) -> Self {
        Self { name, label }
    }
}

impl Display for Title<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name;
        match self.label {
            None => f.write_str(name),
            Some(label) if is_function(name) => write!(f, "{name} {label:?}"),
            Some(label) => write!(f, "{label:?} {name}"),
        }
    }
}

/// Returns `true` if a name is neither the path of a type nor a location. Names of types begin with a capital letter.
pub(crate) fn is_function(name: &str) -> bool {
    let is_place = name.starts_with('(');
    let last = name.rsplit_once("::").map(|(_, last)| last);
    let is_type = last.is_some_and(|last| last.starts_with(char::is_uppercase));
    !is_place && !is_type
}

/// Returns `true` if the name contains this place, as that of a future without a type does: `(spawned at
/// src/main.rs:31)`.
pub(crate) fn is_in_name(name: &str, file: &str, line: u32) -> bool {
    name.starts_with('(') && name.ends_with(&format!(" at {}:{line})", with_slashes(file)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, expected: &str) {
        assert_eq!(Title::new(name, Some("one")).to_string(), expected);
        assert_eq!(Title::new(name, None).to_string(), name);
    }

    #[test]
    fn the_label_follows_a_function() {
        check("shop::session", "shop::session \"one\"");
        check("shop::Shop::open", "shop::Shop::open \"one\"");
        check("Daily", "Daily \"one\"");
        check("", " \"one\"");
    }

    #[test]
    fn the_label_precedes_a_type_or_a_location() {
        check("(spawned at src/a.rs:1)", "\"one\" (spawned at src/a.rs:1)");
        check("tokio::time::Sleep", "\"one\" tokio::time::Sleep");
    }
}
