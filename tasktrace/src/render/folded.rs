//! Folded stacks: a line for each way to a leaf, `root;function;leaf 12`, which all flamegraph tools
//! read.
//!
//! The functions are named without their lines and labels, so that what is the same to a reader who
//! looks at the whole is one flame. A leaf of which there is more to say than what it is has a last
//! frame in brackets.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::weigh::{LEFT_OUT, Scales, Seen, Way, tasks};
use super::weight::Weight;
use crate::dump::{Dump, StateKind};
use crate::escape::is_plain;
use crate::sync::is_unwanted;
use crate::trace::{Frame, Trace, Wait};

impl Dump {
    /// Returns the dump as folded stacks, for flamegraph tools.
    ///
    /// Each call path to a leaf is one line, `root;function;leaf 12`, and the lines are sorted. The numbers are the
    /// number of tasks, or the time waited in microseconds.
    ///
    /// A task that waits for several things at once has several paths. Its time is split evenly between them. It is
    /// counted at only one of them, so that the numbers add up to the number of tasks. Tasks with the same paths are
    /// counted at each path in turn. So a number can be 0.
    ///
    /// Lines and labels are omitted. If a task has very many long paths, the frames in the middle of each are omitted,
    /// and the text says so. A `;` in a name becomes a `,`, and characters that a parser could take for the number are
    /// replaced.
    ///
    /// ```
    /// use tasktrace::Weight;
    ///
    /// #[tasktrace::traced]
    /// async fn serve() {
    ///     std::future::pending().await
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// tokio::spawn(serve());
    /// tokio::spawn(serve());
    /// # tokio::task::yield_now().await;
    /// let folded = tasktrace::snapshot().folded(Weight::Tasks).to_string();
    /// assert!(folded.ends_with("::serve 2\n"), "{folded}");
    /// # }
    /// ```
    pub fn folded(&self, weight: Weight) -> impl fmt::Display + '_ {
        // Folded only when it is written, because this looks up symbols.
        Folded(move || fold(tasks(self), weight))
    }
}

impl Trace {
    /// Returns the trace as folded stacks, for flamegraph tools: see [`Dump::folded`](crate::Dump::folded). The numbers
    /// are numbers of leaves.
    ///
    /// ```
    /// # #[tasktrace::traced]
    /// # async fn serve() {
    /// let trace = tasktrace::Trace::here().unwrap();
    /// println!("{}", trace.folded());
    /// # }
    /// # fn main() {}
    /// ```
    pub fn folded(&self) -> impl fmt::Display + '_ {
        Folded(move || leaves(self))
    }
}

/// What each line counts.
pub(super) type Lines = BTreeMap<String, u64>;

/// The lines of a trace by itself.
pub(super) fn leaves(trace: &Trace) -> Lines {
    let seen = Seen::only(trace);
    let mut lines = Lines::new();
    Scales::default().weigh(&seen, |way| {
        let leaves = way.frames.last().map_or(0, |leaf| leaf.count().max(1));
        let leaves = u64::try_from(leaves).unwrap_or(u64::MAX);
        if !way.frames.is_empty() {
            *lines.entry(stack(&seen, &way)).or_default() += leaves;
        }
    });
    lines
}

/// The lines of many tasks.
pub(super) fn fold<'a>(all: impl Iterator<Item = Seen<'a>>, weight: Weight) -> Lines {
    let add = |way: &Way<'_>| match weight {
        Weight::Tasks => way.count,
        // What is below a microsecond is added up as well, see below.
        Weight::Waited => nanos(way.waited),
    };
    let mut lines = add_up(all, add);
    if weight == Weight::Waited {
        lines.values_mut().for_each(|nanos| *nanos /= 1000);
    }
    lines
}

/// The sum for each line of what `add` says of each way.
pub(super) fn add_up<'a>(
    all: impl Iterator<Item = Seen<'a>>,
    add: impl Fn(&Way<'_>) -> u64,
) -> Lines {
    let mut lines = Lines::new();
    let mut scales = Scales::default();
    for seen in all.take_while(|_| !is_unwanted()) {
        scales.weigh(&seen, |way| {
            let sum = lines.entry(stack(&seen, &way)).or_default();
            *sum = sum.saturating_add(add(&way));
        });
    }
    lines
}

pub(super) fn nanos(time: Duration) -> u64 {
    time.as_nanos().try_into().unwrap_or(u64::MAX)
}

/// The frames of a line.
fn stack(seen: &Seen<'_>, way: &Way<'_>) -> String {
    let mut stack = String::new();
    for (at, frame) in way.frames.iter().enumerate() {
        if way.cut == Some(at) {
            push(&mut stack, LEFT_OUT);
        }
        push(&mut stack, function(frame));
    }
    if way.frames.is_empty() {
        push(&mut stack, seen.name);
    }
    let wait = way.frames.last().and_then(|leaf| leaf.wait());
    if let Some(remark) = remark(seen.state_kind, wait) {
        push(&mut stack, remark);
    }
    stack
}

/// What a frame is called.
pub(super) fn function(frame: &Frame) -> &str {
    match frame.name() {
        "" => "(unknown function)",
        name => name,
    }
}

/// What there is to say of a leaf, but that it waits.
fn remark(state_kind: StateKind, wait: Option<Wait>) -> Option<&'static str> {
    match (state_kind, wait) {
        (StateKind::NeverPolled, _) => Some("[not polled yet]"),
        (StateKind::Running, _) => Some("[running]"),
        (StateKind::Finished, _) => Some("[finished]"),
        (StateKind::Woken, _) => Some("[woken, not polled since]"),
        (StateKind::Suspended, Some(Wait::NoWaker)) => Some("[no waker registered]"),
        (StateKind::Suspended, Some(Wait::NotPolled)) => Some("[held, but not polled]"),
        (StateKind::Suspended, Some(Wait::Yielded)) => Some("[woken again at once]"),
        (StateKind::Suspended, Some(Wait::OutOfBudget)) => Some("[coop budget exhausted]"),
        (StateKind::Suspended, Some(Wait::Registered | Wait::Suspended | Wait::Running) | None) => {
            None
        }
    }
}

/// Adds a frame, so that it is read as one.
fn push(stack: &mut String, name: &str) {
    if !stack.is_empty() {
        stack.push(';');
    }
    let start = stack.len();
    let mut letters = name.trim().chars().peekable();
    while let Some(letter) = letters.next() {
        stack.push(match letter {
            // As in the name of `[u8; 4]`.
            ';' => ',',
            // A line may begin with a remark.
            '#' if stack.is_empty() => '_',
            // What begins with a digit after a space could be the number.
            _ if letter.is_whitespace() || !is_plain(letter) => {
                let next = letters.peek();
                match next.is_some_and(|next| next.is_ascii_digit() || "+-.".contains(*next)) {
                    true => '_',
                    false => ' ',
                }
            }
            _ => letter,
        });
    }
    if stack.len() == start {
        stack.push('_');
    }
}

/// Made when it is written.
pub(super) struct Folded<F>(pub(super) F);

impl<F: Fn() -> Lines> fmt::Display for Folded<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (stack, number) in self.0() {
            f.write_str(&stack)?;
            writeln!(f, " {number}")?;
        }
        Ok(())
    }
}

impl<'a> Seen<'a> {
    /// A trace of which nothing else is known.
    fn only(trace: &'a Trace) -> Self {
        Self {
            name: "",
            label: None,
            task: None,
            state_kind: StateKind::Suspended,
            tree: trace.tidy(),
            count: 1,
            waited: Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests;
