//! Tests `tasktrace top` on a pseudo-terminal.

use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::Runtime;

/// The longest time that a test waits for the screen.
const LIMIT: Duration = Duration::from_secs(60);

/// A pseudo-terminal, and the program that runs on it.
struct Terminal {
    master: File,
    /// Held so that the tests can read the settings of the terminal.
    slave: OwnedFd,
    child: Child,
    screen: Arc<(Mutex<vt100::Parser>, Condvar)>,
}

impl Terminal {
    fn start(runtime: &Runtime, arguments: &[&str]) -> Self {
        let (master, slave) = open();
        resize(&master, 100, 20);
        let stdio = || Stdio::from(slave.try_clone().expect("it is open"));
        let mut command = runtime.command(arguments);
        command.env("TERM", "xterm-256color");
        command.stdin(stdio()).stdout(stdio()).stderr(stdio());
        let leads = || {
            // SAFETY: `setsid` and this `ioctl` take integers. The child gets a session of its own, with its standard
            // input as the terminal.
            unsafe {
                libc::setsid();
                libc::ioctl(0, libc::TIOCSCTTY as _, 0);
            }
            Ok(())
        };
        // SAFETY: the closure only makes system calls, which are async-signal-safe and therefore allowed between `fork`
        // and `exec`.
        let child = unsafe { command.pre_exec(leads) }
            .spawn()
            .expect("it is built");
        let screen = Arc::new((Mutex::new(parser(100, 20)), Condvar::new()));
        let mut reader = master.try_clone().expect("it is open");
        let shared = Arc::clone(&screen);
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read) = reader.read(&mut buffer) {
                if read == 0 {
                    return;
                }
                let (screen, changed) = &*shared;
                screen
                    .lock()
                    .expect("nobody panics")
                    .process(&buffer[..read]);
                changed.notify_all();
            }
        });
        Self {
            master,
            slave,
            child,
            screen,
        }
    }

    fn types(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).expect("it is open");
    }

    fn resize(&self, columns: u16, rows: u16) {
        let mut parser = self.screen.0.lock().expect("nobody panics");
        // The program draws the whole screen again.
        *parser = self::parser(columns, rows);
        parser.process(b"\x1b[?1049h");
        drop(parser);
        resize(&self.master, columns, rows);
    }

    /// Waits until `is` returns `true` for the screen.
    #[track_caller]
    fn comes_to(&self, what: &str, is: impl Fn(&vt100::Screen) -> bool) {
        let (parser, changed) = &*self.screen;
        let mut parser = parser.lock().expect("nobody panics");
        let begun = Instant::now();
        while !is(parser.screen()) {
            let left = LIMIT.checked_sub(begun.elapsed());
            let left = left.unwrap_or_else(|| {
                let contents = parser.screen().contents();
                panic!("it never came to {what:?}:\n{contents}")
            });
            parser = changed.wait_timeout(parser, left).expect("nobody panics").0;
        }
    }

    /// Waits until the screen contains the text.
    #[track_caller]
    fn shows(&self, part: &str) {
        self.comes_to(part, |screen| screen.contents().contains(part));
    }

    /// Waits until the screen no longer contains the text.
    #[track_caller]
    fn hides(&self, part: &str) {
        self.comes_to(part, |screen| !screen.contents().contains(part));
    }

    #[track_caller]
    fn ended(&mut self) -> ExitStatus {
        self.comes_to("the screen as it was before", |screen| {
            !screen.alternate_screen()
        });
        self.child.wait().expect("it is our child")
    }

    /// Returns `true` if the terminal echoes its input and reads it by lines.
    fn is_cooked(&self) -> bool {
        let mut settings = std::mem::MaybeUninit::uninit();
        // SAFETY: the assertion proves that `tcgetattr` succeeded, and so has initialised `settings`.
        let flags = unsafe {
            assert_eq!(
                libc::tcgetattr(self.slave.as_raw_fd(), settings.as_mut_ptr()),
                0
            );
            settings.assume_init().c_lflag
        };
        let cooked = libc::ICANON | libc::ECHO;
        flags & cooked == cooked
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns a parser for a screen of the given size.
fn parser(columns: u16, rows: u16) -> vt100::Parser {
    let size = |it| NonZeroU16::new(it).expect("it is some");
    vt100::Parser::new(size(rows), size(columns), 0)
}

fn open() -> (File, OwnedFd) {
    let (mut master, mut slave) = (-1, -1);
    let null = std::ptr::null_mut();
    // SAFETY: `openpty` writes to the two locals, and accepts null for the other arguments.
    let opened = unsafe {
        libc::openpty(
            &raw mut master,
            &raw mut slave,
            null,
            null.cast(),
            null.cast(),
        )
    };
    assert_eq!(opened, 0);
    for fd in [master, slave] {
        // SAFETY: `fcntl` with `F_SETFD` takes integers, and both descriptors are open.
        unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
    // SAFETY: `openpty` has just opened the two descriptors, and nothing else owns them.
    unsafe { (File::from_raw_fd(master), OwnedFd::from_raw_fd(slave)) }
}

fn resize(master: &File, columns: u16, rows: u16) {
    let size = libc::winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: `TIOCSWINSZ` reads a `winsize` from the pointer, and `size` is one.
    let set = unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSWINSZ as _, &raw const size) };
    assert_eq!(set, 0);
}

