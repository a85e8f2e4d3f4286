//! Parses durations in arguments: `"30s"`, `"1.5s"`, `"1m30s"`.
//!
//! ```text
//! duration = number unit {number unit}
//! number   = digits [. digits]
//! ```

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{Error, LitStr, Result};

const ACCEPTED: &str = "a duration is written as in `30s`, `1.5s` or `1m30s`, with the units `ns`, \
                        `us`, `µs`, `ms`, `s`, `m`, `min`, `h` and `d`";

/// The units with their lengths in nanoseconds.
const UNITS: [(&str, u64); 10] = [
    ("ns", 1),
    ("us", 1_000),
    // The micro sign and the Greek letter look the same.
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60 * 1_000_000_000),
    ("min", 60 * 1_000_000_000),
    ("h", 60 * 60 * 1_000_000_000),
    ("d", 24 * 60 * 60 * 1_000_000_000),
];

/// A duration, and the literal that it was parsed from.
pub(crate) struct Duration {
    /// The length in nanoseconds, which is never zero.
    pub(crate) nanos: u64,
    literal: LitStr,
}

impl Duration {
    pub(crate) fn parse(literal: LitStr) -> Result<Self> {
        match nanos(&literal.value()) {
            Ok(nanos) => Ok(Self { nanos, literal }),
            Err(complaint) => Err(Error::new_spanned(
                literal,
                format!("{complaint}: {ACCEPTED}"),
            )),
        }
    }
}

impl ToTokens for Duration {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        self.literal.to_tokens(tokens);
    }
}

fn nanos(text: &str) -> std::result::Result<u64, String> {
    if text.is_empty() {
        return Err("the duration is missing".to_owned());
    }
    let is_digit = |char: char| char.is_ascii_digit() || char == '.';
    let mut total = 0_u64;
    let mut rest = text;
    while !rest.is_empty() {
        let (number, after) = split_where(rest, |char| !is_digit(char));
        let (unit, after) = split_where(after, is_digit);
        let part = part(number, unit)?;
        total = total.checked_add(part).ok_or_else(|| too_long(text))?;
        rest = after;
    }
    if total == 0 {
        return Err(format!("`{text}` is not a positive duration"));
    }
    Ok(total)
}

/// Returns the nanoseconds of one number with its unit.
fn part(number: &str, unit: &str) -> std::result::Result<u64, String> {
    if number.is_empty() {
        return Err(format!("there is no number before `{unit}`"));
    }
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || fraction.is_empty() || fraction.contains('.') {
        return Err(format!("`{number}` is not a number"));
    }
    if unit.is_empty() {
        return Err(format!("`{number}` has no unit"));
    }
    let Some((_, in_unit)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(format!("`{unit}` is not a unit of time"));
    };
    // The number is multiplied in units of 10⁻¹⁵. One of them, in days, is less than a nanosecond.
    let parts = format!("{whole}{fraction:0<15.15}").parse::<u128>().ok();
    parts
        .and_then(|parts| parts.checked_mul(u128::from(*in_unit)))
        .and_then(|parts| u64::try_from(parts / 10_u128.pow(15)).ok())
        .ok_or_else(|| too_long(&format!("{number}{unit}")))
}

fn too_long(text: &str) -> String {
    format!("`{text}` is longer than 584 years")
}

/// Splits a text before the first character for which `is_end` returns `true`.
fn split_where(text: &str, is_end: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(is_end).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_durations_are_parsed() {
        for (text, expected) in [
            ("1ns", 1),
            ("2us", 2_000),
            ("2\u{b5}s", 2_000),
            ("2\u{3bc}s", 2_000),
            ("500ms", 500_000_000),
            ("30s", 30_000_000_000),
            ("030s", 30_000_000_000),
            ("2m", 120_000_000_000),
            ("2min", 120_000_000_000),
            ("1h", 3_600_000_000_000),
            ("1d", 86_400_000_000_000),
            ("1.5s", 1_500_000_000),
            ("0.25h", 900_000_000_000),
            ("1m30s", 90_000_000_000),
            ("1h0m0.5s", 3_600_500_000_000),
            ("213503d", 18_446_659_200_000_000_000),
            ("18446744073709551615ns", u64::MAX),
        ] {
            assert_eq!(nanos(text), Ok(expected), "{text}");
        }
    }

    /// Fractions are exact to the nanosecond, and further digits are ignored.
    #[test]
    fn fractions_are_exact_to_the_nanosecond() {
        for (text, expected) in [
            ("0.000000001s", 1),
            ("1.9ns", 1),
            ("0.00000000000002d", 1),
            ("0.333333333333333333333333333333333333333333s", 333_333_333),
            (
                "0.999999999999999999999999999999999999999999d",
                86_399_999_999_999,
            ),
        ] {
            assert_eq!(nanos(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn invalid_durations_are_reported() {
        for (text, complaint) in [
            ("", "the duration is missing"),
            ("30", "`30` has no unit"),
            ("1m30", "`30` has no unit"),
            ("s", "there is no number before `s`"),
            ("-5s", "there is no number before `-`"),
            (" 5s", "there is no number before ` `"),
            ("5 s", "` s` is not a unit of time"),
            ("5S", "`S` is not a unit of time"),
            ("5sec", "`sec` is not a unit of time"),
            ("1,5s", "`,` is not a unit of time"),
            ("1e3s", "`e` is not a unit of time"),
            ("5\u{1f984}", "`\u{1f984}` is not a unit of time"),
            ("1.s", "`1.` is not a number"),
            (".5s", "`.5` is not a number"),
            ("1.2.3s", "`1.2.3` is not a number"),
            ("0s", "`0s` is not a positive duration"),
            ("0h0.0m", "`0h0.0m` is not a positive duration"),
            ("0.1ns", "`0.1ns` is not a positive duration"),
            ("213504d", "`213504d` is longer than 584 years"),
            (
                "213503d213503d",
                "`213503d213503d` is longer than 584 years",
            ),
            (
                "18446744073709551616ns",
                "`18446744073709551616ns` is longer than 584 years",
            ),
        ] {
            assert_eq!(nanos(text), Err(complaint.to_owned()), "{text}");
        }
        let digits = "9".repeat(100);
        let complaint = format!("`{digits}s` is longer than 584 years");
        assert_eq!(nanos(&format!("{digits}s")), Err(complaint));
    }
}
