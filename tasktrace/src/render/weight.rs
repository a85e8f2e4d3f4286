//! Defines [`Weight`], the unit in which stacks are added up.

use std::fmt;
use std::str::FromStr;

/// The unit in which tasks are added up, such as the width in a flamegraph.
///
/// ```
/// use tasktrace::Weight;
///
/// assert_eq!(Weight::default(), Weight::Tasks);
/// assert_eq!("waited".parse(), Ok(Weight::Waited));
/// assert_eq!(Weight::Waited.to_string(), "waited");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Weight {
    /// The number of tasks. In a [`Profile`](crate::Profile), the number of times that a task was seen.
    #[default]
    Tasks,
    /// The time that tasks have been waiting. A running task does not wait.
    Waited,
}

impl Weight {
    fn word(self) -> &'static str {
        match self {
            Self::Tasks => "tasks",
            Self::Waited => "waited",
        }
    }
}

impl fmt::Display for Weight {
    /// Prints `tasks` or `waited`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl FromStr for Weight {
    type Err = UnknownWeight;

    fn from_str(word: &str) -> Result<Self, UnknownWeight> {
        let all = [Self::Tasks, Self::Waited];
        let known = all.into_iter().find(|weight| weight.word() == word);
        known.ok_or(UnknownWeight(()))
    }
}

/// The error of parsing a [`Weight`] from a string that is neither `tasks` nor `waited`.
///
/// ```
/// let error = "bytes".parse::<tasktrace::Weight>().unwrap_err();
/// assert_eq!(error.to_string(), "a weight is `tasks` or `waited`");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownWeight(());

impl fmt::Display for UnknownWeight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a weight is `tasks` or `waited`")
    }
}

impl std::error::Error for UnknownWeight {}
