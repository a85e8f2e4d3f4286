//! Reads where the async tasks of a program wait from its memory.
//!
//! The program needs no preparation but debug info (`debug = 2`, as in dev and test builds): no dependency, no
//! attribute, no poll. It may run, hang, be blocked, or be a core file.
//!
//! ```no_run
//! use tasktrace_inspect::{Options, inspect_process};
//!
//! let report = inspect_process(4711, &Options::default())?;
//! println!("{report}");
//! # Ok::<(), tasktrace_inspect::Error>(())
//! ```
//!
//! # How it works
//!
//! The compiler turns an async function into a structure with one variant for each `.await`. Its debug info says which
//! field holds the variant, at which line each `.await` is, and which variables each variant keeps: among them the
//! future that is awaited, and guards of locks. So a suspended task is a tree of values that can be read by type.
//!
//! 1. The debug info is indexed in one pass: vtables, and the functions that poll tasks. Types are read when they are
//!    first met.
//! 2. Memory is read with `process_vm_readv`, or from a core file. The program is neither stopped nor written to.
//! 3. Tasks are found by the vtables in their headers. The lists of their runtimes, or their states, say which of them
//!    are alive.
//! 4. The fields of each task are walked by type: structures, enums, boxes, references, `dyn Future`, `Vec`, arrays,
//!    `FuturesUnordered`. There is no list of wrappers.
//! 5. Guards in suspended futures are matched with the futures that wait for the same semaphore. So the report says who
//!    holds a lock, and which tasks wait for each other in a cycle.
//!
//! Fields are found by name in the debug info of the program, not at fixed offsets. So versions of tokio and of the
//! compiler matter little.
//!
//! # What is exact
//!
//! A task of a running process is shown only if all memory that was read for it is the same afterwards, and if no
//! thread polled it. Otherwise it is read again, and if that does not help, the report says so. Tasks are read one
//! after the other, so the report is no picture of one moment: [`Options::freeze`] makes it one.
//!
//! # Limits
//!
//! * Linux on x86-64.
//! * Tasks of tokio, tasks of async-task from version 4.3 on (async-executor, smol, async-std), and futures that a thread
//!   blocks on. Tasks of other executors are not found.
//! * Closures of `spawn_blocking` are found while they are in the queue of their pool, while a task waits for them, or
//!   while the thread that runs them waits in a system call.
//! * The future that a thread blocks on is found if there is a pointer to it on the stack of the thread, and if the
//!   thread waits in a system call. Optimised programs need not keep such a pointer, above all with `lto = "fat"`. The
//!   memory of this future then counts as an object that is not followed: old pointers to locks in it speak against
//!   deadlocks.
//! * Debug info is read from the executable, from a separate file (`.debug`), and from the files that
//!   `split-debuginfo` makes. A package (`.dwp`) is looked for beside the program, with the name of the program, unless
//!   [`Options::debug_info`] names it. `.dwo` files are looked for where the compiler wrote them, beside the program, and
//!   in `deps` beside it. Both complete the debug info in the executable or in its `.debug` file: without that they are
//!   of no use.
//! * Crates that were compiled in the directory of the program, such as the members of its workspace, are the program's own
//!   even if they have the name of a runtime. In incremental builds only the crate that has `main` is recognised so.
//! * A guard that was dropped before its task waited can look like one that is held, because the compiler may keep its
//!   memory. It counts only while the lock is taken. So if a running thread, or an object that is not followed, holds
//!   the lock, a task may be named as its holder that has dropped it.
//! * A cycle of tasks is called a likely deadlock only if nothing speaks against it: all that its tasks wait for is
//!   known, they wait at the same time, and no other pointer to its locks is anywhere in memory. A cycle that fails
//!   one of the last two is counted in [`Report::missing`]. Futures that the program implements by hand, `poll_fn` and
//!   `select!` of `futures` may wait for more than their fields show, so tasks that wait for one are in no cycle.
//!   Memory that was freed may still have pointers to a lock, and so may the frames of functions that have not
//!   returned yet, except those that park a thread. So true deadlocks can be missed, too, above all with guards that
//!   own an `Arc`.
//! * Trait objects other than `dyn Future` and `dyn Stream` are not followed. A branch of `select!` that waits behind
//!   one is not shown. A `MaybeUninit` is followed only in an array beside a field `len` and in a `SmallVec`.
//!   Messages are followed in the channels `mpsc` and `oneshot` of tokio and `mpsc` of futures, for the task that has the
//!   receiver. A guard in an `Arc` counts for a task that has the only one. Futures in an `Arc` are not shown, except
//!   those of `Shared`.
//! * A core file without the first page of its executable does not say of which build it is. The kernel writes that
//!   page unless it is told otherwise.
//! * An [`OwnProcess`] searches its memory for runtimes only if there may be new ones. If a search takes longer than 50
//!   milliseconds, as in a process with much memory, a runtime that had no task during the last search is found late, by
//!   at most twenty times the duration of a search. Tasks of async-task are searched for in each reading.
//! * Trees end after 1,000 frames, with a mark, unless [`Limits::depth`] is larger.
//! * Files are mapped into memory. No other process may change or truncate one while it is read.
#![deny(unsafe_op_in_unsafe_fn)]

mod address;
mod async_task;
mod block_on;
mod build;
mod bytes;
mod constants;
mod count;
mod deadlock;
mod debug;
mod decode;
mod error;
mod graph;
mod hash;
mod inspect;
mod limits;
mod mapped_file;
mod memory;
mod own;
mod parked;
mod render;
mod report;
mod same_build;
mod sockets;
mod task_reader;
mod text;
mod tokio;
mod value;

pub use address::Address;
pub use error::Error;
pub use inspect::{Options, inspect_core, inspect_process, is_core_file};
pub use limits::Limits;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub use memory::ProcessMemory;
pub use memory::{Memory, Region, Unreadable};
pub use own::{OwnProcess, Root};
pub use report::{
    Deadlock, Frame, FrameLabel, Held, HeldKind, Holder, Missing, Report, Source, SourceKind, Task,
    TaskState, Wait, WaitKind,
};
pub use text::Text;
