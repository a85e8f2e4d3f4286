//! What the width of a flame is.

use std::fmt;
use std::str::FromStr;

/// What is counted where tasks are added up, as in a flamegraph.
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
    /// How many tasks are there. In a profile, how often a task was seen there.
    #[default]
    Tasks,
    /// For how long they have been waiting there. A task that is running does not wait.
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
    /// `tasks`, `waited`.
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

/// A word is not that of a [`Weight`].
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
