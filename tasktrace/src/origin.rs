//! Where tasks and frames come from, as far as it is known without symbols.

mod future;
mod interned;
mod name;
mod title;

use core::fmt;
use core::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use interned::interned;

pub(crate) use name::{Name, split as split_name};
pub(crate) use title::Title;
#[cfg(feature = "__cli")]
pub(crate) use title::is_function;

/// The clock by which tasks are timed goes in steps, counted from 1.
pub(crate) const STEP: Duration = Duration::from_millis(10);

/// What is known of a `#[traced]` function at compile time.
#[derive(Debug)]
pub struct FrameMeta {
    name: Option<&'static str>,
    path: fn() -> &'static str,
    file: &'static str,
    line: u32,
    column: u32,
    /// In nanoseconds.
    wait_limit: Option<u64>,
    /// The same in steps of the clock by which tasks are timed, at least as long. 0 if there is no limit.
    limit: u32,
}

impl FrameMeta {
    /// `path` returns the full path of an item declared inside the function, as the compiler spells it.
    pub const fn new(
        name: Option<&'static str>,
        path: fn() -> &'static str,
        file: &'static str,
        line: u32,
        column: u32,
    ) -> Self {
        Self {
            name,
            path,
            file,
            line,
            column,
            wait_limit: None,
            limit: 0,
        }
    }

    /// Former name of `wait_limit`. `#[traced(stalled_after = "…")]` expands to a call of it with the span of the
    /// argument, so that the compiler warns there.
    #[must_use]
    #[deprecated(note = "the argument is called `wait_limit`")]
    pub const fn stalled_after(self, nanos: u64) -> Self {
        self.wait_limit(nanos)
    }

    /// A call may wait for so many nanoseconds.
    #[must_use]
    pub const fn wait_limit(mut self, nanos: u64) -> Self {
        self.wait_limit = Some(nanos);
        let steps = nanos.div_ceil(STEP.as_nanos() as u64);
        self.limit = if steps < u32::MAX as u64 {
            steps as u32
        } else {
            u32::MAX
        };
        self
    }

    /// For how many steps of time a call may wait. 0 if for ever.
    #[inline]
    pub(crate) fn limit(&self) -> u32 {
        self.limit
    }
}

/// Whether a function with a limit of its own was ever called. Until then nobody need look for one.
static ANY_LIMITS: AtomicBool = AtomicBool::new(false);

pub(crate) fn any_limits() -> bool {
    ANY_LIMITS.load(Ordering::Relaxed)
}

/// A function with a limit is called.
pub(crate) fn set_any_limits() {
    // Written once, so that the threads which call such functions only ever read it.
    if !any_limits() {
        ANY_LIMITS.store(true, Ordering::Relaxed);
    }
}

/// The function or the call that made a task or a frame.
#[derive(Clone, Copy)]
pub(crate) enum Origin {
    /// An attribute on a function.
    Function(&'static FrameMeta),
    /// A call of [`traced`](crate::traced).
    Call {
        /// The type of the future: for an async fn its path.
        future: &'static str,
        location: &'static Location<'static>,
    },
    /// A future that is called by a name of ours, whatever its function is.
    #[cfg_attr(
        not(feature = "tower"),
        expect(dead_code, reason = "only services have such")
    )]
    Named {
        what: &'static str,
        /// Where it was decided.
        location: &'static Location<'static>,
    },
    /// A future of ours that waits for other tasks, and does nothing else.
    #[cfg_attr(
        not(feature = "tokio"),
        expect(dead_code, reason = "only tokio has such")
    )]
    Wait {
        /// The path of its type or its function.
        what: &'static str,
        /// Where the tasks were spawned.
        location: &'static Location<'static>,
    },
}

/// What a frame is known by.
#[derive(Clone, Debug)]
pub(crate) enum Identity {
    /// The function it was made by, and nothing else: costs nothing.
    Static(&'static FrameMeta),
    /// Something that became known at run time.
    Dynamic(Arc<Dynamic>),
}

/// What became known of a frame at run time.
#[derive(Debug)]
pub(crate) struct Dynamic {
    pub(crate) origin: Origin,
    pub(crate) label: Option<Arc<str>>,
    pub(crate) awaits: Awaits,
}

/// The tasks that a frame waits for, by their numbers.
#[derive(Clone, Debug)]
pub(crate) enum Awaits {
    Nothing,
    Task(u64),
    Tasks(Vec<u64>),
    /// Those that are in a set at the time of asking.
    #[cfg_attr(
        not(feature = "tokio"),
        expect(dead_code, reason = "only tokio has such sets")
    )]
    Set(Arc<dyn TaskSet>),
}

