//! A program that also handles signals itself, for `tests/tests/signals`.
//!
//! Its argument is the scenario.

use std::ffi::c_int;
use std::io::Write;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tasktrace::dump_on_signal;

fn main() {
    let scenario = std::env::args().nth(1).unwrap_or_default();
    match &*scenario {
        "before" => before(0),
        "once" => before(libc::SA_RESETHAND),
        "interrupted" => interrupted(),
        "errno" => errno(),
        "after" => after(),
        "ignored" => ignored(),
        "fork" => fork(),
        "waited for" => waited_for(),
        _ => panic!("no such way"),
    }
}

fn say(line: &str) {
    println!("{line}");
    std::io::stdout()
        .flush()
        .expect("the test reads the output");
}

extern "C" fn handler(_: c_int) {
    let line = b"handled\n";
    // SAFETY: the pointer is valid for reads of `line.len()` bytes.
    unsafe { libc::write(1, line.as_ptr().cast(), line.len()) };
}

fn handle(signal: c_int, handler: extern "C" fn(c_int), flags: c_int) {
    // SAFETY: `sigaction` is a C struct of integers, sets and optional functions, for which all zeros is a valid value.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = handler as *const () as libc::sighandler_t;
    action.sa_flags = flags;
    // SAFETY: the handler takes one number, as the flags require: no caller passes `SA_SIGINFO`. The action is valid
    // for reads.
    let result = unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) };
    assert_eq!(result, 0);
}

/// The program's handler is installed before that of the library.
fn before(flags: c_int) {
    for signal in [libc::SIGUSR1, libc::SIGTERM] {
        handle(signal, handler, flags);
        for _ in 0..2 {
            dump_on_signal(signal).expect("the signal can be used");
        }
    }
    say("ready");
    wait_for_end_of_input();
    say("bye");
}

fn wait_for_end_of_input() {
    let mut line = String::new();
    let read = std::io::stdin().read_line(&mut line);
    read.expect("the input can be read");
}

/// The program's handler does not restart system calls, so neither must the library's.
fn interrupted() {
    extern "C" fn silent(_: c_int) {}

    handle(libc::SIGUSR1, silent, 0);
    dump_on_signal(libc::SIGUSR1).expect("the signal can be used");
    // SAFETY: `pthread_self` takes no arguments and always succeeds.
    let main = unsafe { libc::pthread_self() };
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                // SAFETY: the main thread is alive: the scope makes it wait for this thread.
                assert_eq!(unsafe { libc::pthread_kill(main, libc::SIGUSR1) }, 0);
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        // SAFETY: the pointer is valid for writes of one byte.
        let read = unsafe { libc::read(0, [0_u8].as_mut_ptr().cast(), 1) };
        is_over.store(true, Ordering::Relaxed);
        assert_eq!(read, -1);
    });
    say("bye");
}

/// A handler that changes `errno` does not change it for the code that it interrupts.
fn errno() {
    extern "C" fn fails(_: c_int) {
        // SAFETY: `close` takes a number, and no open descriptor has this one.
        assert_eq!(unsafe { libc::close(-1) }, -1);
    }
    handle(libc::SIGUSR1, fails, 0);
    dump_on_signal(libc::SIGUSR1).expect("the signal can be used");
    // SAFETY: the path is a string that ends with a zero byte.
    assert_eq!(unsafe { libc::chdir(c"".as_ptr()) }, -1);
    // SAFETY: `raise` takes a number. The signal has a handler, so it does not end the process.
    assert_eq!(unsafe { libc::raise(libc::SIGUSR1) }, 0);
    let error = std::io::Error::last_os_error();
    assert_eq!(error.raw_os_error(), Some(libc::ENOENT));
    say("bye");
}

/// The program's handler is installed after that of the library, and calls it, as most handlers do.
fn after() {
    let signal = || dump_on_signal(libc::SIGINT).expect("the signal can be used");
    signal();
    tasktrace_tests::current_thread().block_on(async {
        let kind = tokio::signal::unix::SignalKind::interrupt();
        let mut interrupts =
            tokio::signal::unix::signal(kind).expect("tokio can handle the signal");
        // The two handlers must not call each other in a loop.
        signal();
        say("ready");
        for _ in 0..2 {
            interrupts.recv().await;
            say("interrupted");
        }
        say("bye");
    });
}

/// The signal is ignored, as in programs under `nohup`.
fn ignored() {
    // SAFETY: `SIG_IGN` installs no function, so no code runs in a signal handler.
    unsafe { libc::signal(libc::SIGHUP, libc::SIG_IGN) };
    let error = dump_on_signal(libc::SIGHUP).expect_err("an ignored signal is refused");
    say(&error.to_string());
    // SAFETY: `getpid` has no arguments and `kill` takes integers. The signal is ignored, so it does not end the process.
    assert_eq!(unsafe { libc::kill(libc::getpid(), libc::SIGHUP) }, 0);
    say("bye");
}

/// A forked child does not wait for a thread that exists only in the parent.
fn fork() {
    dump_on_signal(libc::SIGUSR1).expect("the signal can be used");
    dump_on_signal(libc::SIGTERM).expect("the signal can be used");
    // SAFETY: after `fork`, the child calls only `alarm` and `pause`, which are async-signal-safe, so it needs no lock
    // that another thread may have held.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: `alarm` takes a number. It ends a child that outlives a failed test.
        unsafe { libc::alarm(100) };
        loop {
            // SAFETY: `pause` has no arguments and accesses no memory of this process.
            unsafe { libc::pause() };
        }
    }
    for signal in [libc::SIGUSR1, libc::SIGUSR1, libc::SIGTERM] {
        // SAFETY: `kill` takes numbers. The child has not been waited for, so its number belongs to no other process.
        assert_eq!(unsafe { libc::kill(child, signal) }, 0);
    }
    let mut status = 0;
    // SAFETY: the pointer to the status is valid for writes.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert!(libc::WIFSIGNALED(status), "{status}");
    say(&format!("the child died of {}", libc::WTERMSIG(status)));
    wait_for_end_of_input();
    say("bye");
}

/// A thread of the library does not take signals for which all threads of the program wait.
fn waited_for() {
    dump_on_signal(libc::SIGUSR1).expect("the signal can be used");
    let mut set = MaybeUninit::uninit();
    // SAFETY: `sigemptyset` initialises the set before the other calls read it.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGUSR2);
        libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), ptr::null_mut());
    }
    for _ in 0..100 {
        let mut signal = 0;
        // SAFETY: `kill` takes numbers. The set is initialised, and the pointer to the number is valid for writes.
        unsafe {
            libc::kill(libc::getpid(), libc::SIGUSR2);
            assert_eq!(libc::sigwait(set.as_ptr(), &raw mut signal), 0);
        }
        assert_eq!(signal, libc::SIGUSR2);
    }
    say("bye");
}
