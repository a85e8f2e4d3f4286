//! Shows where async tasks are waiting: logical stack traces of running and suspended tasks.
//!
//! A thread that hangs can be asked for its stack. A task that hangs has none: it is a value in
//! some executor's queue, and what it waits for is somewhere inside of it. tasktrace asks the task:
//!
//! ```no_run
//! use std::time::Duration;
//!
//! #[tasktrace::main]
//! async fn main() {
//!     let task = tasktrace::current().expect("main is a task");
//!     std::thread::spawn(move || {
//!         let trace = task.backtrace_timeout(Duration::from_secs(5)).unwrap();
//!         println!("{trace}");
//!     });
//!     tokio::join!(listen(), tick());
//! }
//!
//! async fn listen() {
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
//!     listener.accept().await.unwrap();
//! }
//!
//! async fn tick() {
//!     tokio::time::sleep(Duration::from_secs(3600)).await;
//! }
//! ```
//!
//! ```text
//! ╼ app::main at src/main.rs:10:5
//!  ├╼ app::listen at src/main.rs:15:23
//!  │  └╼ tokio::net::TcpListener::accept at tokio-1.54.1/src/net/tcp/listener.rs:167:14
//!  └╼ app::tick at src/main.rs:19:51
//!     └╼ tokio::time::sleep at tokio-1.54.1/src/time/sleep.rs:457:27
//! ```
//!
//! # The idea
//!
//! A future that returns `Pending` must first have cloned the waker it was handed, or nobody could
//! ever wake it. So there is a moment at which everything that a task waits for shows itself: its
//! next poll. To ask a task for a trace is to wake it, and to hand it a waker for that one poll
//! whose `clone` walks the stack, from the leaf future that is cloning it up to the task. Then it
//! returns a clone of the **real** waker, so the leaf has what it needs, and the task goes on as if
//! nobody had asked. There is a stack for each leaf; those of a `join!` or a `select!` have their
//! beginning in common, and so they merge into a tree.
//!
//! Nothing of this is paid for until somebody asks. Then the price is one poll, and some addresses
//! to remember. They become names and lines when the [`Trace`] is printed.
//!
//! # Tasks and frames
//!
//! A **task** is what can be asked:
//!
//! * the body of a function with [`#[tasktrace::main]`](macro@main) or
//!   [`#[tasktrace::test]`](macro@test);
//! * an async fn with [`#[traced]`](macro@traced), called outside of any task, for example as
//!   `tokio::spawn(serve())`;
//! * any future, through the function [`traced`](traced());
//! * with the feature `tokio`, what `tasktrace::spawn` and `tasktrace::JoinSet` spawn: such a task
//!   knows where it was spawned and by which task, and who awaits it is known to.
//!
//! Inside of a task, a `#[traced]` function is a **frame**: the tree names it, also in a program
//! that was stripped of all symbols, and says so if it waits without having a waker registered.
//!
//! Ask with a [`TraceHandle`], which [`traced`](traced()) and [`current`] return:
//! [`backtrace`](TraceHandle::backtrace) in async code,
//! [`backtrace_timeout`](TraceHandle::backtrace_timeout) from a plain thread.
//! [`Trace::here`] shows the way to the line that calls it, for logs and panic hooks.
//!
//! # What a program needs
//!
//! * Any executor. tasktrace depends on none: `main` and `test` expand to your tokio, or to the
//!   `block_on` that you name.
//! * For lines, debug information: `debug = "line-tables-only"` in the profile is enough. Without,
//!   a trace names the functions that were not inlined, and the traced ones with their places.
//! * Unwind tables, which are there unless they were turned off. `panic = "abort"` does not.
//!
//! # Limits
//!
//! * A task answers at its next poll, so one that is being polled all the time, or that nobody
//!   polls, does not: [`TraceError`] says which.
//! * Where a combinator hands its children wakers of its own (`FuturesUnordered`, `Shared`,
//!   `JoinSet`, `LocalSet`, `join_all` past 30 futures), a trace ends at the combinator.
//! * A leaf that waits without a waker leaves no stack. It is shown as far as there are tasks and
//!   `#[traced]` functions around it.
//! * A future that registers its waker at its first poll only, instead of at each, shows in no later
//!   poll. It is reported as having no waker registered, although it has.
//! * An executor that demands that wakers be its own, such as embassy's, cannot be captured.
//! * A handle holds on to the waker of its task until the task ends. On executors that cancel a
//!   task when nobody has a waker of it, a traced task is not cancelled that way.
//! * Linux on x86_64 is tested. Linux on aarch64 has the same code path, other platforms that of
//!   the `backtrace` crate; they compile by construction, but have not been run.
//!
//! # Coming from async-backtrace or await-tree
//!
#![cfg_attr(doc, doc = "See [`coming_from`]: what is called how, and what has no counterpart.")]
//!
//! # Inside
//!
//! Each module has one job, and uses only those below it:
//!
//! | module | job | uses |
//! |---|---|---|
//! | `rt` | spawning on tokio (feature `tokio`) | host, origin, task |
//! | `task` | records, the poll of a task, requests, handles | capture, host, origin, sync, trace, unwind |
//! | `render` | traces and dumps to text; captures nothing | dump, symbol, task, trace |
//! | `dump` | all tasks at one moment: plain data | capture, host, sync, task, trace |
//! | `trace` | stacks to trees: plain data | capture, origin, symbol |
//! | `symbol` | addresses to names and lines | unwind |
//! | `capture` | scopes, the recording waker, the buffers; no symbols, no text | origin, unwind |
//! | `unwind` | walks the stack; no tasks | |
//! | `origin` | what is known at compile time | |
//! | `host` | what is known of the executor | |
//! | `sync` | std's synchronisation, or loom's | |
//!
//! What always holds:
//!
//! 1. The leaf registers the real waker. There is no false `Pending`, and no lost wake.
//! 2. A capture costs a task at most one poll more, by its own executor.
//! 3. No lock is held while anybody else's code runs.
//! 4. A panic in a poll passes through unchanged, and what was set up for the poll is taken down.
//! 5. A capture is bounded in frames and leaves; what was cut is said. Merging and printing do not
//!    recurse.
//! 6. A trace is never blank.
//! 7. `unsafe` is in `unwind`, `capture` and `task` only.

mod capture;
mod dump;
mod host;
mod origin;
mod render;
#[cfg(feature = "tokio")]
mod rt;
mod symbol;
mod sync;
mod task;
mod trace;
mod unwind;

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;

#[cfg(doc)]
#[doc = include_str!("../docs/coming_from.md")]
pub mod coming_from {}

pub use dump::{Dump, Forest, Source, TaskDump, dump, dump_blocking, snapshot};
#[cfg(feature = "tokio")]
pub use rt::{
    JoinHandle, JoinSet, JoinSetTaskBuilder, TaskBuilder, spawn, spawn_local, spawn_local_on,
    spawn_on,
};
pub use task::{
    NoAnswer, Running, TaskId, TaskState, TraceError, TraceHandle, TracedExt, TracedFuture,
    TracedTask, current, tasks, traced,
};
pub use tasktrace_macros::{main, test, traced};
pub use trace::{Frame, Trace, Wait};
