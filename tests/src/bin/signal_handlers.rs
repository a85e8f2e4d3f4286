//! A program that handles signals in other ways as well, for `tests/signals.rs`.
//!
//! Its argument says how.

use std::ffi::c_int;
use std::io::Write;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tasktrace::dump_on_signal;

fn main() {
    let how = std::env::args().nth(1).unwrap_or_default();
    match &*how {
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
    std::io::stdout().flush().expect("it is read");
}

extern "C" fn handler(_: c_int) {
    let line = b"handled\n";
    // SAFETY: the bytes are there.
    unsafe { libc::write(1, line.as_ptr().cast(), line.len()) };
}

fn handle(signal: c_int, handler: extern "C" fn(c_int), flags: c_int) {
    // SAFETY: all zero is a value of its type.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = handler as *const () as libc::sighandler_t;
    action.sa_flags = flags;
    // SAFETY: the handler is of the type that the flags ask for.
    let result = unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) };
    assert_eq!(result, 0);
}

/// A handler that was there before.
fn before(flags: c_int) {
    for signal in [libc::SIGUSR1, libc::SIGTERM] {
        handle(signal, handler, flags);
        for _ in 0..2 {
            dump_on_signal(signal).expect("it can be used");
        }
    }
    say("ready");
    until_the_end();
    say("bye");
}

fn until_the_end() {
    let mut line = String::new();
    let read = std::io::stdin().read_line(&mut line);
    read.expect("there is an end");
}

/// System calls are not restarted, if that is what the program expects.
fn interrupted() {
    extern "C" fn silent(_: c_int) {}

    handle(libc::SIGUSR1, silent, 0);
    dump_on_signal(libc::SIGUSR1).expect("it can be used");
    // SAFETY: it takes nothing.
    let main = unsafe { libc::pthread_self() };
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                // SAFETY: the thread waits for this one.
                assert_eq!(unsafe { libc::pthread_kill(main, libc::SIGUSR1) }, 0);
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        // SAFETY: there is room for the byte.
        let read = unsafe { libc::read(0, [0_u8].as_mut_ptr().cast(), 1) };
        is_over.store(true, Ordering::Relaxed);
        assert_eq!(read, -1);
    });
    say("bye");
}

/// Whatever a handler does, it is not seen by what it interrupts.
fn errno() {
    extern "C" fn fails(_: c_int) {
        // SAFETY: there is no such descriptor to be closed.
        assert_eq!(unsafe { libc::close(-1) }, -1);
    }
    handle(libc::SIGUSR1, fails, 0);
    dump_on_signal(libc::SIGUSR1).expect("it can be used");
    // SAFETY: the path is a string.
    assert_eq!(unsafe { libc::chdir(c"".as_ptr()) }, -1);
    // SAFETY: it takes no pointer.
    assert_eq!(unsafe { libc::raise(libc::SIGUSR1) }, 0);
    let error = std::io::Error::last_os_error();
    assert_eq!(error.raw_os_error(), Some(libc::ENOENT));
    say("bye");
}

/// A handler that comes later and calls the one before, as most do.
fn after() {
    let signal = || dump_on_signal(libc::SIGINT).expect("it can be used");
    signal();
    tasktrace_tests::current_thread().block_on(async {
        let kind = tokio::signal::unix::SignalKind::interrupt();
        let mut interrupts = tokio::signal::unix::signal(kind).expect("it can be handled");
        // They must not call each other in turn.
        signal();
        say("ready");
        for _ in 0..2 {
            interrupts.recv().await;
            say("interrupted");
        }
        say("bye");
    });
}

/// As below `nohup`.
fn ignored() {
    // SAFETY: it is ignored, and no function.
    unsafe { libc::signal(libc::SIGHUP, libc::SIG_IGN) };
    let error = dump_on_signal(libc::SIGHUP).expect_err("it is ignored");
    say(&error.to_string());
    // SAFETY: they take no pointer.
    assert_eq!(unsafe { libc::kill(libc::getpid(), libc::SIGHUP) }, 0);
    say("bye");
}

/// A child that is no other program does not wait for a thread that it has not got.
fn fork() {
    dump_on_signal(libc::SIGUSR1).expect("it can be used");
    dump_on_signal(libc::SIGTERM).expect("it can be used");
    // SAFETY: the child does nothing but wait.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: it takes no pointer. The test has failed by then.
        unsafe { libc::alarm(100) };
        loop {
            // SAFETY: it takes nothing.
            unsafe { libc::pause() };
        }
    }
    for signal in [libc::SIGUSR1, libc::SIGUSR1, libc::SIGTERM] {
        // SAFETY: it takes no pointer, and the child is there until it is waited for.
        assert_eq!(unsafe { libc::kill(child, signal) }, 0);
    }
    let mut status = 0;
    // SAFETY: there is room for the status.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert!(libc::WIFSIGNALED(status), "{status}");
    say(&format!("the child died of {}", libc::WTERMSIG(status)));
    until_the_end();
    say("bye");
}

/// Signals that all threads of the program wait for are not taken by one of ours.
fn waited_for() {
    dump_on_signal(libc::SIGUSR1).expect("it can be used");
    let mut set = MaybeUninit::uninit();
    // SAFETY: the set is made empty, and added to, before it is read.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGUSR2);
        libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), ptr::null_mut());
    }
    for _ in 0..100 {
        let mut signal = 0;
        // SAFETY: they take no pointer, but for the set and room for a number.
        unsafe {
            libc::kill(libc::getpid(), libc::SIGUSR2);
            assert_eq!(libc::sigwait(set.as_ptr(), &raw mut signal), 0);
        }
        assert_eq!(signal, libc::SIGUSR2);
    }
    say("bye");
}
