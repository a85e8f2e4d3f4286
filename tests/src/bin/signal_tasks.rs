//! A program with tasks, which dumps them on signals, for `tests/tests/signals`.
//!
//! Its arguments are the signals, as `SIGUSR1`, `SIGUSR1:file` or `SIGUSR1:file:milliseconds`, and words that set its
//! state. It prints `ready`, and ends when its input ends.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tasktrace::{DumpOnSignal, TaskDump, TaskState};
use tasktrace_tests::{HOUR, multi_thread};

/// The number of the runtime's threads.
const WORKERS: usize = 2;

#[tasktrace::traced]
async fn waits() {
    std::future::pending().await
}

#[tasktrace::traced("worker {number}")]
async fn blocks(number: usize, blocked: Arc<AtomicUsize>) {
    tokio::task::yield_now().await;
    blocked.fetch_add(1, Ordering::Release);
    std::thread::sleep(HOUR);
}

fn main() {
    let runtime = multi_thread();
    for argument in std::env::args().skip(1) {
        match &*argument {
            "waiting" => {
                runtime.spawn(waits());
                let is_suspended = |task: &TaskDump| *task.state() == TaskState::Suspended;
                while !tasktrace::snapshot().tasks().any(is_suspended) {
                    std::thread::yield_now();
                }
            }
            "blocked" => {
                let blocked = Arc::new(AtomicUsize::new(0));
                for number in 0..WORKERS {
                    runtime.spawn(blocks(number, Arc::clone(&blocked)));
                    // A worker that took two of these tasks would block in one and keep the other in its queue.
                    while blocked.load(Ordering::Acquire) <= number {
                        std::thread::yield_now();
                    }
                }
            }
            "stuck" => fill_stderr(),
            "dies of SIGPIPE" => {
                // SAFETY: the disposition is a valid one. It is the default in programs that are not written in Rust.
                unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
            }
            "gives nothing" => umask(0o777),
            "gives everything" => umask(0),
            signal => tasktrace::dump_on_signal(options(signal)).expect("the signal can be used"),
        }
    }
    println!("ready");
    let _ = std::io::stdin().read(&mut [0]);
    println!("bye");
    // The threads of the runtime may be blocked, so the program does not wait for them.
    std::process::exit(0);
}

fn options(argument: &str) -> DumpOnSignal {
    let mut words = argument.split(':');
    let signal = words.next().unwrap_or_default();
    let mut options: DumpOnSignal = signal.parse().expect("the argument names a signal");
    if let Some(file) = words.next().filter(|file| !file.is_empty()) {
        options = options.to_file(file);
    }
    if let Some(budget) = words.next() {
        let budget = budget.parse().expect("the budget is a number");
        options = options.budget(Duration::from_millis(budget));
    }
    options
}

fn umask(mask: libc::mode_t) {
    // SAFETY: `umask` takes a number and always succeeds.
    unsafe { libc::umask(mask) };
}

/// Fills the pipe of standard error, so that the next write blocks.
fn fill_stderr() {
    let flags = |flags: std::ffi::c_int| {
        // SAFETY: the argument of `F_SETFL` is an integer, so `fcntl` accesses no memory of this process.
        assert_ne!(unsafe { libc::fcntl(2, libc::F_SETFL, flags) }, -1);
    };
    flags(libc::O_NONBLOCK);
    // SAFETY: the pointer is valid for reads of one byte.
    while unsafe { libc::write(2, [b'.'].as_ptr().cast(), 1) } == 1 {}
    flags(0);
}
