//! Escapes foreign text, so that it cannot control a terminal or forge lines of a log, and cuts long text.
//!
//! Names of threads, tasks, files and processes may contain any characters: escape sequences that a terminal executes,
//! line feeds after which a forged line could follow, and characters that reverse or hide the text next to them. All
//! code that writes such text for readers must escape it with this module.
#![forbid(unsafe_code)]

use std::fmt::{self, Display, Write};

/// Returns `true` if a character only shows a glyph.
///
/// Control characters, line separators, and characters that have no width or change the direction of text are not
/// plain.
pub(crate) fn is_plain(character: char) -> bool {
    if character.is_ascii() {
        return !character.is_ascii_control();
    }
    !matches!(
        u32::from(character),
        0x80..=0x9f                     // C1 controls
            | 0xad                      // soft hyphen
            | 0x34f                     // combining grapheme joiner
            | 0x600..=0x605             // signs that are put over numbers
            | 0x61c                     // Arabic letter mark
            | 0x6dd
            | 0x70f
            | 0x890..=0x891
            | 0x8e2
            | 0x115f..=0x1160           // Hangul fillers
            | 0x17b4..=0x17b5           // inherent vowels
            | 0x180b..=0x180f           // Mongolian selectors and separator
            | 0x200b..=0x200f           // zero width, marks of direction
            | 0x2028..=0x202e           // separators of lines and paragraphs, embeddings, overrides
            | 0x2060..=0x206f           // zero width, isolates
            | 0x3164                    // Hangul filler
            | 0xe000..=0xf8ff           // private use: the glyph depends on the font
            | 0xfe00..=0xfe0f           // variation selectors
            | 0xfeff                    // byte order mark
            | 0xffa0
            | 0xfff0..=0xfffb           // interlinear annotations
            | 0xfffe..=0xffff
            | 0x110bd
            | 0x110cd
            | 0x13430..=0x1345f
            | 0x1bca0..=0x1bca3
            | 0x1d173..=0x1d17a
            | 0xe0000..=0x10ffff        // tags, selectors, private use
    )
}

/// Text whose characters are escaped as in a literal of Rust, such as `\n` and `\u{1b}`, unless they are
/// [plain](is_plain).
pub(crate) struct Escaped<T>(pub(crate) T);

impl<T: Display> Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(EscapingWriter(f), "{}", self.0)
    }
}

/// A writer that [escapes](Escaped) text and passes it on to another writer.
struct EscapingWriter<'a, W>(&'a mut W);

impl<W: Write> Write for EscapingWriter<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        write(self.0, text)
    }
}

/// Writes text, and [escapes](Escaped) characters that are not [plain](is_plain).
pub(crate) fn write(out: &mut impl Write, text: &str) -> fmt::Result {
    let mut rest = text;
    while let Some(at) = rest.find(|character| !is_plain(character)) {
        let (plain, after) = rest.split_at(at);
        out.write_str(plain)?;
        let mut characters = after.chars();
        if let Some(character) = characters.next() {
            // `escape_default` escapes each character that is not plain.
            write!(out, "{}", character.escape_default())?;
        }
        rest = characters.as_str();
    }
    out.write_str(rest)
}

/// Returns the longest beginning of `text` that has at most `max_bytes` bytes and ends between two characters.
pub(crate) fn cut(text: &str, max_bytes: usize) -> &str {
    let mut end = text.len().min(max_bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn escaped(text: &str) -> String {
        Escaped(text).to_string()
    }

    #[test]
    fn control_sequences_are_shown_escaped() {
        assert_eq!(
            escaped("w\x1b]0;PWNED\x07\n\r\t\u{9b}1m\u{7f}\0"),
            r"w\u{1b}]0;PWNED\u{7}\n\r\t\u{9b}1m\u{7f}\u{0}"
        );
        assert_eq!(
            escaped("a\u{202e}b\u{2066}c\u{2028}d\u{2029}e\u{200b}f\u{feff}g\u{e0041}"),
            r"a\u{202e}b\u{2066}c\u{2028}d\u{2029}e\u{200b}f\u{feff}g\u{e0041}"
        );
    }

    #[test]
    fn plain_text_is_not_changed() {
        for text in ["", "für Ann", "日本語 “a” ╼ │ 🦀", r"a\b", "नमस्ते"]
        {
            assert_eq!(escaped(text), text);
        }
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(cut("short", 6), "short");
        assert_eq!(cut("ääää", 6), "äää");
        assert_eq!(cut("aäää", 6), "aää");
    }

    proptest! {
        #[test]
        fn escaped_text_has_only_plain_characters(text in any::<String>()) {
            prop_assert!(escaped(&text).chars().all(is_plain));
        }

        #[test]
        fn escaped_text_is_one_line_without_control_characters(
            character in prop_oneof![
                Just('\u{1b}'), prop::char::range('\0', '\u{9f}'), prop::char::range('\u{2000}', '\u{2070}'), any::<char>()
            ],
        ) {
            let text = escaped(&format!("a{character}b"));
            prop_assert!(!text.chars().any(char::is_control), "{text:?}");
            prop_assert_eq!(text.lines().count(), 1);
        }
    }
}
