//! `tasktrace top` on a terminal: one that a test reads.

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

/// Longer than it takes.
const LIMIT: Duration = Duration::from_secs(60);

/// A terminal, and what runs on it.
struct Terminal {
    master: File,
    /// Held, so that its settings can be looked at.
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
            // SAFETY: they take numbers. It has its own session, and this is its terminal.
            unsafe {
                libc::setsid();
                libc::ioctl(0, libc::TIOCSCTTY as _, 0);
            }
            Ok(())
        };
        // SAFETY: that may be done between `fork` and `exec`.
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
        // What was there is drawn anew.
        *parser = self::parser(columns, rows);
        parser.process(b"\x1b[?1049h");
        drop(parser);
        resize(&self.master, columns, rows);
    }

    /// Waits until the screen is like this.
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

    /// Waits until there is this text.
    #[track_caller]
    fn shows(&self, part: &str) {
        self.comes_to(part, |screen| screen.contents().contains(part));
    }

    /// Waits until there is no such text any more.
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

    /// Whether lines are made of what is typed, and it is echoed.
    fn is_usual(&self) -> bool {
        let mut settings = std::mem::MaybeUninit::uninit();
        // SAFETY: it fills the settings, of which all bits are good.
        let flags = unsafe {
            assert_eq!(
                libc::tcgetattr(self.slave.as_raw_fd(), settings.as_mut_ptr()),
                0
            );
            settings.assume_init().c_lflag
        };
        let usual = libc::ICANON | libc::ECHO;
        flags & usual == usual
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What reads a screen of this size.
fn parser(columns: u16, rows: u16) -> vt100::Parser {
    let size = |it| NonZeroU16::new(it).expect("it is some");
    vt100::Parser::new(size(rows), size(columns), 0)
}

fn open() -> (File, OwnedFd) {
    let (mut master, mut slave) = (-1, -1);
    let null = std::ptr::null_mut();
    // SAFETY: it sets the two, and is told nothing of the rest.
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
        // SAFETY: it takes numbers.
        unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
    // SAFETY: they have just been opened.
    unsafe { (File::from_raw_fd(master), OwnedFd::from_raw_fd(slave)) }
}

fn resize(master: &File, columns: u16, rows: u16) {
    let size = libc::winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: it reads the size.
    let set = unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSWINSZ as _, &raw const size) };
    assert_eq!(set, 0);
}

#[test]
fn keys() {
    let runtime = Runtime::new();
    let program = runtime.start(&["attach", "tasks"]);
    let mut terminal = Terminal::start(&runtime, &["top", &program.pid()]);
    terminal.shows("attached::reconnect");
    assert!(!terminal.is_usual());
    // A filter, of which a letter alone would quit.
    terminal.types("/");
    terminal.shows("Enter keeps");
    terminal.types("q");
    terminal.shows("no task has that");
    terminal.types("\u{7f}order\r");
    terminal.hides("attached::reconnect");
    terminal.shows("attached::order");
    // A group, as its tasks; and one of them.
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
    assert!(terminal.is_usual());
    program.ends_well();
}

#[test]
fn signals() {
    let runtime = Runtime::new();
    let program = runtime.start(&["attach", "tasks"]);
    for signal in [libc::SIGTERM, libc::SIGHUP, libc::SIGINT] {
        let mut terminal = Terminal::start(&runtime, &["top", &program.pid()]);
        terminal.shows("attached::reconnect");
        let child = libc::pid_t::try_from(terminal.child.id()).expect("it is a process");
        // SAFETY: it takes numbers, and the child has not been waited for.
        assert_eq!(unsafe { libc::kill(child, signal) }, 0);
        assert_eq!(terminal.ended().code(), Some(128 + signal));
        assert!(terminal.is_usual());
    }
}

/// What it has shown stays, and it says that there is nothing newer.
#[test]
fn the_process_ends() {
    let runtime = Runtime::new();
    let program = runtime.start(&["attach", "tasks"]);
    let arguments = ["top", "-i", "100ms", &program.pid()];
    let mut terminal = Terminal::start(&runtime, &arguments);
    terminal.shows("attached::reconnect");
    program.kill();
    terminal.shows("old: nobody listens at");
    terminal.types("q");
    assert_eq!(terminal.ended().code(), Some(0));
}
