#![cfg_attr(tasktrace_context_ext, feature(context_ext, local_waker))]
//! Shows where async tasks are waiting: logical stack traces of running and suspended tasks.
//!
//! A debugger can print the stack of a thread that hangs. A suspended task has no stack: it is a value in the queue of
//! an executor, and the future that it waits for is somewhere inside that value. tasktrace asks the task:
//!
//! ```no_run
//! use std::time::Duration;
//! use tokio::sync::mpsc;
//!
//! #[tasktrace::main]
//! async fn main() {
//!     let task = tasktrace::current().expect("main is a task");
//!     std::thread::spawn(move || {
//!         let trace = task.backtrace_timeout(Duration::from_secs(5)).unwrap();
//!         println!("{trace}");
//!     });
//!     let (_orders, queue) = mpsc::channel(8);
//!     tokio::join!(deliver(queue), tick());
//! }
//!
//! async fn deliver(mut queue: mpsc::Receiver<u32>) {
//!     while let Some(order) = queue.recv().await {
//!         println!("order {order}");
//!     }
//! }
//!
//! async fn tick() {
//!     tokio::time::sleep(Duration::from_secs(3600)).await;
//! }
//! ```
//!
//! ```text
//! ╼ app::main at src/main.rs:12:5
//!  ├╼ app::deliver at src/main.rs:16:42
//!  │  └╼ tokio::sync::mpsc::Receiver::recv at tokio-1.54.1/src/sync/mpsc/bounded.rs:245:42
//!  └╼ app::tick at src/main.rs:22:51
//!     └╼ tokio::time::sleep at tokio-1.54.1/src/time/sleep.rs:457:27
//! ```
//!
//! # The idea
//!
//! A future that returns `Pending` has cloned the waker of its context, in this poll or an earlier one, or it could
//! never be woken. So the next poll of a task reveals almost everything that the task waits for; a future that
//! registers only in its first poll is missing (see [Limits](#limits)). To capture a trace, tasktrace wakes the task,
//! and passes it for that one poll a waker of its own. The `clone` of that waker walks the stack, from the leaf future
//! that calls it up to the task. It then returns a clone of the **real** waker, so the leaf is registered, and the task
//! continues as if it had not been asked. Each leaf has one stack. The stacks of the branches of a `join!` or a
//! `select!` share their outer frames, so they merge into a tree.
//!
//! None of this happens until you ask. A capture costs one poll, or two if children had to be woken, and the memory of
//! some addresses. The addresses become names and lines when the [`Trace`] is printed.
//!
//! # Tasks and frames
//!
//! A **task** is a future that you can ask for a trace:
//!
//! * the body of a function with [`#[tasktrace::main]`](macro@main) or [`#[tasktrace::test]`](macro@test);
//! * an async fn with [`#[traced]`](macro@traced) that is called outside any task, for example by
//!   `tokio::spawn(serve())`;
//! * any future that is passed to the function [`traced`](traced()), or with the feature `tokio` to `tasktrace::spawn`.
//!
//! Inside a task, a `#[traced]` function is a **frame**, and so is any future with
//! [`.traced("label")`](TracedExt::traced). A frame is *live* from its first suspension, or from a snapshot or capture
//! taken inside it, until it ends. Any thread can read the live frames of a task, with their labels and ages, whatever
//! the executor does, and without symbols.
//!
//! # Asking
//!
//! A [`TraceHandle`] asks one task. [`traced`](traced()), [`current`] and [`tasks`] return handles, and so do
//! `JoinHandle::trace_handle` and `JoinSet::trace_handles` with the feature `tokio`:
//!
//! * [`backtrace`](TraceHandle::backtrace) in async code, and [`backtrace_timeout`](TraceHandle::backtrace_timeout) on
//!   a plain thread, have the task polled once, and show all functions down to what the task waits for;
//! * [`snapshot`](TraceHandle::snapshot) shows the live frames, without a poll;
//! * [`state`](TraceHandle::state), [`age`](TraceHandle::age), [`polls`](TraceHandle::polls) and other methods return
//!   the status of the task.
//!
//! [`dump`](dump()) in async code, and [`dump_blocking`] on a plain thread, ask all tasks, and show the live frames of
//! those that do not answer in time. [`snapshot`] shows the live frames of all tasks and asks none. A [`Dump`] prints
//! tasks that wait at the same place as one group, likely problems first, or prints [who awaits
//! whom](Dump::by_awaiter).
//!
//! [`dump_on_signal`] writes a dump when the process gets a signal, and the module `http` (feature `http`) serves dumps
//! to browsers.
//!
//! [`Trace::here`] returns the call path to the line that calls it, for logs and panic hooks.
//!
//! ```
//! use tasktrace::traced;
//!
//! #[traced("conn {peer}")]
//! async fn serve(peer: u32) {
//!     # let _ = peer;
//!     std::future::pending().await
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! tokio::spawn(serve(1));
//! tokio::spawn(serve(2));
//! # tokio::task::yield_now().await;
//! let dump = tasktrace::snapshot();
//! assert_eq!(dump.len(), 2);
//! println!("{dump}");
//! # }
//! ```
//!
//! ```text
//! 2 tasks: 2 suspended
//!
//! 2 tasks app::serve, suspended 3.1s, 1 poll, age 3.1s
//!   the longest: task 1 "conn 1" 3.1s, task 2 "conn 2" 3.1s
//!   ╼ app::serve "conn 1" and others (fn at src/main.rs:4)
//! ```
//!
//! `at src/main.rs:10:5` is a line that is being awaited or executed. A snapshot has no stack, and neither has a future
//! that is held but not polled. For both, only the function is known: `(fn at src/main.rs:4)`, or for a future that
//! does not come from a function, `(made at src/main.rs:20)`. [`Frame::line_is`] distinguishes the three.
//!
//! # Children with wakers of their own
//!
//! `FuturesUnordered`, `buffer_unordered`, `join_all` of more than 30 futures, `Shared`, `LocalSet` and others poll a
//! child only when the child's own waker was woken. If a frame is polled with a waker other than its parent's, it
//! remembers that waker. A capture first wakes all remembered wakers, so that the same poll reaches these children, and
//! shows them whole. Children that are not frames are not shown: their trace ends at the combinator.
//!
//! # Held, but not polled
//!
//! A live frame may be left out of the last poll of its task, such as a `&mut future` that a `select!` no longer polls.
//! Such a frame is marked, with the time since its last poll. No code polls it, and what it holds, such as a lock,
//! stays held.
//!
//! # Running tasks
//!
//! A task in the middle of a poll cannot answer: it computes, or it blocks its thread. A dump interrupts that thread
//! with a signal and shows what it is doing ([`Source::Sample`]): the functions of the task, and the call that blocks
//! it, such as `std::thread::sleep`. The signal handler only copies the registers, the stack up to the task, and the
//! list of frames that are being polled, which takes 14 to 69 µs, depending on the size of the stack. It runs on a
//! larger alternate stack, which each thread gets when it first polls a task. By default the signal is one that
//! processes ignore, so that it does no harm if it is pending when the program replaces itself by `exec`. The handler
//! is installed when the first running task is sampled.
//!
//! This works on Linux, on x86_64 and aarch64. On Windows (x86_64), and on macOS (aarch64) if it is turned on, the
//! thread that asks suspends the other thread while it copies. Elsewhere a dump shows the state of the task, its thread
//! and the time.
//! [`set_sample_signal`] selects the signal, and [`NoSample`] lists the reasons for a missing sample.
//!
//! # Profiles
//!
//! [`profile`](profile()) reads all tasks a hundred times a second, and adds up where they wait. It is for programs
//! that wait rather than compute. A [`Profile`] prints as text, JSON, folded stacks, a flamegraph or pprof, as a
//! [`Dump`] does.
//!
//! # Automatic reports
//!
//! * A [`#[tasktrace::test]`](macro@test) that takes too long fails with a verdict and the tasks of the test, and
//!   writes a report as JSON. A plain thread keeps the time, whatever the runtime or its clock does. `timeout = "30s"`
//!   sets the limit, and the environment variable `TASKTRACE_TEST_TIMEOUT` overrides it. A panic in the test prints the
//!   async stack.
//! * [`watchdog`] reports polls that do not end, tasks that are woken but not polled, and functions that wait for
//!   longer than [`#[traced(wait_limit = "5s")]`](macro@traced) allows.
//! * [`dump_on_signal`] writes a dump from a separate thread when the process gets a signal.
//! * [`panic_hook`] adds the async stack to the message of a panic.
//! * [`Dump::ended`] lists the last tasks that panicked, or were dropped before they ended.
//!
//! # Features
//!
//! * `tokio`: `spawn`, `JoinHandle` and `JoinSet`, which record where and by which task a task was spawned, and which
//!   task awaits it; and the number of tokio tasks that are not traced.
//! * `tower`: `tower::TraceLayer`, which shows each request of axum, tonic and hyper as a task or a frame.
//! * `hyper`: `hyper::Executor`, which traces the tasks of hyper's servers and clients.
//! * `serde`: `Serialize` for dumps, traces and profiles. (JSON does not need it.)
//! * `flamegraph`: flamegraphs of dumps, traces and profiles, weighted by [`Weight`].
//! * `pprof`: dumps and profiles in the format of pprof.
//! * `http`: the page, and dumps and profiles in all formats over HTTP: `http::serve` and `http::service`.
//! * `tracing`: emits the reports of a watchdog as events.
//! * `inspect`: reads untraced tasks, and who holds a lock, from the memory of this process (Linux x86_64): for
//!   the reports of hung tests, and for `Dump::inspected`.
//! * `attach`: `attach` and `#[tasktrace::main(attach)]`, with which the program `tasktrace` can ask the process.
//!
//! The package `tasktrace-cli` is that program:
//! `cargo install --git https://github.com/petrosagg/tasktrace tasktrace-cli`.
//!
//! # Requirements
//!
//! * Any executor. tasktrace depends on none: `main` and `test` expand to your version of tokio, or to the `block_on`
//!   that you name.
//! * Debug information, for lines: `debug = "line-tables-only"` in the profile is enough. Without it, a trace names the
//!   functions that were not inlined, and the traced functions with their locations.
//! * Unwind tables, which exist unless they were turned off. `panic = "abort"` keeps them.
//!
//! # Other processes
//!
//! * **`fork`.** A child has a copy of the memory, and one thread. It can make its own tasks, snapshots, dumps and
//!   watchdogs, and keeps its own time. A fork waits until no other thread is inside tasktrace, usually for some
//!   microseconds and at most for two seconds. The child never waits for a lock that a thread of its parent holds.
//!   Dumps on other threads wait until the system has copied the process, for at most ten seconds. Tasks that other
//!   threads of the parent polled last are left behind: until a thread of the child polls them, the child neither lists
//!   nor asks them, and their handles say that they have finished. Anything that has its own thread in the parent, such
//!   as a [`watchdog`], [`dump_on_signal`], a server or its service, must be started again in the child. If the parent
//!   was looking up names for longer than 200 ms, the child shows the names that were known by then. All this applies
//!   to `fork` of the C library, and not to the bare system call. Executors have locks and threads as well: see the
//!   documentation of yours for `fork`.
//! * **`exec`, `vfork`, `posix_spawn`.** The new program contains nothing of tasktrace, except possibly a pending
//!   sample signal. The new program ignores that signal, unless [`set_sample_signal`] chose another one.
//! * **Set-user-id, set-group-id, file capabilities.** A program that runs with more rights than the user who started
//!   it ignores all environment variables of tasktrace, because that user could make it write files. Requests of the
//!   program itself, such as [`dump_on_signal`] with a file, run with the rights of the program.
//!
//! # Limits
//!
//! * A task answers at its next poll. A task that is not polled does not answer ([`TraceError`] says so), but its live
//!   frames are visible.
//! * A future that registers its waker in its first poll only does not appear in later polls. The trace says that the
//!   task registered no waker in that poll, and that only an earlier waker can wake it.
//! * The stack of a running task is not available on all systems: see [`platforms`].
//! * The tasks of an executor that accepts only its own wakers cannot be captured ([`TraceError::OwnWakers`] says so).
//!
//! [`limits`] lists all limits.
//!
//! # Guides
//!
#![cfg_attr(
    all(doc, feature = "tokio"),
    doc = "[`guide`]: attributes, handles and dumps. [`tests`](mod@tests): hung tests. [`reading_a_dump`]: the text of a \
           dump. [`formats`]: JSON, folded stacks, pprof. [`exporters`]: reading dumps in your own code. [`cost`]: how \
           traces are taken, and what they cost. [`coming_from`]: async-backtrace, await-tree, tokio-console."
)]
//! [`limits`]: all limits. [`platforms`]: what each system and each executor has.
//!
//! # Guarantees
//!
//! A trace does not harm the program:
//!
//! 1. The leaf registers the real waker. A capture causes no false `Pending` and no lost wake.
//! 2. A capture costs a task at most one extra poll by its own executor, or two if children were woken. A check of the
//!    watchdog costs one.
//! 3. No lock is held while foreign code runs, which includes the allocator: nothing is allocated or freed under a
//!    lock, except a lock of an HTTP service, which only requests to that service take. A poll waits for a reader only
//!    while that reader copies the labels of the task.
//! 4. A panic in a poll propagates unchanged, and the state that was set up for the poll is restored.
//! 5. A capture is bounded in frames and leaves, and the trace says what was cut. Merging and printing do not recurse.
//! 6. A trace is never blank.
//! 7. A child of `fork` never waits for a lock that a thread of its parent holds.
//!
//! The repository's [`ARCHITECTURE.md`](https://github.com/petrosagg/tasktrace/blob/HEAD/ARCHITECTURE.md) describes the
//! modules of this crate and their invariants.

