//! A program that does something to its signals, and dumps tasks, for `tests/sampled/signals.rs`. It
//! prints what came of it.

#[cfg(target_os = "linux")]
fn main() {
    linux::main();
}

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
mod linux {
    use std::ffi::{c_int, c_void};
    use std::mem::MaybeUninit;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::{Duration, Instant};

    use tasktrace::{Source, TaskDump, TaskState, TraceError, TraceHandle};
    use tasktrace_tests::sampled::{BUDGET, LONG, Site};

    pub(super) fn main() {
        let scenario = std::env::args().nth(1).expect("what to do");
        match &*scenario {
            "nothing" => nothing(),
            "blocked" => {
                println!("{}", dump(&poll(|_| block_all_signals())));
                print_dispositions();
            }
            "exited" => {
                let poller = poll(|_| {
                    block_all_signals();
                    // SAFETY: the thread ends, and nothing else does.
                    unsafe { libc::syscall(libc::SYS_exit, 0) };
                });
                println!("{}", dump(&poller));
            }
            "handled before" => {
                handle(libc::SIGURG);
                println!("{}", dump(&poll(sleep)));
                print_dispositions();
                raise(libc::SIGURG);
            }
            "handled after" => {
                let poller = poll(sleep);
                println!("{}", dump(&poller));
                print_dispositions();
                handle(libc::SIGURG);
                println!("{}", dump(&poller));
                print_dispositions();
                raise(libc::SIGURG);
            }
            "ignored" => {
                set(libc::SIGURG, libc::SIG_IGN);
                println!("{}", dump(&poll(sleep)));
                print_dispositions();
            }
            "configured" => {
                tasktrace::set_sample_signal(Some(libc::SIGPROF));
                environment();
            }
            "off" => {
                tasktrace::set_sample_signal(None);
                environment();
            }
            "environment" => environment(),
            "handled and configured" => {
                handle(libc::SIGUSR1);
                tasktrace::set_sample_signal(Some(libc::SIGUSR1));
                println!("{}", dump(&poll(sleep)));
                print_dispositions();
                raise(libc::SIGUSR1);
            }
            "configured anew" => {
                let poller = poll(sleep);
                for signal in [Some(libc::SIGPROF), None, Some(libc::SIGVTALRM), Some(1000)] {
                    tasktrace::set_sample_signal(signal);
                    println!("{}", dump(&poller));
                }
                print_dispositions();
            }
            "does not respond" => {
                let poller = poll(|_| wait_like_vfork());
                println!("{}", dump(&poller).split(" within ").next().unwrap());
            }
            "forked" => forked(),
            "all handled" => {
                handle(libc::SIGURG);
                (libc::SIGRTMIN()..=libc::SIGRTMAX()).for_each(handle);
                println!("{}", dump(&poll(sleep)));
                raise(libc::SIGURG);
            }
            _ => panic!("{scenario:?} is not known"),
        }
    }

    /// Dumps of tasks that wait, and of such as are running.
    fn nothing() {
        let runtime = tasktrace_tests::multi_thread();
        let (task, handle) = tasktrace::traced(std::future::pending::<()>());
        runtime.spawn(task);
        let start = Instant::now();
        while handle.state() != TaskState::Suspended {
            assert!(start.elapsed() < LONG);
            std::thread::yield_now();
        }
        for _ in 0..10 {
            let dump = tasktrace::dump_blocking(BUDGET);
            assert_eq!(
                *dump.get(handle.id()).unwrap().source(),
                Source::Capture,
                "{dump}"
            );
        }
        print_dispositions();
        println!("{}", dump(&poll(sleep)));
        print_dispositions();
    }

    /// Forks while another thread asks, and waits for that one.
    fn forked() {
        let poller = poll(|_| wait_like_vfork());
        let thread = match poller.state() {
            TaskState::Running(running) => running.thread_id(),
            state => panic!("{state}"),
        };
        std::thread::spawn(move || dump(&poller));
        let status = format!("/proc/self/task/{thread}/status");
        let start = Instant::now();
        // The signal has been sent.
        while std::fs::read_to_string(&status)
            .unwrap()
            .contains("SigPnd:\t0000000000000000")
        {
            assert!(start.elapsed() < LONG);
            std::thread::yield_now();
        }
        // SAFETY: the other threads have no lock: one of them waits, and the other waits for that.
        match unsafe { libc::fork() } {
            0 => {
                println!("in the child: {}", dump(&poll(sleep)));
                std::process::exit(0);
            }
            child => {
                let mut status = 0;
                // SAFETY: it writes the status to its place.
                unsafe { libc::waitpid(child, &raw mut status, 0) };
                println!("{status}");
            }
        }
    }

