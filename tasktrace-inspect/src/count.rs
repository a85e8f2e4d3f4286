//! Formats a number with its noun.

/// Returns a number with its noun: `1 task`, `2 tasks`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    }
}