#[cfg(feature = "__cli")]
mod attach;
mod capture;
mod diagnosis;
mod dump;
mod escape;
#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "inspect")]
pub mod inspect;
#[cfg(not(feature = "inspect"))]
#[path = "inspect/disabled.rs"]
mod inspect;
mod origin;
mod os;
mod profile;
mod render;
#[cfg(any(feature = "tokio", feature = "tower", feature = "hyper"))]
mod rt;
mod runtime;
mod symbol;
mod sync;
mod task;
mod trace;
mod unwind;
mod watch;

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;

// The code or the links of these pages need the feature `tokio`.
#[cfg(all(doc, feature = "tokio"))]
#[doc = include_str!("../docs/coming_from.md")]
pub mod coming_from {}
#[cfg(all(doc, feature = "tokio"))]
#[doc = include_str!("../docs/guide.md")]
pub mod guide {}
#[cfg(all(doc, feature = "tokio"))]
#[doc = include_str!("../docs/tests.md")]
pub mod tests {}
#[cfg(all(doc, feature = "tokio"))]
#[doc = include_str!("../docs/reading_a_dump.md")]
pub mod reading_a_dump {}
#[cfg(all(doc, feature = "tokio"))]
#[doc = include_str!("../docs/formats.md")]
pub mod formats {}
#[cfg(all(doc, feature = "tokio"))]
#[doc = include_str!("../docs/exporters.md")]
pub mod exporters {}
#[cfg(all(doc, feature = "tokio"))]
#[doc = include_str!("../docs/cost.md")]
pub mod cost {}

