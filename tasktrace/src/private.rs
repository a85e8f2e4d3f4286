//! Lists the items that the expansions of the attributes use and, in `cli`, the items that the program `tasktrace`
//! uses.
//!
//! This module is not a public interface. It may change in any release, so the two crates that use it depend on the
//! exact version of this crate.
#![allow(missing_docs)]

use core::future::Future;

pub use core::{column, file, line};
pub use std::format;
pub use tasktrace_macros::around_test;

use crate::origin::{Identity, Origin, set_any_limits};
use crate::task::{HasIdentity, Metadata};

pub use crate::origin::FrameMeta;
pub use crate::task::{Framed, TracedFuture, TracedTask};
pub use core::any::type_name;

/// The identity of the frame of a `#[traced]` function.
pub struct Function(Identity);

impl Function {
    /// Returns the identity of the function that `meta` describes.
    pub const fn of(meta: &'static FrameMeta) -> Self {
        Self(Identity::Static(meta))
    }
}

/// Leads to a [`Function`] through a function of its own type, which is zero-sized, so that it adds nothing to the size
/// of the future.
pub struct Of<T>(T);

impl<T: Fn() -> &'static Function> HasIdentity for Of<T> {
    #[inline]
    fn identity(&self) -> &Identity {
        &(self.0)().0
    }
}

/// Wraps the body of a `#[traced]` function. Inside a task, the body becomes a frame of that task. Outside any task, it
/// becomes a new root task.
#[inline]
pub const fn frame<T, F>(function: T, future: F) -> Framed<F, Of<T>>
where
    T: Fn() -> &'static Function + Copy,
    F: Future,
{
    Framed::new(Of(function), future)
}

/// Wraps the body of a `#[traced]` function like [`frame`], with a label.
pub fn labelled<F: Future>(meta: &'static FrameMeta, label: String, future: F) -> TracedFuture<F> {
    let identity = Identity::new(Origin::Function(meta), Some(label.into()), None);
    TracedFuture::new(identity, future)
}

/// Returns the identity of a function that has a wait limit, and records that the program has such functions.
#[inline]
pub fn limited<T>(function: &'static T) -> &'static T {
    set_any_limits();
    function
}

/// Wraps the body of a `main` function in a task of its own.
#[inline]
pub fn task<F: Future>(meta: &'static FrameMeta, future: F) -> TracedTask<F> {
    crate::watch::panic::record_panics();
    TracedTask::new(Metadata::of(Origin::Function(meta)), future)
}

/// Installs the handlers that an attribute and the environment request. `main` calls this function first.
///
/// `dump_on_signal` is the value of the attribute's argument of that name, or `""` if the argument has no value. A
/// `test` may call this function as well. Only the first call for each argument has an effect.
pub fn start(dump_on_signal: Option<&str>) {
    crate::watch::signal::start(dump_on_signal);
    #[cfg(feature = "attach")]
    crate::attach::start_by_environment();
}

/// Opens the socket that `#[tasktrace::main(attach)]` requests.
#[cfg(feature = "attach")]
pub fn start_attach() {
    crate::attach::start_by_attribute();
}

/// Expands to a call of `start_attach`, or to an error that names the missing feature.
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
            "`attach` needs the feature `attach` of tasktrace: \
             `tasktrace = { version = \"…\", features = [\"attach\"] }`"
        )
    };
}

/// The parts of this crate that the program `tasktrace` uses.
///
/// The package `tasktrace-cli` uses nothing else of this crate. It turns on the feature `__cli` alone, and depends on
/// the exact version, so this module may change in any release. The program learns everything else about a process from
/// the answers of that process.
#[cfg(feature = "__cli")]
pub mod cli {
    /// The directories of the sockets, the state of each socket, and the processes behind them.
    #[cfg(unix)]
    pub use crate::attach::directory::{
        ProcessState, SocketDirectory, SocketState, UnsuitableDirectory, process_state, user,
    };

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

/// The parts of a `test` function: its time limit, the record that it is running, and its body.
pub use crate::watch::test::{CurrentTest, Limit, Outcome, RunningTest, TestBody, body as test};

/// Panics with the report of a test, at the location of the caller.
#[track_caller]
pub fn fail(message: String) -> ! {
    panic!("{message}")
}

/// Stands for a value of the return type of a `#[traced]` body, where only the type is needed. Never called.
pub fn output<T>() -> T {
    unreachable!("only the type is wanted")
}

/// Returns the number of task headers and the number of frames in use. Tests use it.
pub fn live() -> (usize, usize) {
    crate::task::live()
}

/// Returns a function that scans all tasks like a watchdog, and returns the number of reports. Benchmarks use it.
pub fn scans() -> impl FnMut() -> usize {
    crate::watch::watchdog::scans()
}

/// Returns the report of the running tests that a signal would cause. Tests use it.
pub fn report_tests(budget: std::time::Duration) -> Option<String> {
    crate::watch::test::report_all("SIGTERM", budget)
}

/// Returns the number of locks that this thread holds: those of tasktrace, and the loader's lock while it lists
/// modules. Tests use it: the number must be zero while memory is allocated or freed.
pub fn held_locks() -> u32 {
    crate::sync::locks_held()
}

/// Returns the number of addresses that were resolved so far. Tests use it.
pub fn resolved_addresses() -> usize {
    crate::symbol::look_ups()
}
