//! Identifies the origins of tasks and frames without symbols: functions with attributes, and calls.

mod brackets;
mod file;
mod future;
mod name;
mod text_interner;
mod title;

use core::fmt;
use core::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use text_interner::intern_text;

pub(crate) use file::with_slashes;
pub(crate) use name::{FunctionName, split_name};
#[cfg(feature = "__cli")]
pub(crate) use title::is_function;
pub(crate) use title::{Title, is_in_name};

/// The length of a step of the clock that times tasks. Steps are counted from 1.
pub(crate) const CLOCK_STEP: Duration = Duration::from_millis(10);

/// The properties of a `#[traced]` function that are known at compile time.
#[derive(Debug)]
pub struct FrameMeta {
    name: Option<&'static str>,
    path: fn() -> &'static str,
    file: &'static str,
    line: u32,
    column: u32,
    /// The wait limit in nanoseconds.
    wait_limit: Option<u64>,
    /// The wait limit in steps of the clock, rounded up. 0 if there is no limit.
    limit: u32,
}

impl FrameMeta {
    /// Creates the metadata of a function without a wait limit.
    ///
    /// `path` returns the full path of an item that is declared inside the function, as the compiler spells it.
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

    /// Does the same as `wait_limit`, whose former name this is. `#[traced(stalled_after = "…")]` expands to a call of
    /// this function with the span of the argument, so that the compiler warns there.
    #[must_use]
    #[deprecated(note = "the argument is called `wait_limit`")]
    pub const fn stalled_after(self, nanos: u64) -> Self {
        self.wait_limit(nanos)
    }

    /// Sets the number of nanoseconds for which a call may wait.
    #[must_use]
    pub const fn wait_limit(mut self, nanos: u64) -> Self {
        self.wait_limit = Some(nanos);
        let steps = nanos.div_ceil(CLOCK_STEP.as_nanos() as u64);
        self.limit = if steps < u32::MAX as u64 {
            steps as u32
        } else {
            u32::MAX
        };
        self
    }

    /// Returns the number of steps of the clock for which a call may wait, or 0 if there is no limit.
    #[inline]
    pub(crate) fn limit(&self) -> u32 {
        self.limit
    }
}

/// `true` if a function with a wait limit was ever called. Until then, no frame has to be checked for a limit.
static ANY_LIMITS: AtomicBool = AtomicBool::new(false);

/// Returns `true` if a function with a wait limit was ever called.
pub(crate) fn any_limits() -> bool {
    ANY_LIMITS.load(Ordering::Relaxed)
}

/// Notes that a function with a wait limit is called.
pub(crate) fn set_any_limits() {
    // The flag is written once. After that, threads only read it, so its cache line is not contended.
    if !any_limits() {
        ANY_LIMITS.store(true, Ordering::Relaxed);
    }
}

/// The function or the call that made a task or a frame.
#[derive(Clone, Copy)]
pub(crate) enum Origin {
    /// A function with an attribute.
    Function(&'static FrameMeta),
    /// A call of [`traced`](crate::traced).
    Call {
        /// The name of the future's type, which for an async fn is its path.
        future: &'static str,
        location: &'static Location<'static>,
    },
    /// A future to which tasktrace gives a name, such as a request.
    #[cfg_attr(
        not(feature = "tower"),
        expect(dead_code, reason = "only services have named futures")
    )]
    Named {
        name: &'static str,
        /// The call that gave the name.
        location: &'static Location<'static>,
    },
    /// A future of tasktrace that only waits for other tasks.
    #[cfg_attr(
        not(feature = "tokio"),
        expect(dead_code, reason = "only tasks of tokio can be awaited")
    )]
    Wait {
        /// The path of the future's type or function.
        path: &'static str,
        /// The call that spawned the tasks.
        location: &'static Location<'static>,
    },
}

/// The identity of a task or a frame: its origin, its label, and the tasks that it awaits.
#[derive(Clone, Debug)]
pub(crate) enum Identity {
    /// A function with an attribute, without a label. Creating this costs nothing.
    Static(&'static FrameMeta),
    /// An identity with parts that became known at run time.
    Dynamic(Arc<Dynamic>),
}

/// The parts of an identity, if some of them became known at run time.
#[derive(Debug)]
pub(crate) struct Dynamic {
    pub(crate) origin: Origin,
    pub(crate) label: Option<Arc<str>>,
    pub(crate) awaits: Awaits,
}

/// The numbers of the tasks that a frame awaits.
#[derive(Clone, Debug)]
pub(crate) enum Awaits {
    Nothing,
    Task(u64),
    Tasks(Vec<u64>),
    /// The tasks that are in a set at the time of the request.
    #[cfg_attr(
        not(feature = "tokio"),
        expect(dead_code, reason = "only tokio has sets of tasks")
    )]
    Set(Arc<dyn TaskSet>),
}

/// A changing set of tasks that are awaited together.
pub(crate) trait TaskSet: fmt::Debug + Send + Sync + UnwindSafe + RefUnwindSafe {
    /// Returns the numbers of the tasks that have not finished, in ascending order.
    fn unfinished(&self) -> Vec<u64>;
}

impl Dynamic {
    /// Does the work of [`Identity::now`].
    fn now(self: &Arc<Self>) -> Arc<Self> {
        let Awaits::Set(set) = &self.awaits else {
            return Arc::clone(self);
        };
        let tasks = set.unfinished();
        Arc::new(Self {
            origin: self.origin,
            label: Some(list_tasks(&tasks).into()),
            awaits: Awaits::Tasks(tasks),
        })
    }
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

