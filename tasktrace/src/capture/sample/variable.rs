//! The environment variable that turns samples on or off, or selects their signal.

/// The name of the variable, which has its effect unless [`set_sample_signal`](super::set_sample_signal) is called.
pub(super) const NAME: &str = "TASKTRACE_SAMPLE_SIGNAL";

/// Returns `true` if this value turns samples off.
pub(super) fn turns_off(value: &str) -> bool {
    const VALUES: [&str; 5] = ["0", "none", "off", "false", "no"];

    VALUES
        .iter()
        .any(|off| off.eq_ignore_ascii_case(value.trim()))
}
