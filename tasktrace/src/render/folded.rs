//! Writes folded stacks, the input of all flamegraph tools: a line for each path to a leaf, `root;function;leaf 12`.
//!
//! Functions have no lines and labels here, so that all calls of a function are one flame. If a leaf has a remark,
//! such as that its task is running, the remark is a last frame in brackets.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::attribution::{Attributor, OMITTED_FRAMES, TaskPath, TaskSample, task_samples};
use super::weight::Weight;
use crate::dump::{Dump, StateKind};
use crate::escape::is_plain;
use crate::sync::is_cancelled;
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
        // The stacks are folded only when they are written, because this looks up symbols.
        super::from_fn(move |f| write(&fold(task_samples(self), weight), f))
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
        super::from_fn(|f| write(&leaves(self), f))
    }
}

/// The number of each folded stack.
pub(super) type StackWeights = BTreeMap<String, u64>;

/// Returns the stacks of a single trace. The numbers are numbers of leaves.
pub(super) fn leaves(trace: &Trace) -> StackWeights {
    let sample = TaskSample::only(trace);
    let mut lines = StackWeights::new();
    Attributor::default().attribute(&sample, |path| {
        let leaves = path.frames.last().map_or(0, |leaf| leaf.count().max(1));
        let leaves = u64::try_from(leaves).unwrap_or(u64::MAX);
        if !path.frames.is_empty() {
            *lines.entry(stack(&sample, &path)).or_default() += leaves;
        }
    });
    lines
}

/// Returns the stacks of many tasks.
pub(super) fn fold<'a>(all: impl Iterator<Item = TaskSample<'a>>, weight: Weight) -> StackWeights {
    let add = |path: &TaskPath<'_>| match weight {
        Weight::Tasks => path.count,
        // Nanoseconds are added up and rounded only at the end, so that times below a microsecond count too.
        Weight::Waited => nanos(path.waited),
    };
    let mut lines = add_up(all, add);
    if weight == Weight::Waited {
        lines.values_mut().for_each(|nanos| *nanos /= 1000);
    }
    lines
}

/// Adds up for each stack the numbers that `add` returns for its paths.
pub(super) fn add_up<'a>(
    all: impl Iterator<Item = TaskSample<'a>>,
    add: impl Fn(&TaskPath<'_>) -> u64,
) -> StackWeights {
    let mut lines = StackWeights::new();
    let mut attributor = Attributor::default();
    for sample in all.take_while(|_| !is_cancelled()) {
        attributor.attribute(&sample, |path| {
            let sum = lines.entry(stack(&sample, &path)).or_default();
            *sum = sum.saturating_add(add(&path));
        });
    }
    lines
}

pub(super) fn nanos(time: Duration) -> u64 {
    time.as_nanos().try_into().unwrap_or(u64::MAX)
}

/// Returns the text of a stack.
fn stack(sample: &TaskSample<'_>, path: &TaskPath<'_>) -> String {
    let mut stack = String::new();
    for (at, frame) in path.frames.iter().enumerate() {
        if path.omitted_before == Some(at) {
            push(&mut stack, OMITTED_FRAMES);
        }
        push(&mut stack, function(frame));
    }
    if path.frames.is_empty() {
        push(&mut stack, sample.name);
    }
    let wait = path.frames.last().and_then(|leaf| leaf.wait());
    if let Some(remark) = remark(sample.state_kind, wait) {
        push(&mut stack, remark);
    }
    stack
}

/// Returns the name of a frame.
pub(super) fn function(frame: &Frame) -> &str {
    match frame.name() {
        "" => "(unknown function)",
        name => name,
    }
}

/// Returns the remark on a leaf, unless it simply waits.
fn remark(state_kind: StateKind, wait: Option<Wait>) -> Option<&'static str> {
    match (state_kind, wait) {
        (StateKind::NeverPolled, _) => Some("[not polled yet]"),
        (StateKind::Running, _) => Some("[running]"),
        (StateKind::Finished, _) => Some("[finished]"),
        (StateKind::Woken, _) => Some("[woken, but not polled yet]"),
        (StateKind::Suspended, Some(Wait::NoWaker)) => Some("[no waker registered]"),
        (StateKind::Suspended, Some(Wait::NotPolled)) => Some("[held, but not polled]"),
        (StateKind::Suspended, Some(Wait::Yielded)) => Some("[woken again at once]"),
        (StateKind::Suspended, Some(Wait::OutOfBudget)) => Some("[coop budget exhausted]"),
        (StateKind::Suspended, Some(Wait::Registered | Wait::Suspended | Wait::Running) | None) => {
            None
        }
    }
}

/// Appends a frame, and replaces the characters that a parser would not read as part of its name.
fn push(stack: &mut String, name: &str) {
    if !stack.is_empty() {
        stack.push(';');
    }
    let start = stack.len();
    let mut letters = name.trim().chars().peekable();
    while let Some(letter) = letters.next() {
        stack.push(match letter {
            // Names contain `;` in array types such as `[u8; 4]`.
            ';' => ',',
            // A line that begins with `#` is a comment.
            '#' if stack.is_empty() => '_',
            // A digit after a space could be taken for the number.
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

/// Writes folded stacks, each with its number.
pub(super) fn write(stacks: &StackWeights, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (stack, number) in stacks {
        f.write_str(stack)?;
        writeln!(f, " {number}")?;
    }
    Ok(())
}

impl<'a> TaskSample<'a> {
    /// Returns the sample of a trace whose task is unknown.
    fn only(trace: &'a Trace) -> Self {
        Self {
            name: "",
            label: None,
            task: None,
            state_kind: StateKind::Suspended,
            tree: trace.simplified(),
            count: 1,
            waited: Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests;
