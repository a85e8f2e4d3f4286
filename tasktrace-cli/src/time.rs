//! Formats durations for readers.

use std::time::Duration;

/// Formats a duration as in a dump: `850ns`, `12ms`, `1.5s`, `2m03s`, `3h05m`, `2d04h`.
pub(crate) fn human(time: Duration) -> String {
    let secs = time.as_secs();
    let (mins, hours, days) = (secs / 60, secs / 3600, secs / 86400);
    match time.subsec_nanos() {
        nanos if secs == 0 && nanos < 1_000 => format!("{nanos}ns"),
        nanos if secs == 0 && nanos < 1_000_000 => format!("{}µs", nanos / 1_000),
        nanos if secs == 0 => format!("{}ms", nanos / 1_000_000),
        nanos if mins == 0 => format!("{secs}.{}s", nanos / 100_000_000),
        _ if hours == 0 => format!("{mins}m{:02}s", secs % 60),
        _ if days == 0 => format!("{hours}h{:02}m", mins % 60),
        _ => format!("{days}d{:02}h", hours % 24),
    }
}

/// Formats a number of milliseconds like [`human`].
pub(crate) fn human_ms(millis: u64) -> String {
    human(Duration::from_millis(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units_that_fit() {
        for (millis, text) in [
            (0, "0ns"),
            (12, "12ms"),
            (1_500, "1.5s"),
            (123_000, "2m03s"),
            (11_100_000, "3h05m"),
            (187_200_000, "2d04h"),
        ] {
            assert_eq!(human_ms(millis), text);
        }
        assert_eq!(human(Duration::from_nanos(850)), "850ns");
        assert_eq!(human(Duration::from_micros(950)), "950µs");
    }
}
