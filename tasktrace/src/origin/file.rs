//! Spells the paths of source files with slashes.

use std::borrow::Cow;
use std::path::MAIN_SEPARATOR;

/// Returns the path of a source file with slashes. On Windows, the compiler spells paths with backslashes, or with both
/// separators: `/rustc/5980…/library\core\src\task\poll.rs`.
pub(crate) fn with_slashes(file: &str) -> Cow<'_, str> {
    replace(file, MAIN_SEPARATOR)
}

fn replace(file: &str, separator: char) -> Cow<'_, str> {
    match separator != '/' && file.contains(separator) {
        true => file.replace(separator, "/").into(),
        false => file.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backslashes_are_replaced_where_they_separate() {
        let file = r"/rustc/5980/library\core\src\task\poll.rs";
        let slashed = "/rustc/5980/library/core/src/task/poll.rs";
        assert_eq!(replace(file, '\\'), slashed);
        assert!(matches!(replace(slashed, '\\'), Cow::Borrowed(_)));
        assert!(matches!(replace(file, '/'), Cow::Borrowed(_)));
    }
}
