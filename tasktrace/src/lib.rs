#![cfg_attr(tasktrace_context_ext, feature(context_ext, local_waker))]
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
//! * any future, through the function [`traced`](traced()), or with the feature `tokio` through
//!   `tasktrace::spawn`.
//!
//! Inside of a task, a `#[traced]` function is a **frame**, and so is any future with
//! [`.traced("label")`](TracedExt::traced). A frame is *live*: from the moment when it is first
//! suspended until it ends, it stands in the record of its task, where any thread can read it,
//! whatever the executor does, with its label and its age, and without symbols.
//!
//! # Asking
//!
//! One task, with a [`TraceHandle`], which [`traced`](traced()), [`current`] and [`tasks`] return:
//!
//! * [`backtrace`](TraceHandle::backtrace) in async code and
//!   [`backtrace_timeout`](TraceHandle::backtrace_timeout) from a plain thread have it polled once,
//!   and show everything, down to what it waits for;
//! * [`snapshot`](TraceHandle::snapshot) shows the live frames, without a poll;
//! * [`state`](TraceHandle::state), [`age`](TraceHandle::age), [`polls`](TraceHandle::polls) and
//!   others tell what it is doing.
//!
//! All tasks, with [`dump`](dump()) in async code and [`dump_blocking`] from a plain thread, which
//! ask, and show the live frames of those that do not answer in time, or with [`snapshot`], which
//! asks nobody. A [`Dump`] is printed in groups of tasks that wait at the same place, with what may
//! be wrong first, or [by who waits for whom](Dump::by_awaiter).
//!
//! From outside, with a signal: [`dump_on_signal`]; with a browser, by the module `http` (feature `http`).
//!
//! [`Trace::here`] shows the way to the line that calls it, for logs and panic hooks.
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
//! `at src/main.rs:10:5` is a line that is being awaited or executed. Without a stack, as in a
//! snapshot and of what is held but not polled, only the function is known: `(fn at src/main.rs:4)`, or
//! for a future that is no function `(made at src/main.rs:20)`. [`Frame::line_is`] tells them apart.
//!
//! # Children with wakers of their own
//!
//! `FuturesUnordered`, `buffer_unordered`, `join_all` past 30 futures, `Shared`, `LocalSet` and
//! others poll a child only when its own waker was woken. A frame remembers its waker if it is not
//! its task's, and a capture begins with waking those: so the children are polled in that poll, and
//! are shown whole. What is no frame is not, and then the trace ends at the combinator.
//!
//! # Held, but not polled
//!
//! A frame that is alive but was left out of the last poll of its task, such as a `&mut future` that
//! a `select!` has stopped polling, is marked, with the time since its last poll: nothing drives it,
//! and what it holds, such as a lock, stays held.
//!
//! # Running tasks
//!
//! A task that is in the middle of a poll cannot be asked: it computes, or it blocks its thread. A dump
//! interrupts that thread by a signal, and shows what it is doing ([`Source::Sample`]): the functions of
//! the task, and the call that blocks it, such as `std::thread::sleep`. The handler copies the
//! registers, the stack up to the task and the list of frames that are being polled, which takes some
//! ten microseconds, and does nothing else. It runs on a larger alternate stack, which each thread gets when it
//! first polls a task. The signal is one that is ignored where it is not handled, so that none which is
//! on its way when the program replaces itself by `exec` does harm. No handler is installed until there is
//! a task to be shown that way.
//! This is so on Linux, x86_64 and aarch64; elsewhere the state of the task, its thread and the time
//! are shown. See [`set_sample_signal`] for which signal it is, and [`NoSample`] for what can be in the
//! way.
//!
//! # Where time is waited
//!
//! [`profile`](profile()) looks at all tasks a hundred times a second, and adds up where they wait: the
//! profile of what a program does when it does nothing. It comes as text, JSON, folded stacks, flamegraph
//! and in the format of pprof, as does a [`Dump`].
//!
//! # What tells on its own
//!
//! * A [`#[tasktrace::test]`](macro@test) that takes too long fails with a verdict, its own tasks, and a
//!   file for machines. The time is kept by a plain thread, whatever the runtime or its clock do.
//!   `timeout = "30s"` sets the limit, and the environment variable `TASKTRACE_TEST_TIMEOUT` overrides
//!   it. A panic in it tells the async stack.
//! * [`watchdog`] reports polls that do not end, tasks that are not polled although they should be, and
//!   functions that wait for longer than [`#[traced(wait_limit = "5s")]`](macro@traced) allows.
//! * [`dump_on_signal`] writes a dump when the process gets a signal, from a thread of its own.
//! * [`panic_hook`] adds the async stack to the message of a panic.
//! * A dump tells of the last tasks that panicked, or were dropped before they had ended: [`Dump::ended`].
//!
//! # Features
//!
//! * `tokio`: `spawn` and others, `JoinHandle` and `JoinSet`: tasks that know where and by whom they
//!   were spawned, and show who awaits them; and the number of tokio's tasks that are not traced.
//!   Whoever awaits them is traced down to what they wait for.
//! * `tower`: `tower::TraceLayer`, which shows each request of axum, tonic and hyper as a task or a frame.
//! * `hyper`: `hyper::Executor`, which traces the tasks of hyper's servers and clients.
//! * `serde`: `Serialize` for dumps and traces. (As JSON they can be written without.)
//! * `flamegraph`: dumps and profiles as flamegraphs: [`Weight`] says of what.
//! * `pprof`: dumps and profiles in the format of pprof.
//! * `http`: a page, and dumps and profiles in all formats, over HTTP: `http::serve` and `http::service`.
//! * `tracing`: what a watchdog reports, as events.
//! * `attach`: `attach` and `#[tasktrace::main(attach)]`: the program `tasktrace` can ask the process.
//! * `cli`: that program: `cargo install --git https://github.com/petrosagg/tasktrace tasktrace --features cli`.
//!
//! # What a program needs
//!
//! * Any executor. tasktrace depends on none: `main` and `test` expand to your tokio, or to the
//!   `block_on` that you name.
//! * For lines, debug information: `debug = "line-tables-only"` in the profile is enough. Without,
//!   a trace names the functions that were not inlined, and the traced ones with their places.
//! * Unwind tables, which are there unless they were turned off. `panic = "abort"` does not.
//!
//! # Other processes
//!
//! * **`fork`.** A child has a copy of the memory, and one thread. It can make tasks, snapshots, dumps and
//!   watchdogs of its own, and keeps its own time. A fork waits until no other thread is in the middle of
//!   anything of ours, mostly for some microseconds and at most for two seconds, so that no lock is locked in the
//!   child. Meanwhile, and until the system has copied the process, dumps on other threads wait, for ten seconds at
//!   the most. Tasks that other threads of the parent had polled last are left behind: the child does not list
//!   them, nor ask them, and their handles say that they have finished, until a thread of the child polls them.
//!   What has a thread of its own in the parent, such as a [`watchdog`], [`dump_on_signal`] or a server, is not
//!   in the child until it is started there. If the parent was looking up names for longer than 200 ms, the
//!   child shows those that are known by then. All this is so for `fork` of the C library, and not
//!   for a system call beside it. Executors have locks and threads as well: see what yours says of `fork`.
//! * **`exec`, `vfork`, `posix_spawn`.** Nothing of ours is in the new program, but for a signal by which a thread is
//!   interrupted: that is ignored there, unless [`set_sample_signal`] has chosen another.
//! * **Set-user-id, set-group-id, file capabilities.** A program that runs with more rights than the user who
//!   started it ignores all environment variables that are named here: that user could have it
//!   write files. What the program itself asks for, such as [`dump_on_signal`] with a file, is done with the rights
//!   of the program.
//!
//! # Limits
//!
//! * A task answers at its next poll, so one that nobody polls does not: [`TraceError`] says so. Its live
//!   frames can be seen all the same.
//! * The stack of a poll that has not ended is had on Linux only, and not where its thread blocks the
//!   signal, or where the system forbids `process_vm_readv`. Of a stack of more than 512 KiB the part
//!   that is nearer to the root is missing. Where a poll switches to another stack, what is below the
//!   switch is shown.
//! * Which tasks are those of a test is known by the runtime with the feature `tokio`, otherwise by who
//!   has spawned them and by which thread polls them.
//! * Where a combinator hands its children wakers of its own, those that are no frames are not seen.
//! * A leaf that waits without a waker leaves no stack. It is shown as far as there are tasks and
//!   `#[traced]` functions around it.
//! * A future that registers its waker at its first poll only, instead of at each, shows in no later
//!   poll. It is said to have registered none in that poll, and to be woken only by that of an earlier one.
//! * A wake goes to the executor directly: a task that was woken by others, and not polled since,
//!   is not told from one that is suspended. A [`watchdog`](watchdog()) finds executors that do not
//!   poll what is woken, by waking one of their tasks at each look.
//! * The tasks of an executor that demands that wakers be its own cannot be captured: [`TraceError::OwnWakers`] says
//!   so, and their live frames are shown. Embassy's is known by the names of its functions, so not in a program whose
//!   symbols were stripped.
//! * Nightly's `Context::ext` and `Context::local_waker` are handed on to the future in every poll. What registers a
//!   local waker of its own is not seen in a trace.
//! * The record of a task holds on to its waker until the task ends, also without a handle. On executors that cancel
//!   a task when nobody has a waker of it, a traced task is not cancelled that way.
//! * The time is kept by a thread, in steps of ten milliseconds, while there are tasks. Times are up
//!   to a step too long, or more if the thread has to wait for a processor, and not too short.
//! * The memory of a record is used again for another task, and not given back.
//! * Linux on x86_64 is tested. Linux on aarch64 has the same code path, other platforms that of
//!   the `backtrace` crate; they compile by construction, but have not been run.
//!
//! # Coming from async-backtrace or await-tree
//!
#![cfg_attr(
    all(doc, feature = "tokio"),
    doc = "See [`coming_from`]: what is called how, and what has no counterpart."
)]
//!
//! # Inside
//!
//! Each module has one job, and uses only those below it:
//!
//! | module | job | uses |
//! |---|---|---|
//! | `attach` | lets other processes of the user ask (features `attach` and `cli`) | escape, http, os, sync |
//! | `watch` | tests that hang, dumps on signals, panics, tasks that do not go on | diagnosis, dump, escape, host, origin, os, sync, symbol, task, trace |
//! | `http` | dumps for browsers and scrapers (feature `http`) | dump, host, os, profile, render, sync, task |
//! | `rt` | spawning on tokio, requests of services (features `tokio`, `tower`, `hyper`) | host, origin, sync, task |
//! | `task` | records, the poll of a task, requests, handles | capture, escape, host, origin, os, symbol, sync, trace, unwind |
//! | `render` | traces, dumps and profiles to text and other formats; captures nothing | diagnosis, dump, escape, origin, profile, symbol, sync, task, trace |
//! | `diagnosis` | what is wrong with the tasks of a dump, and how sure that is: plain data | dump, task, trace |
//! | `profile` | where tasks wait, added up over a while | capture, dump, os, sync, task, trace |
//! | `dump` | all tasks at one moment: plain data | capture, host, os, sync, task, trace |
//! | `trace` | stacks to trees: plain data | capture, origin, symbol, sync |
//! | `symbol` | addresses to names and lines | origin, os, sync, unwind |
//! | `capture` | scopes, the recording waker, the buffers, signals; no symbols, no text | escape, origin, os, sync, unwind |
//! | `unwind` | walks the stack; no tasks | sync |
//! | `escape` | text of others for terminals and logs | |
//! | `origin` | what tasks and frames are known by, without symbols | |
//! | `host` | what is known of the executor | |
//! | `os` | what the operating system is asked for | |
//! | `sync` | std's synchronisation, or what checks how it is used | |
//!
//! What always holds:
//!
//! 1. The leaf registers the real waker. There is no false `Pending`, and no lost wake.
//! 2. A capture costs a task at most one poll more, two where children were woken, by its own
//!    executor. To be woken by a watchdog costs one.
//! 3. No lock is held while foreign code runs, and that is the allocator as well: nothing is allocated or
//!    freed under a lock. A poll waits for no reader, but for as long as one copies the labels of a task.
//! 4. A panic in a poll passes through unchanged, and what was set up for the poll is taken down.
//! 5. A capture is bounded in frames and leaves; what was cut is said. Merging and printing do not
//!    recurse.
//! 6. A trace is never blank.
//! 7. No lock of ours is locked in a child of `fork`.
//! 8. `unsafe` is in `unwind`, `capture`, `task` and `os` only.
//! 9. No text names a private path of the crate: functions of its own are known by marks on the stack, by
//!    address, or by type, so to rename or to move one changes nothing that is shown.