#[cfg(doc)]
#[doc = include_str!("../docs/limits.md")]
pub mod limits {}
#[cfg(doc)]
#[doc = include_str!("../docs/platforms.md")]
pub mod platforms {}

// This page links to items of the feature `attach`.
#[cfg(all(doc, feature = "attach"))]
#[doc = include_str!("../docs/cli.md")]
pub mod command_line {}

/// Provides an executor that traces the tasks that hyper spawns (feature `hyper`).
#[cfg(feature = "hyper")]
pub mod hyper {
    pub use crate::rt::hyper::Executor;
}

/// Provides a layer that shows each request of a service (feature `tower`).
#[cfg(feature = "tower")]
pub mod tower {
    pub use crate::rt::tower::{MethodAndPath, NameRequest, TraceLayer, Traced};
}

// This page links to items of these features. Its code needs axum, so the package of the tests compiles it.
#[cfg(all(
    doc,
    not(doctest),
    feature = "tower",
    feature = "hyper",
    feature = "attach"
))]
#[doc = include_str!("../docs/services.md")]
pub mod services {}

#[cfg(feature = "attach")]
pub use attach::{AttachError, Attached, attach};
pub use capture::{SampleSignalError, set_sample_signal};
pub use dump::{
    Dump, EndedTask, Forest, HowEnded, Source, Stall, StallPhase, StallReport, TaskDump,
    UntracedTasks, dump, dump_blocking, snapshot,
};
pub use profile::{Profile, ProfileBuilder, ProfileSource, Progress, profile};
pub use render::{UnknownWeight, Weight};
#[cfg(feature = "tokio")]
pub use rt::{
    JoinHandle, JoinSet, JoinSetTaskBuilder, TaskBuilder, spawn, spawn_local, spawn_local_on,
    spawn_on,
};
pub use task::{
    NoAnswer, NoSample, Running, TaskId, TaskState, TraceError, TraceHandle, TracedExt,
    TracedFuture, TracedTask, current, tasks, traced,
};
pub use tasktrace_macros::{main, test, traced};
pub use trace::{Frame, LineIs, Trace, Wait};
pub use watch::panic::panic_hook;
pub use watch::signal::{DumpOnSignal, DumpOnSignalError, dump_on_signal};
pub use watch::watchdog::{Watchdog, WatchdogBuilder, watchdog};