    /// Returns the identity of a frame that awaits the tasks in a set.
    #[cfg(feature = "tokio")]
    pub(crate) fn awaiting_set(origin: Origin, set: Arc<dyn TaskSet>) -> Self {
        Self::Dynamic(Arc::new(Dynamic {
            origin,
            label: None,
            awaits: Awaits::Set(set),
        }))
    }

    /// Returns a copy in which the tasks that are in an awaited set now replace the set.
    #[inline]
    pub(crate) fn now(&self) -> Self {
        match self {
            Self::Static(meta) => Self::Static(meta),
            Self::Dynamic(dynamic) => Self::Dynamic(Dynamic::now(dynamic)),
        }
    }

    /// Returns `true` if the identity consists of its origin only: it has no label of its own and awaits no task.
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

    /// Returns the limit for how long the frame may be suspended. A frame that awaits tasks has none, because the limit
    /// belongs to the awaited task.
    pub(crate) fn wait_limit(&self) -> Option<Duration> {
        match self {
            Self::Dynamic(dynamic) if !matches!(dynamic.awaits, Awaits::Nothing) => None,
            _ => self.origin().wait_limit(),
        }
    }

    /// Returns the numbers of the awaited tasks.
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

    /// Returns the same text as [`label`](Self::label), borrowed.
    pub(crate) fn label_str(&self) -> Option<&str> {
        let own = match self {
            Self::Static(_) => None,
            Self::Dynamic(dynamic) => dynamic.label.as_deref(),
        };
        own.or_else(|| self.origin().given_name())
    }

    /// Returns the label that was given at run time.
    pub(crate) fn own_label(&self) -> Option<Arc<str>> {
        match self {
            Self::Static(_) => None,
            Self::Dynamic(dynamic) => dynamic.label.clone(),
        }
    }

    /// Returns the label that was given at run time, or else the name that was given to the attribute.
    pub(crate) fn label(&self) -> Option<Arc<str>> {
        self.own_label()
            .or_else(|| self.origin().given_name().map(Arc::from))
    }
}

impl Origin {
    /// Returns the kind of the origin and the addresses of its static parts. They are equal for equal origins only.
    pub(crate) fn addresses(self) -> [usize; 4] {
        let text = |text: &'static str| [text.as_ptr().addr(), text.len()];
        let place = |place: &'static Location<'static>| std::ptr::from_ref(place).addr();
        match self {
            Self::Function(meta) => [0, std::ptr::from_ref(meta).addr(), 0, 0],
            Self::Call { future, location } => {
                let [at, length] = text(future);
                [1, at, length, place(location)]
            }
            Self::Wait { path, location } => {
                let [at, length] = text(path);
                [2, at, length, place(location)]
            }
            Self::Named { name, location } => {
                let [at, length] = text(name);
                [3, at, length, place(location)]
            }
        }
    }

    /// Returns the address of the metadata or of the location, which is the same for equal origins.
    pub(crate) fn address(self) -> usize {
        match self {
            Self::Function(meta) => std::ptr::from_ref(meta).addr(),
            Self::Call { location, .. }
            | Self::Named { location, .. }
            | Self::Wait { location, .. } => std::ptr::from_ref(location).addr(),
        }
    }

    /// Returns the name that was given to the attribute, or else the path of the function.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Function(FrameMeta {
                name: Some(name), ..
            }) => name,
            _ => self.path(),
        }
    }

    /// Returns the name that was given to the attribute.
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

    /// Returns the path of the function whose body the task or frame is: `krate::module::function`.
    pub(crate) fn path(self) -> &'static str {
        match self {
            // The item is declared in the function, or in the body that an attribute generated from the function.
            Self::Function(meta) => {
                let path = (meta.path)();
                let path = path
                    .rsplit_once("::")
                    .map_or(path, |(function, _item)| function);
                match strip_closures(path) {
                    Some(path) => path,
                    None => intern_text(path, 0, || future::shorten(split_name(path).function)),
                }
            }
            Self::Call { future, location } => match strip_closures(future) {
                Some(path) => path,
                // A future whose type is erased is named by its location.
                None => intern_text(future, std::ptr::from_ref(location).addr(), || {
                    future::name(future).unwrap_or_else(|| {
                        let (file, line) = (self.file(), location.line());
                        format!("(spawned at {file}:{line})")
                    })
                }),
            },
            Self::Named { name, .. } => name,
            Self::Wait { path, .. } => path,
        }
    }

    pub(crate) fn file(self) -> &'static str {
        let file = match self {
            Self::Function(meta) => meta.file,
            Self::Call { location, .. }
            | Self::Named { location, .. }
            | Self::Wait { location, .. } => location.file(),
        };
        match with_slashes(file) {
            Cow::Borrowed(file) => file,
            Cow::Owned(changed) => intern_text(file, 0, || changed.clone()),
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

/// Returns a list of tasks for readers: `tasks 7, 8, 9 and 5 more`.
fn list_tasks(tasks: &[u64]) -> String {
    /// The number of tasks that are listed.
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

/// Returns `krate::function` for `krate::function::{{closure}}`, which is the body of an async fn. Returns `None` if
/// the path has other parts to leave out, or has to be cut.
fn strip_closures(path: &'static str) -> Option<&'static str> {
    /// The length up to which a path is not cut.
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
    fn the_wait_limit_of_a_function_is_exact() {
        let limit = |meta| Origin::Function(meta).wait_limit();
        assert_eq!(limit(&UNLIMITED), None);
        assert_eq!(limit(&LIMITED), Some(Duration::from_millis(1500)));
    }

    #[test]
    fn a_call_of_a_limited_function_is_noted() {
        set_any_limits();
        assert!(any_limits());
    }
}