#[cfg(any(feature = "attach", feature = "cli"))]
mod attach;
mod capture;
mod diagnosis;
mod dump;
mod escape;
mod host;
#[cfg(feature = "http")]
pub mod http;
mod origin;
mod os;
mod profile;
mod render;
#[cfg(any(feature = "tokio", feature = "tower", feature = "hyper"))]
mod rt;
mod symbol;
mod sync;
mod task;
mod trace;
mod unwind;
mod watch;

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;

// They link to what that feature adds.
#[cfg(all(doc, feature = "tokio"))]
#[doc = include_str!("../docs/coming_from.md")]
pub mod coming_from {}
#[cfg(all(doc, feature = "tokio"))]
#[doc = include_str!("../docs/guide.md")]
pub mod guide {}

#[cfg(doc)]
#[doc = include_str!("../docs/limits.md")]
pub mod limits {}

// It links to what that feature adds.
#[cfg(all(doc, feature = "attach"))]
#[doc = include_str!("../docs/cli.md")]
pub mod command_line {}

/// An executor that traces what hyper spawns (feature `hyper`).
#[cfg(feature = "hyper")]
pub mod hyper {
    pub use crate::rt::hyper::Executor;
}

/// A layer that shows each request of a service (feature `tower`).
#[cfg(feature = "tower")]
pub mod tower {
    pub use crate::rt::tower::{MethodAndPath, NameRequest, TraceLayer, Traced};
}

// It links to what these features add. Its code takes axum, so the package of the tests tries it.
#[cfg(all(doc, not(doctest), feature = "tower", feature = "hyper"))]
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
