//! The items that the expansions of the attributes name and, in `cli`, those that the program `tasktrace` uses.
//!
//! Not a public interface: it may change in any release, so those crates are pinned to the exact version of this one.
#![allow(missing_docs)]

use core::future::Future;

pub use core::{column, file, line};
pub use std::format;
pub use tasktrace_macros::around_test;

use crate::origin::{Identity, Origin, set_any_limits};
use crate::task::{About, HasIdentity};

pub use crate::origin::FrameMeta;
pub use crate::task::{Framed, TracedFuture, TracedTask};
pub use core::any::type_name;

/// What a frame of a `#[traced]` function is known by.
pub struct Function(Identity);

impl Function {
    /// The function of which this is known.
    pub const fn of(meta: &'static FrameMeta) -> Self {
        Self(Identity::Static(meta))
    }
}

/// Leads to a [`Function`]: a type of its own, so that it takes no place in the future.
pub struct Of<T>(T);

impl<T: Fn() -> &'static Function> HasIdentity for Of<T> {
    #[inline]
    fn identity(&self) -> &Identity {
        &(self.0)().0
    }
}

/// Wraps the body of a `#[traced]` function: a frame of the task that polls it, or a task of its
/// own where there is none.
#[inline]
pub const fn frame<T, F>(function: T, future: F) -> Framed<F, Of<T>>
where
    T: Fn() -> &'static Function + Copy,
    F: Future,
{
    Framed::new(Of(function), future)
}

/// As `frame`, with a label.
pub fn labelled<F: Future>(meta: &'static FrameMeta, label: String, future: F) -> TracedFuture<F> {
    let identity = Identity::new(Origin::Function(meta), Some(label.into()), None);
    TracedFuture::new(identity, future)
}

/// Passes on what is known of a function that has a limit, and notes that there is one.
#[inline]
pub fn limited<T>(function: &'static T) -> &'static T {
    set_any_limits();
    function
}

/// Wraps the body of a `main` function: always a task of its own.
#[inline]
pub fn task<F: Future>(meta: &'static FrameMeta, future: F) -> TracedTask<F> {
    crate::watch::panic::remember();
    TracedTask::new(About::of(Origin::Function(meta)), future)
}

/// What `main` does first. `dump_on_signal` is what its argument says: `""` if it has no value. So
/// may what a `test` does: there is nothing to be done after the first time.
pub fn start(dump_on_signal: Option<&str>) {
    crate::watch::signal::start(dump_on_signal);
    #[cfg(feature = "attach")]
    crate::attach::start_by_environment();
}

/// What a `main` does whose attribute says `attach`.
#[cfg(feature = "attach")]
pub fn start_attach() {
    crate::attach::start_by_attribute();
}

/// A call of `start_attach`, or an error that says what it takes.
pub use crate::__attach as attach;

#[cfg(feature = "attach")]
#[doc(hidden)]
#[macro_export]
macro_rules! __attach {
    () => {
        $crate::__private::start_attach()
    };
}

#[cfg(not(feature = "attach"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __attach {
    () => {
        ::core::compile_error!(
            "`attach` takes the feature `attach` of tasktrace: \
             `tasktrace = { version = \"…\", features = [\"attach\"] }`"
        )
    };
}

/// The parts of this crate that the program `tasktrace` uses.
///
/// The package `tasktrace-cli` uses nothing else of this crate. It turns on the feature `__cli` alone, and depends on the
/// exact version, so this module may change in any release. Everything else about a process the program learns from
/// the answers of that process.
#[cfg(feature = "__cli")]
pub mod cli {
    /// The directories of the sockets, the state of each socket, and the processes behind them.
    #[cfg(unix)]
    pub use crate::attach::place::{Alive, Listener, Place, Unsuitable, alive, user};

    /// Returns `true` if a terminal shows a character as itself, and does not obey it.
    #[must_use]
    pub fn is_plain(character: char) -> bool {
        crate::escape::is_plain(character)
    }

    /// Returns `true` if the name of a task is the path of a function. Then the name precedes the label of the task.
    #[must_use]
    pub fn is_function(name: &str) -> bool {
        crate::origin::is_function(name)
    }
}

/// A `test` function: how long it may take, that it runs, and its body.
pub use crate::watch::test::{
    Current as CurrentTest, Limit, Outcome, Running as RunningTest, TestBody, body as test,
};

/// Panics with what a test is told, at the place of the call.
#[track_caller]
pub fn fail(message: String) -> ! {
    panic!("{message}")
}

/// Stands for what a `#[traced]` body returns, where only its type is wanted. Never called.
pub fn output<T>() -> T {
    unreachable!("only the type is wanted")
}

/// How many records and how many frames there are, for the tests.
pub fn live() -> (usize, usize) {
    crate::task::live()
}

/// Looks at all tasks as a watchdog does, each time it is called, for the benchmarks.
pub fn looks() -> impl FnMut() -> usize {
    crate::watch::watchdog::looks()
}

/// Returns what would be reported of the tests that are running if a signal came, for the tests.
pub fn report_tests(budget: std::time::Duration) -> Option<String> {
    crate::watch::test::report_all("SIGTERM", budget)
}

/// How many locks of ours this thread holds, for the tests: none while anything is allocated or freed.
pub fn held_locks() -> u32 {
    crate::sync::held()
}

/// How many times an address has been resolved, for the tests.
pub fn resolved_addresses() -> usize {
    crate::symbol::look_ups()
}
