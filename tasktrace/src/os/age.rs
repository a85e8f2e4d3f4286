//! Returns the time for which this process has been running.

use std::time::Duration;

/// Returns the age of this process, or `None` if the system does not report it.
#[cfg(target_os = "linux")]
pub(crate) fn of_this_process() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
    // SAFETY: `sysconf` takes any number, and returns -1 for a number that it does not know. It accesses no memory of
    // the program.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    let started = started(&stat, u64::try_from(ticks).ok()?)?;
    let up: f64 = uptime.split(' ').next()?.parse().ok()?;
    Duration::try_from_secs_f64(up).ok()?.checked_sub(started)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn of_this_process() -> Option<Duration> {
    None
}

/// Returns the time between the start of the system and the start of the process. `stat` is the text of
/// `/proc/self/stat`.
#[cfg(target_os = "linux")]
fn started(stat: &str, ticks_in_a_second: u64) -> Option<Duration> {
    // The second field is the name of the program in parentheses. The name may contain any characters.
    let (_, rest) = stat.rsplit_once(") ")?;
    // The start time is the 22nd field.
    let ticks: u64 = rest.split(' ').nth(19)?.parse().ok()?;
    let millis = ticks.checked_mul(1000)?.checked_div(ticks_in_a_second)?;
    Some(Duration::from_millis(millis))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_program_may_contain_parentheses() {
        let stat = "7 (a) (b) c) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 1234 20";
        assert_eq!(started(stat, 100), Some(Duration::from_millis(12_340)));
        assert_eq!(started("7 (a", 100), None);
        assert_eq!(started(stat, 0), None);
    }

    #[test]
    fn the_age_grows() {
        let first = of_this_process().expect("the system says");
        let second = of_this_process().expect("the system says");
        assert!(first <= second && second < Duration::from_secs(24 * 60 * 60));
    }
}
