//! Shows where async tasks are waiting: logical stack traces of running and suspended tasks.

mod capture;
mod origin;
mod render;
mod symbol;
mod sync;
mod task;
mod trace;
mod unwind;

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;

pub use task::{NoAnswer, TaskId, TraceError, TraceHandle, TracedTask, current, traced};
pub use tasktrace_macros::{main, test, traced};
pub use trace::{Frame, Trace, Wait};
