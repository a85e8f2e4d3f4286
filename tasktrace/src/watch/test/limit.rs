//! Determines the time limit of a test from the attribute and the environment.

use std::sync::OnceLock;
use std::time::Duration;

use crate::escape::Escaped;
use crate::os;

/// The default limit. Test runners report a test as slow after a minute, and the limit leaves time for a report before
/// that.
const DEFAULT: Duration = Duration::from_secs(50);

/// The environment variable that overrides the attribute.
const VARIABLE: &str = "TASKTRACE_TEST_TIMEOUT";

/// The time limit that the attribute of a test sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// The attribute does not set a limit.
    Default,
    /// The test has no limit.
    None,
    /// The limit in nanoseconds.
    Nanos(u64),
}

impl Limit {
    /// Returns the limit, or `None` if there is no limit. The environment variable overrides the attribute.
    pub(super) fn duration(self) -> Option<Duration> {
        match from_environment() {
            Some(limit) => limit,
            None => match self {
                Self::Default => Some(DEFAULT),
                Self::None => None,
                Self::Nanos(nanos) => Some(Duration::from_nanos(nanos)),
            },
        }
    }
}

/// Returns the limit of the environment variable, or `None` if the variable is not set or not valid. The inner value is
/// `None` if there is no limit. The variable is read once.
#[expect(
    clippy::option_option,
    reason = "the outer option says if the variable is set, the inner option if there is a limit"
)]
fn from_environment() -> Option<Option<Duration>> {
    static LIMIT: OnceLock<Option<Option<Duration>>> = OnceLock::new();
    *LIMIT.get_or_init(|| {
        let text = os::env::text(VARIABLE)?;
        let parsed = parse(&text);
        if parsed.is_none() && !text.trim().is_empty() {
            os::stderr::write(&format!(
                "tasktrace: {VARIABLE}={} is ignored: it takes a time, such as `30s`, `1m30s` \
                 or `500ms`, or `none`\n",
                Escaped(text)
            ));
        }
        parsed
    })
}

/// Parses `none`, or a time as a sequence of numbers with units, such as `1m30s`.
#[expect(clippy::option_option, reason = "as above")]
fn parse(text: &str) -> Option<Option<Duration>> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("none") {
        return Some(None);
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, from_unit) = rest.split_at(end);
        let unit = from_unit.find(|c: char| c.is_ascii_digit());
        let (unit, after) = from_unit.split_at(unit.unwrap_or(from_unit.len()));
        let seconds = match unit.trim() {
            "ms" => 1e-3,
            "s" => 1.0,
            "m" | "min" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        let number: f64 = number.parse().ok()?;
        // A time that is too long for a `Duration` becomes the longest `Duration`.
        let time = Duration::try_from_secs_f64(number * seconds).unwrap_or(Duration::MAX);
        total = total.saturating_add(time);
        rest = after;
    }
    (!total.is_zero()).then_some(Some(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_parsed_and_invalid_texts_are_not() {
        let time = |millis| Some(Some(Duration::from_millis(millis)));
        assert_eq!(parse("30s"), time(30_000));
        assert_eq!(parse(" 1m30s "), time(90_000));
        assert_eq!(parse("500ms"), time(500));
        assert_eq!(parse("1.5s"), time(1_500));
        assert_eq!(parse("2h"), time(7_200_000));
        let ages = "9".repeat(400) + "h1s";
        assert_eq!(parse(&ages), Some(Some(Duration::MAX)));
        assert_eq!(parse("none"), Some(None));
        assert_eq!(parse("NONE"), Some(None));
        for wrong in [
            "", "30", "s", "0s", "-1s", "1x", "1s2", "..s", "1e30h", "never",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