/// Tasks that come and go, and are awaited together.
pub(crate) trait TaskSet: fmt::Debug + Send + Sync + UnwindSafe + RefUnwindSafe {
    /// The numbers of those that have not finished, in ascending order.
    fn unfinished(&self) -> Vec<u64>;
}

impl Identity {
    pub(crate) fn new(origin: Origin, label: Option<Arc<str>>, awaits: Option<u64>) -> Self {
        match (origin, label, awaits) {
            (Origin::Function(meta), None, None) => Self::Static(meta),
            (origin, label, awaits) => Self::Dynamic(Arc::new(Dynamic {
                origin,
                label,
                awaits: awaits.map_or(Awaits::Nothing, Awaits::Task),
            })),
        }
    }

    /// Of a frame that waits for all tasks in a set.
    #[cfg(feature = "tokio")]
    pub(crate) fn awaiting_set(origin: Origin, set: Arc<dyn TaskSet>) -> Self {
        Self::Dynamic(Arc::new(Dynamic {
            origin,
            label: None,
            awaits: Awaits::Set(set),
        }))
    }

    /// What it is now: does not change when a set of tasks does.
    pub(crate) fn now(self) -> Self {
        let Self::Dynamic(dynamic) = &self else {
            return self;
        };
        let Awaits::Set(set) = &dynamic.awaits else {
            return self;
        };
        let tasks = set.unfinished();
        Self::Dynamic(Arc::new(Dynamic {
            origin: dynamic.origin,
            label: Some(list(&tasks).into()),
            awaits: Awaits::Tasks(tasks),
        }))
    }

    /// Whether there is no more to it than where it comes from.
    pub(crate) fn is_plain(&self) -> bool {
        match self {
            Self::Static(_) => true,
            Self::Dynamic(dynamic) => {
                dynamic.label.is_none() && matches!(dynamic.awaits, Awaits::Nothing)
            }
        }
    }

    pub(crate) fn origin(&self) -> Origin {
        match self {
            Self::Static(meta) => Origin::Function(meta),
            Self::Dynamic(dynamic) => dynamic.origin,
        }
    }

    /// For how long the frame may be suspended, if there is a limit to that. What is also a task
    /// has it there.
    pub(crate) fn wait_limit(&self) -> Option<Duration> {
        match self {
            Self::Dynamic(dynamic) if !matches!(dynamic.awaits, Awaits::Nothing) => None,
            _ => self.origin().wait_limit(),
        }
    }

    /// The numbers of the tasks that it waits for.
    pub(crate) fn awaits(&self) -> Vec<u64> {
        let Self::Dynamic(dynamic) = self else {
            return Vec::new();
        };
        match &dynamic.awaits {
            Awaits::Nothing => Vec::new(),
            Awaits::Task(task) => vec![*task],
            Awaits::Tasks(tasks) => tasks.clone(),
            Awaits::Set(set) => set.unfinished(),
        }
    }

    /// As [`label`](Self::label), as long as this is there.
    pub(crate) fn label_str(&self) -> Option<&str> {
        let own = match self {
            Self::Static(_) => None,
            Self::Dynamic(dynamic) => dynamic.label.as_deref(),
        };
        own.or_else(|| self.origin().given_name())
    }

    /// The label that it was given at run time.
    pub(crate) fn own_label(&self) -> Option<Arc<str>> {
        match self {
            Self::Static(_) => None,
            Self::Dynamic(dynamic) => dynamic.label.clone(),
        }
    }

    /// The label, or else the name that the attribute was given.
    pub(crate) fn label(&self) -> Option<Arc<str>> {
        self.own_label()
            .or_else(|| self.origin().given_name().map(Arc::from))
    }
}

impl Origin {
    /// What tells it from others, as numbers: where in the program what is known of it is.
    pub(crate) fn addresses(self) -> [usize; 4] {
        let text = |text: &'static str| [text.as_ptr().addr(), text.len()];
        let place = |place: &'static Location<'static>| std::ptr::from_ref(place).addr();
        match self {
            Self::Function(meta) => [0, std::ptr::from_ref(meta).addr(), 0, 0],
            Self::Call { future, location } => {
                let [at, length] = text(future);
                [1, at, length, place(location)]
            }
            Self::Wait { what, location } => {
                let [at, length] = text(what);
                [2, at, length, place(location)]
            }
            Self::Named { what, location } => {
                let [at, length] = text(what);
                [3, at, length, place(location)]
            }
        }
    }