#[test]
fn keys_filter_open_resize_pause_and_quit() {
    let runtime = Runtime::new();
    let program = runtime.start(&["attach", "tasks"]);
    let mut terminal = Terminal::start(&runtime, &["top", &program.pid()]);
    terminal.shows("attached::reconnect");
    assert!(!terminal.is_cooked());
    // In the filter, the letter `q` does not quit.
    terminal.types("/");
    terminal.shows("Enter keeps");
    terminal.types("q");
    terminal.shows("no task matches the filter");
    terminal.types("\u{7f}order\r");
    terminal.hides("attached::reconnect");
    terminal.shows("attached::order");
    // Opens a group to its tasks, and then one of the tasks.
    terminal.types("\r");
    terminal.shows("\"order bob\"");
    terminal.types("\r");
    terminal.hides("STATE");
    terminal.shows("╼ attached::order");
    terminal.resize(60, 10);
    terminal.shows("Esc back");
    terminal.types("\u{1b}");
    terminal.shows("STATE");
    terminal.resize(120, 30);
    terminal.shows("\"order eve\"");
    terminal.types("p");
    terminal.shows("PAUSED");
    terminal.types("q");
    assert_eq!(terminal.ended().code(), Some(0));
    assert!(terminal.is_cooked());
    program.ends_well();
}

#[test]
fn a_signal_restores_the_terminal_and_exits() {
    let runtime = Runtime::new();
    let program = runtime.start(&["attach", "tasks"]);
    for signal in [libc::SIGTERM, libc::SIGHUP, libc::SIGINT] {
        let mut terminal = Terminal::start(&runtime, &["top", &program.pid()]);
        terminal.shows("attached::reconnect");
        let child = libc::pid_t::try_from(terminal.child.id()).expect("it is a process");
        // SAFETY: `kill` takes no pointer. The child has not been waited for, so its number names no other process.
        assert_eq!(unsafe { libc::kill(child, signal) }, 0);
        assert_eq!(terminal.ended().code(), Some(128 + signal));
        assert!(terminal.is_cooked());
    }
}

/// The last data stays on the screen, with a note that it is old.
#[test]
fn the_last_data_stays_when_the_process_ends() {
    let runtime = Runtime::new();
    let program = runtime.start(&["attach", "tasks"]);
    let arguments = ["top", "-i", "100ms", &program.pid()];
    let mut terminal = Terminal::start(&runtime, &arguments);
    terminal.shows("attached::reconnect");
    program.kill();
    terminal.shows("old: no server listens at");
    terminal.types("q");
    assert_eq!(terminal.ended().code(), Some(0));
}