    /// Does not return, and does not handle signals meanwhile: a child that shares the memory runs in the
    /// place of the thread.
    fn wait_like_vfork() {
        extern "C" fn run(_: *mut c_void) -> c_int {
            // SAFETY: it takes numbers, and waits until it is killed.
            unsafe {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                loop {
                    libc::pause();
                }
            }
        }
        let mut stack = vec![0_u8; 1 << 16];
        let top = stack.as_mut_ptr_range().end;
        let flags = libc::CLONE_VM | libc::CLONE_VFORK;
        // SAFETY: the child has a stack of its own, and touches nothing else. When this process ends,
        // so does the child.
        unsafe {
            let top = top.sub(top.addr() % 16).cast();
            libc::clone(run, top, flags, std::ptr::null_mut());
        }
    }

    fn environment() {
        println!("{}", dump(&poll(sleep)));
        print_dispositions();
    }

    fn sleep(site: &Site) {
        while !site.is_over() {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// A task that runs this, and then sleeps for ever.
    fn poll(run: impl FnOnce(&Site) + Send + 'static) -> TraceHandle {
        let site = Site::default();
        let (begin, begun) = std::sync::mpsc::channel();
        let (task, handle) = tasktrace::traced(async move {
            begin.send(()).unwrap();
            run(&site);
            sleep(&site);
        });
        std::thread::spawn(|| futures::executor::block_on(task));
        begun.recv().unwrap();
        handle
    }

    /// What is known of the task.
    fn dump(handle: &TraceHandle) -> String {
        let start = Instant::now();
        loop {
            let dump = tasktrace::dump_blocking(Duration::from_millis(500));
            assert!(start.elapsed() < LONG, "{dump}");
            let task = dump.get(handle.id()).expect("it has not finished");
            match task.source() {
                // It has not come to it yet.
                Source::Sample if !is_asleep(task) => {}
                Source::Sample => return "sample".into(),
                Source::Snapshot {
                    error: Some(TraceError::NoSample(reason)),
                } => {
                    let text = dump.to_string();
                    assert!(text.contains(&reason.to_string()), "{text}");
                    return reason.to_string();
                }
                Source::Snapshot { error: Some(error) } => return error.to_string(),
                source => panic!("{source:?}"),
            }
        }
    }

    fn is_asleep(task: &TaskDump) -> bool {
        task.trace().leaves()[0].name() == "std::thread::sleep"
    }

    fn block_all_signals() {
        // SAFETY: it fills a set, and makes it the mask of this thread.
        unsafe {
            let mut set = MaybeUninit::uninit();
            libc::sigfillset(set.as_mut_ptr());
            libc::pthread_sigmask(libc::SIG_SETMASK, set.as_ptr(), std::ptr::null_mut());
        }
    }

    static HANDLED: AtomicUsize = AtomicUsize::new(0);

    extern "C" fn on_signal(_: c_int) {
        HANDLED.fetch_add(1, Ordering::SeqCst);
    }

    /// The program's own handler.
    fn handle(signal: c_int) {
        set(
            signal,
            on_signal as extern "C" fn(c_int) as libc::sighandler_t,
        );
    }

    fn set(signal: c_int, handler: libc::sighandler_t) {
        // SAFETY: all zero is a value of this type, and the handler is static.
        unsafe {
            let mut action: libc::sigaction = MaybeUninit::zeroed().assume_init();
            action.sa_sigaction = handler;
            assert_eq!(
                libc::sigaction(signal, &raw const action, std::ptr::null_mut()),
                0
            );
        }
    }

    /// The program's handler is called, and has not been before.
    fn raise(signal: c_int) {
        let before = HANDLED.load(Ordering::SeqCst);
        // SAFETY: it has a handler.
        unsafe { libc::raise(signal) };
        println!(
            "handled {before} and {} times",
            HANDLED.load(Ordering::SeqCst)
        );
    }

    /// What is done with the signals that matter.
    fn print_dispositions() {
        let last = libc::SIGRTMAX();
        let signals = [
            ("SIGURG", libc::SIGURG),
            ("SIGPROF", libc::SIGPROF),
            ("SIGRTMAX", last),
            ("SIGRTMAX-1", last - 1),
        ];
        let disposition = |signal: c_int| {
            // SAFETY: it writes the current action.
            let action = unsafe {
                let mut action: libc::sigaction = MaybeUninit::zeroed().assume_init();
                libc::sigaction(signal, std::ptr::null(), &raw mut action);
                action
            };
            match action.sa_sigaction {
                libc::SIG_DFL => None,
                libc::SIG_IGN => Some("ignored"),
                handler if handler == on_signal as extern "C" fn(c_int) as libc::sighandler_t => {
                    Some("the program's")
                }
                _ => Some("ours"),
            }
        };
        let changed = signals
            .iter()
            .filter_map(|(name, signal)| Some(format!("{name} is {}", disposition(*signal)?)));
        let changed: Vec<String> = changed.collect();
        println!("[{}]", changed.join(", "));
    }
}