    /// Where what is known of it is: the same for those that are the same.
    pub(crate) fn address(self) -> usize {
        match self {
            Self::Function(meta) => std::ptr::from_ref(meta).addr(),
            Self::Call { location, .. }
            | Self::Named { location, .. }
            | Self::Wait { location, .. } => std::ptr::from_ref(location).addr(),
        }
    }

    /// What the user called it, or the path of the function.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Function(FrameMeta {
                name: Some(name), ..
            }) => name,
            _ => self.path(),
        }
    }

    /// The name that the user gave it.
    pub(crate) fn given_name(self) -> Option<&'static str> {
        match self {
            Self::Function(meta) => meta.name,
            Self::Call { .. } | Self::Named { .. } | Self::Wait { .. } => None,
        }
    }

    /// Returns the limit that the function sets for its waits.
    pub(crate) fn wait_limit(self) -> Option<Duration> {
        match self {
            Self::Function(meta) => meta.wait_limit.map(Duration::from_nanos),
            Self::Call { .. } | Self::Named { .. } | Self::Wait { .. } => None,
        }
    }

    /// The path of the function whose body it is: `krate::module::function`.
    pub(crate) fn path(self) -> &'static str {
        match self {
            // The item is declared in the function, or in the body that an attribute made of it.
            Self::Function(meta) => {
                let path = (meta.path)();
                let path = path
                    .rsplit_once("::")
                    .map_or(path, |(function, _item)| function);
                match plain(path) {
                    Some(path) => path,
                    None => interned(path, 0, || future::shorten(name::split(path).function)),
                }
            }
            Self::Call { future, location } => match plain(future) {
                Some(path) => path,
                // Whose type tells nothing is known by its place.
                None => interned(future, std::ptr::from_ref(location).addr(), || {
                    future::name(future).unwrap_or_else(|| {
                        let (file, line) = (location.file(), location.line());
                        format!("(spawned at {file}:{line})")
                    })
                }),
            },
            Self::Named { what, .. } | Self::Wait { what, .. } => what,
        }
    }

    pub(crate) fn file(self) -> &'static str {
        match self {
            Self::Function(meta) => meta.file,
            Self::Call { location, .. }
            | Self::Named { location, .. }
            | Self::Wait { location, .. } => location.file(),
        }
    }

    pub(crate) fn line(self) -> u32 {
        match self {
            Self::Function(meta) => meta.line,
            Self::Call { location, .. }
            | Self::Named { location, .. }
            | Self::Wait { location, .. } => location.line(),
        }
    }

    pub(crate) fn column(self) -> u32 {
        match self {
            Self::Function(meta) => meta.column,
            Self::Call { location, .. }
            | Self::Named { location, .. }
            | Self::Wait { location, .. } => location.column(),
        }
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} at {}:{}:{}",
            self.name(),
            self.file(),
            self.line(),
            self.column()
        )
    }
}

/// `tasks 7, 8, 9 and 5 more`.
fn list(tasks: &[u64]) -> String {
    /// So many are named.
    const NAMED: usize = 3;

    let named: Vec<String> = tasks.iter().take(NAMED).map(u64::to_string).collect();
    let named = named.join(", ");
    match tasks.len() {
        0 => "no task".to_owned(),
        1 => format!("task {named}"),
        2..=NAMED => format!("tasks {named}"),
        length => format!("tasks {named} and {} more", length - NAMED),
    }
}

/// `krate::function` of `krate::function::{{closure}}`, which is the body of an async fn. `None` if
/// there is more to be left out.
fn plain(path: &'static str) -> Option<&'static str> {
    /// So long that it need not be cut.
    const SHORT: usize = 100;

    let mut path = path;
    while let Some(shorter) = path.strip_suffix("::{{closure}}") {
        path = shorter;
    }
    let is_plain = path.contains("::") && !path.contains(['<', '{', '&', ' ']);
    (is_plain && path.len() <= SHORT).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    static UNLIMITED: FrameMeta = FrameMeta::new(None, || "path", "file", 1, 2);
    static LIMITED: FrameMeta =
        FrameMeta::new(None, || "path", "file", 1, 2).wait_limit(1_500_000_000);

    #[test]
    fn limits_of_functions() {
        let limit = |meta| Origin::Function(meta).wait_limit();
        assert_eq!(limit(&UNLIMITED), None);
        assert_eq!(limit(&LIMITED), Some(Duration::from_millis(1500)));
    }

    #[test]
    fn whether_there_are_limits() {
        set_any_limits();
        assert!(any_limits());
    }
}
