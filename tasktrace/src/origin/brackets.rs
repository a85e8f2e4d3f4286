//! Splits the names of types and functions at and around brackets.

/// Splits `<inside>after`. The text must start with `<`. If that bracket is not closed, `inside` is the rest of the
/// text.
pub(super) fn split_brackets(text: &str) -> (&str, &str) {
    let mut depths = with_depths(text);
    match depths.find(|(_, byte, depth)| *byte == b'>' && *depth == 0) {
        Some((end, ..)) => (&text[1..end], &text[end + 1..]),
        None => (&text[1..], ""),
    }
}

/// Splits a text at the first separator that is not inside brackets.
pub(super) fn split_outside_brackets<'a>(
    text: &'a str,
    separator: &str,
) -> Option<(&'a str, &'a str)> {
    let mut outside = with_depths(text).filter(|(.., depth)| *depth == 0);
    outside.find_map(|(at, ..)| {
        let rest = text.get(at..)?.strip_prefix(separator)?;
        Some((&text[..at], rest))
    })
}

/// Returns each byte of a text with its position and the number of brackets that are open after it. Leaves out the `>`
/// of an arrow, which closes no bracket.
fn with_depths(text: &str) -> impl Iterator<Item = (usize, u8, usize)> {
    let (mut depth, mut previous) = (0_usize, 0);
    text.bytes().enumerate().filter_map(move |(at, byte)| {
        let is_arrow = previous == b'-' && byte == b'>';
        previous = byte;
        match byte {
            b'<' | b'(' | b'[' => depth += 1,
            b'>' | b')' | b']' if !is_arrow => depth = depth.saturating_sub(1),
            _ => {}
        }
        (!is_arrow).then_some((at, byte, depth))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_are_split_at_the_matching_end() {
        assert_eq!(split_brackets("<a>::b"), ("a", "::b"));
        assert_eq!(
            split_brackets("<a<b>, c<d>>::e<f>"),
            ("a<b>, c<d>", "::e<f>")
        );
        assert_eq!(split_brackets("<>"), ("", ""));
    }

    #[test]
    fn an_arrow_closes_no_bracket() {
        assert_eq!(
            split_brackets("<fn(u8) -> R<u8>>::call"),
            ("fn(u8) -> R<u8>", "::call")
        );
        assert_eq!(
            split_outside_brackets("fn() -> u8, b", ","),
            Some(("fn() -> u8", " b"))
        );
        assert_eq!(split_outside_brackets("F<fn() -> u8, b>", ","), None);
    }

    #[test]
    fn an_unclosed_bracket_extends_to_the_end() {
        assert_eq!(split_brackets("<"), ("", ""));
        assert_eq!(split_brackets("<a<b>::c"), ("a<b>::c", ""));
    }

    #[test]
    fn separators_inside_brackets_are_skipped() {
        let split = |text| split_outside_brackets(text, " as ");
        assert_eq!(split("a as b"), Some(("a", "b")));
        assert_eq!(split("<a as b>::c as d"), Some(("<a as b>::c", "d")));
        assert_eq!(
            split("(a as b) as [c as d]"),
            Some(("(a as b)", "[c as d]"))
        );
        assert_eq!(split("<a as b>"), None);
        assert_eq!(split("é as ü"), Some(("é", "ü")));
    }

    #[test]
    fn closing_brackets_without_an_opening_one_are_ignored() {
        assert_eq!(split_outside_brackets("a>), b", ","), Some(("a>)", " b")));
    }
}
