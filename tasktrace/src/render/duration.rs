//! Formats durations for readers: two or three significant digits and a unit.

use std::fmt;
use std::time::Duration;

/// A duration that is shown as `850ns`, `950µs`, `12ms`, `1.5s`, `2m03s`, `3h05m` or `2d04h`.
///
/// It is rounded down, as the age of people is.
#[derive(Clone, Copy)]
pub(super) struct HumanDuration(pub(super) Duration);

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(duration) = self;
        let secs = duration.as_secs();
        let (mins, hours, days) = (secs / 60, secs / 3600, secs / 86400);
        match duration.subsec_nanos() {
            nanos if secs == 0 && nanos < 1_000 => write!(f, "{nanos}ns"),
            nanos if secs == 0 && nanos < 1_000_000 => write!(f, "{}µs", nanos / 1_000),
            nanos if secs == 0 => write!(f, "{}ms", nanos / 1_000_000),
            nanos if mins == 0 => write!(f, "{secs}.{}s", nanos / 100_000_000),
            _ if hours == 0 => write!(f, "{mins}m{:02}s", secs % 60),
            _ if days == 0 => write!(f, "{hours}h{:02}m", mins % 60),
            _ => write!(f, "{days}d{:02}h", hours % 24),
        }
    }
}

/// The range of several values: the least and the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span<T> {
    pub(super) least: T,
    pub(super) greatest: T,
}

impl<T: Ord + Copy> Span<T> {
    pub(super) fn of(values: impl IntoIterator<Item = T>) -> Option<Self> {
        let mut values = values.into_iter();
        let first = values.next()?;
        let mut span = Self {
            least: first,
            greatest: first,
        };
        values.for_each(|value| span.add(value));
        Some(span)
    }

    pub(super) fn add(&mut self, value: T) {
        self.least = self.least.min(value);
        self.greatest = self.greatest.max(value);
    }
}

impl fmt::Display for Span<Duration> {
    /// Prints `1.5s`, or `1.5s to 2m03s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (least, greatest) = (HumanDuration(self.least), HumanDuration(self.greatest));
        let (least, greatest) = (least.to_string(), greatest.to_string());
        f.write_str(&least)?;
        match least == greatest {
            true => Ok(()),
            false => write!(f, " to {greatest}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(duration: Duration, text: &str) {
        assert_eq!(HumanDuration(duration).to_string(), text);
    }

    #[test]
    fn each_unit_has_two_or_three_digits() {
        check(Duration::from_nanos(850), "850ns");
        check(Duration::from_micros(950), "950µs");
        check(Duration::from_millis(12), "12ms");
        check(Duration::from_millis(1_500), "1.5s");
        check(Duration::from_secs(12), "12.0s");
        check(Duration::from_secs(123), "2m03s");
        check(Duration::from_secs(3 * 3600 + 5 * 60 + 59), "3h05m");
        check(Duration::from_secs(2 * 86400 + 4 * 3600 + 3599), "2d04h");
    }

    #[test]
    fn a_unit_ends_where_the_next_begins() {
        check(Duration::ZERO, "0ns");
        check(Duration::from_nanos(999), "999ns");
        check(Duration::from_nanos(1_000), "1µs");
        check(Duration::from_nanos(999_999), "999µs");
        check(Duration::from_nanos(1_000_000), "1ms");
        check(Duration::from_nanos(999_999_999), "999ms");
        check(Duration::from_secs(1), "1.0s");
        check(Duration::from_nanos(59_999_999_999), "59.9s");
        check(Duration::from_secs(60), "1m00s");
        check(Duration::from_secs(3599), "59m59s");
        check(Duration::from_secs(3600), "1h00m");
        check(Duration::from_secs(86399), "23h59m");
        check(Duration::from_secs(86400), "1d00h");
        check(Duration::MAX, "213503982334601d07h");
    }

    #[test]
    fn a_span_whose_ends_print_the_same_is_one_duration() {
        let span = |values: [u64; 2]| {
            let values = values.map(Duration::from_millis);
            Span::of(values).map(|span| span.to_string())
        };
        assert_eq!(span([1_510, 1_590]).as_deref(), Some("1.5s"));
        assert_eq!(span([2_000, 900]).as_deref(), Some("900ms to 2.0s"));
    }
}
