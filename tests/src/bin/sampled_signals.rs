//! A program that changes its signals and dumps tasks, for `tests/sampled/signals.rs`. It prints the results.

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
    use std::os::unix::process::CommandExt;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::time::{Duration, Instant};

    use tasktrace::{NoSample, Source, TaskDump, TaskState, TraceError, TraceHandle};
    use tasktrace_tests::sampled::{BUDGET, LONG, NOT_SUSPENDED, Site};

    pub(super) fn main() {
        let scenario = std::env::args()
            .nth(1)
            .expect("the argument names a scenario");
        match &*scenario {
            "nothing" => nothing(),
            "blocked" => {
                println!("{}", dump(&poll(|_| block_all_signals())));
                print_dispositions();
            }
            "exited" => {
                let poller = poll(|_| {
                    block_all_signals();
                    // SAFETY: the system call ends only this thread, whose stack no other thread uses.
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
                tasktrace::set_sample_signal(Some(libc::SIGPROF)).unwrap();
                environment();
            }
            "off" => {
                tasktrace::set_sample_signal(None).unwrap();
                environment();
            }
            "environment" => environment(),
            "handled and configured" => {
                handle(libc::SIGUSR1);
                tasktrace::set_sample_signal(Some(libc::SIGUSR1)).unwrap();
                println!("{}", dump(&poll(sleep)));
                print_dispositions();
                raise(libc::SIGUSR1);
            }
            "configured anew" => {
                let poller = poll(sleep);
                for signal in [Some(libc::SIGPROF), None, Some(libc::SIGVTALRM)] {
                    tasktrace::set_sample_signal(signal).unwrap();
                    println!("{}", dump(&poller));
                }
                print_dispositions();
            }
            "refused" => refused(),
            "sent by another" => {
                println!("{}", dump(&poll(sleep)));
                let kill = std::process::Command::new("kill")
                    .args([
                        &*std::env::args().nth(2).unwrap(),
                        &std::process::id().to_string(),
                    ])
                    .status();
                assert!(kill.unwrap().success());
                std::thread::sleep(LONG);
            }
            "does not respond" => {
                let poller = poll(|_| wait_like_vfork());
                println!("{}", dump_once(&poller).split(" within ").next().unwrap());
            }
            "refused call" => refused_call(),
            "last signal" => {
                set(libc::SIGRTMAX(), libc::SIG_IGN);
                // SAFETY: `raise` may be called at any time. The signal is ignored.
                println!("{}", unsafe { libc::raise(libc::SIGRTMAX()) });
            }
            "forked" => forked(),
            "exec" => exec(),
            "little room" => little_room(std_thread),
            "little room on a thread of C" => little_room(c_thread),
            "alternate stack" => alternate_stack(std_thread),
            "alternate stack of a thread of C" => alternate_stack(c_thread),
            "alternate stack of the program" => replaced_alternate_stack(8192),
            "small alternate stack of the program" => replaced_alternate_stack(2560),
            "all handled" => {
                handle(libc::SIGURG);
                handle(libc::SIGWINCH);
                println!("{}", dump(&poll(sleep)));
                raise(libc::SIGURG);
            }
            _ => panic!("{scenario:?} is not known"),
        }
    }

    /// Dumps waiting tasks, and then a running one, and prints which signals have handlers after each.
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

    /// Takes a sample in a process that a filter forbids to call `process_vm_readv`, like the filters of some
    /// containers.
    fn refused_call() {
        let refused = libc::SECCOMP_RET_ERRNO | libc::EPERM.unsigned_abs();
        let number = libc::SYS_process_vm_readv as u32;
        let step = |code, jump_if_not, k| libc::sock_filter {
            code,
            jt: 0,
            jf: jump_if_not,
            k,
        };
        let mut steps = [
            // The number of the call is the first word that a filter gets.
            step((libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16, 0, 0),
            step(
                (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16,
                1,
                number,
            ),
            step((libc::BPF_RET | libc::BPF_K) as u16, 0, refused),
            step(
                (libc::BPF_RET | libc::BPF_K) as u16,
                0,
                libc::SECCOMP_RET_ALLOW,
            ),
        ];
        let filter = libc::sock_fprog {
            len: steps.len() as u16,
            filter: steps.as_mut_ptr(),
        };
        // SAFETY: the first call takes integers. The second one reads `filter` and its steps, which are alive. An
        // emulator may lack the filters: then it lacks the filtered call, too.
        unsafe {
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
            libc::prctl(
                libc::PR_SET_SECCOMP,
                libc::SECCOMP_MODE_FILTER,
                &raw const filter,
            );
        }
        // SAFETY: without ranges, the call reads and writes nothing.
        let result = unsafe {
            libc::process_vm_readv(libc::getpid(), std::ptr::null(), 0, std::ptr::null(), 0, 0)
        };
        assert_eq!(result, -1);
        let count_descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
        let poller = poll(sleep);
        println!("{}", dump(&poller));
        let before = count_descriptors();
        println!("{}", dump(&poller));
        println!(
            "{} descriptors were left open",
            count_descriptors() - before
        );
    }

    /// Forks while another thread waits for a sample.
    fn forked() {
        let poller = poll(|_| wait_like_vfork());
        let thread = match poller.state() {
            TaskState::Running(running) => running.thread_id(),
            state => panic!("{state}"),
        };
        std::thread::spawn(move || dump_once(&poller));
        let status = format!("/proc/self/task/{thread}/status");
        let start = Instant::now();
        // The signal for the sample is pending.
        while std::fs::read_to_string(&status)
            .unwrap()
            .contains("SigPnd:\t0000000000000000")
        {
            assert!(start.elapsed() < LONG);
            std::thread::yield_now();
        }
        // SAFETY: no other thread holds a lock: one of them is suspended in `clone`, and the other waits for its
        // sample.
        match unsafe { libc::fork() } {
            0 => {
                println!("in the child: {}", dump(&poll(sleep)));
                std::process::exit(0);
            }
            child => {
                let mut status = 0;
                // SAFETY: the pointer to the status is valid for writes.
                unsafe { libc::waitpid(child, &raw mut status, 0) };
                println!("{status}");
            }
        }
    }

    /// Set when the sampled code has to end.
    static IS_OVER: AtomicBool = AtomicBool::new(false);

    /// Waits without using the stack.
    #[inline(never)]
    fn wait() {
        while !IS_OVER.load(Ordering::Relaxed) {
            std::hint::spin_loop();
        }
    }

    /// Recurses until at most `left` bytes of the stack above `lowest` are left, and waits there.
    #[inline(never)]
    fn descend(lowest: usize, left: usize) {
        let here = [0_u8; 64];
        let address = std::hint::black_box(&raw const here).addr();
        match address.saturating_sub(lowest) <= left {
            true => wait(),
            false => descend(lowest, left),
        }
        std::hint::black_box(&here);
    }

    /// Returns the lowest address of the stack of this thread.
    fn lowest() -> usize {
        // SAFETY: `pthread_getattr_np` initialises the attributes of this thread before the other calls read them, and
        // all pointers are valid for writes.
        unsafe {
            let mut attributes = MaybeUninit::uninit();
            let thread = libc::pthread_self();
            assert_eq!(libc::pthread_getattr_np(thread, attributes.as_mut_ptr()), 0);
            let (mut start, mut size) = (std::ptr::null_mut(), 0);
            libc::pthread_attr_getstack(attributes.as_ptr(), &raw mut start, &raw mut size);
            libc::pthread_attr_destroy(attributes.as_mut_ptr());
            start.addr()
        }
    }

    type Run = Box<dyn FnOnce() + Send>;

    /// Starts a thread of the standard library, which has an alternate stack.
    fn std_thread(run: Run) -> Box<dyn FnOnce()> {
        let thread = std::thread::Builder::new().stack_size(1 << 17);
        let thread = thread.spawn(run).unwrap();
        Box::new(|| thread.join().unwrap())
    }

    /// Starts a thread without an alternate stack.
    fn c_thread(run: Run) -> Box<dyn FnOnce()> {
        extern "C" fn start(run: *mut c_void) -> *mut c_void {
            // SAFETY: `pthread_create` below passes the pointer that `Box::into_raw` returned, and only to this one
            // call.
            let run: Box<Run> = unsafe { Box::from_raw(run.cast()) };
            run();
            std::ptr::null_mut()
        }
        let run = Box::into_raw(Box::new(run));
        // SAFETY: all zeros is a valid `pthread_t`, an integer. `start` takes ownership of the box, which is not used
        // here again.
        let thread = unsafe {
            let mut thread: libc::pthread_t = MaybeUninit::zeroed().assume_init();
            let created =
                libc::pthread_create(&raw mut thread, std::ptr::null(), start, run.cast());
            assert_eq!(created, 0);
            thread
        };
        Box::new(move || {
            // SAFETY: `thread` was created joinable, and only this closure, which can be called once, joins it.
            let joined = unsafe { libc::pthread_join(thread, std::ptr::null_mut()) };
            assert_eq!(joined, 0);
        })
    }

    /// Runs a task that calls `run` on such a thread, and takes ten samples of it.
    fn sample(thread: fn(Run) -> Box<dyn FnOnce()>, run: impl FnOnce() + Send + 'static) {
        sample_until(thread, run, |source| *source == Source::Sample);
    }

    /// Runs a task that calls `run` on such a thread, and dumps it until `is_expected` was true ten times.
    fn sample_until(
        thread: fn(Run) -> Box<dyn FnOnce()>,
        run: impl FnOnce() + Send + 'static,
        is_expected: impl Fn(&Source) -> bool,
    ) {
        IS_OVER.store(false, Ordering::Relaxed);
        let (start_sender, start_receiver) = std::sync::mpsc::channel();
        let (task, handle) = tasktrace::traced(async move {
            start_sender.send(()).unwrap();
            run();
        });
        let join = thread(Box::new(|| futures::executor::block_on(task)));
        start_receiver.recv().unwrap();
        let start = Instant::now();
        let mut samples = 0;
        while samples < 10 {
            let dump = tasktrace::dump_blocking(Duration::from_millis(500));
            samples += usize::from(is_expected(dump.get(handle.id()).unwrap().source()));
            assert!(start.elapsed() < LONG, "{dump}");
        }
        IS_OVER.store(true, Ordering::Relaxed);
        join();
    }

    /// Samples threads that have used nearly all of their stack.
    fn little_room(thread: fn(Run) -> Box<dyn FnOnce()>) {
        for left in [8192, 4096, 2048, 1024, 600] {
            sample(thread, move || descend(lowest(), left));
        }
        println!("survived");
    }

    /// Samples handlers of the program that have used nearly all of the alternate stack.
    fn alternate_stack(thread: fn(Run) -> Box<dyn FnOnce()>) {
        extern "C" fn handler(_: c_int) {
            let here = 0_u8;
            let used = USES.load(Ordering::Relaxed);
            descend(std::hint::black_box(&raw const here).addr() - used, 512);
        }
        static USES: AtomicUsize = AtomicUsize::new(0);

        set_with(
            libc::SIGPROF,
            handler as extern "C" fn(c_int) as libc::sighandler_t,
            libc::SA_ONSTACK | libc::SA_RESTART,
        );
        for used in [1024, 2048, 4096] {
            USES.store(used, Ordering::Relaxed);
            sample(thread, || {
                // SAFETY: `raise` may be called at any time. The signal has a handler, so it does not end the process.
                unsafe { libc::raise(libc::SIGPROF) };
            });
        }
        println!("survived");
    }

    /// Samples a handler of the program on an alternate stack that has replaced the larger one of tasktrace. The stack
    /// has `room` bytes in addition to the registers that the system writes for both handlers.
    ///
    /// Prints `sampled` or `refused`.
    fn replaced_alternate_stack(room: isize) {
        extern "C" fn handler(_: c_int) {
            wait();
        }
        set_with(
            libc::SIGPROF,
            handler as extern "C" fn(c_int) as libc::sighandler_t,
            libc::SA_ONSTACK | libc::SA_RESTART,
        );
        // SAFETY: `getauxval` takes any number, and only reads constants of the process.
        let written = unsafe { libc::getauxval(libc::AT_MINSIGSTKSZ) };
        // qemu does not say how much it writes, and does not notice if it writes beyond the stack.
        let written = usize::try_from(written).unwrap().max(libc::MINSIGSTKSZ);
        let size = (2 * written).checked_add_signed(room).unwrap();
        let refused = Source::Snapshot {
            error: Some(TraceError::NoSample(NoSample::NoRoom)),
        };
        let run = move || {
            // The thread may handle signals until it ends.
            let stack: &'static mut [u8] = vec![0; size].leak();
            let new = libc::stack_t {
                ss_sp: stack.as_mut_ptr().cast(),
                ss_flags: 0,
                ss_size: size,
            };
            // SAFETY: nothing else uses the memory, which is never freed. `raise` may be called at any time, and the
            // signal has a handler, so it does not end the process.
            unsafe {
                assert_eq!(libc::sigaltstack(&raw const new, std::ptr::null_mut()), 0);
                libc::raise(libc::SIGPROF);
            }
        };
        let is_refused = AtomicBool::new(false);
        sample_until(std_thread, run, |source| {
            is_refused.fetch_or(*source == refused, Ordering::Relaxed);
            *source == Source::Sample || *source == refused
        });
        let is_refused = is_refused.into_inner();
        println!("{}", if is_refused { "refused" } else { "sampled" });
    }

    /// Replaces the program by itself, in the middle of a poll that other threads sample, as often as the argument
    /// says.
    fn exec() {
        let left: u64 = std::env::args().nth(2).unwrap().parse().unwrap();
        if left == 0 {
            println!("survived");
            return;
        }
        handle(libc::SIGURG);
        for _ in 0..2 {
            std::thread::spawn(|| {
                loop {
                    let _ = tasktrace::dump_blocking(Duration::from_millis(8));
                }
            });
        }
        let (task, _handle) = tasktrace::traced(async move {
            let start = Instant::now();
            while start.elapsed() < Duration::from_micros(3000 + left % 7 * 700) {
                std::hint::spin_loop();
            }
            let mut program = std::process::Command::new(std::env::current_exe().unwrap());
            let error = program.args(["exec", &(left - 1).to_string()]).exec();
            panic!("{error}");
        });
        futures::executor::block_on(task)
    }

    /// Waits without handling signals, and does not return: a child process that shares the memory runs in place of the
    /// thread. If the thread continues, this ends the process: an emulator refuses such a child, or makes it by `fork`.
    fn wait_like_vfork() {
        extern "C" fn run(_: *mut c_void) -> c_int {
            // SAFETY: `PR_SET_PDEATHSIG` takes an integer, and `pause` has no arguments, so neither accesses memory of
            // this process. The loop ends when the child is killed.
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
        // SAFETY: `top` points to the aligned end of the child's own stack, and the child accesses no other memory.
        // This thread is suspended until the child ends, so `stack` lives long enough.
        unsafe {
            let top = top.sub(top.addr() % 16).cast();
            let child = libc::clone(run, top, flags, std::ptr::null_mut());
            let error = std::io::Error::last_os_error();
            let is_refused = error.raw_os_error() == Some(libc::EINVAL);
            assert!(child > 0 || is_refused, "{error}");
        }
        println!("{NOT_SUSPENDED}");
        std::process::exit(0);
    }

    /// Signals that have a meaning for programs are refused.
    fn refused() {
        tasktrace::set_sample_signal(Some(libc::SIGPROF)).unwrap();
        let ends = [
            libc::SIGHUP,
            libc::SIGINT,
            libc::SIGQUIT,
            libc::SIGTERM,
            libc::SIGPIPE,
        ];
        let ends = [
            &ends[..],
            &[libc::SIGALRM, libc::SIGXCPU, libc::SIGPWR, libc::SIGKILL],
        ]
        .concat();
        let jobs = [
            libc::SIGTSTP,
            libc::SIGTTIN,
            libc::SIGTTOU,
            libc::SIGCONT,
            libc::SIGSTOP,
        ];
        let faults = [
            libc::SIGILL,
            libc::SIGTRAP,
            libc::SIGABRT,
            libc::SIGBUS,
            libc::SIGFPE,
        ];
        let faults = [&faults[..], &[libc::SIGSEGV, libc::SIGSYS]].concat();
        for signal in [&ends[..], &jobs, &faults, &[-3, 0, 33, 65, 1000]].concat() {
            let error = tasktrace::set_sample_signal(Some(signal)).unwrap_err();
            assert_eq!(error.signal, signal);
            assert!(
                error.to_string().ends_with("use SIGURG or SIGWINCH"),
                "{error}"
            );
        }
        println!("{}", dump(&poll(sleep)));
        print_dispositions();
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

    /// Starts a task that calls `run`, and then sleeps for ever.
    fn poll(run: impl FnOnce(&Site) + Send + 'static) -> TraceHandle {
        let site = Site::default();
        let (start_sender, start_receiver) = std::sync::mpsc::channel();
        let (task, handle) = tasktrace::traced(async move {
            start_sender.send(()).unwrap();
            run(&site);
            sleep(&site);
        });
        std::thread::spawn(|| futures::executor::block_on(task));
        start_receiver.recv().unwrap();
        handle
    }

    /// Dumps the task, and returns `sample` or the reason why there is no sample. Dumps it again if the time was too
    /// short, as it may be on a busy machine and in an emulator.
    fn dump(handle: &TraceHandle) -> String {
        dump_unless(handle, |reason| {
            matches!(reason, NoSample::NoResponse(_) | NoSample::NoTime)
        })
    }

    /// Does the work of [`dump`] for a task whose thread does not handle signals, so that a second dump would not help.
    fn dump_once(handle: &TraceHandle) -> String {
        dump_unless(handle, |_| false)
    }

    fn dump_unless(handle: &TraceHandle, is_retried: fn(&NoSample) -> bool) -> String {
        let start = Instant::now();
        loop {
            let dump = tasktrace::dump_blocking(Duration::from_millis(500));
            assert!(start.elapsed() < LONG, "{dump}");
            let task = dump.get(handle.id()).expect("the task is not finished");
            match task.source() {
                // The task does not sleep yet.
                Source::Sample if !is_asleep(task) => {}
                Source::Sample => return "sample".into(),
                Source::Snapshot {
                    error: Some(TraceError::NoSample(reason)),
                } if is_retried(reason) => {}
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
        // SAFETY: `sigfillset` initialises the set, which then becomes the mask of this thread.
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

    /// Installs the program's own handler.
    fn handle(signal: c_int) {
        set(
            signal,
            on_signal as extern "C" fn(c_int) as libc::sighandler_t,
        );
    }

    fn set(signal: c_int, handler: libc::sighandler_t) {
        set_with(signal, handler, 0);
    }

    fn set_with(signal: c_int, handler: libc::sighandler_t, flags: c_int) {
        // SAFETY: `sigaction` is a C struct for which all zeros is a valid value. The handler is a function or a
        // constant, so it exists for ever.
        unsafe {
            let mut action: libc::sigaction = MaybeUninit::zeroed().assume_init();
            action.sa_sigaction = handler;
            action.sa_flags = flags;
            assert_eq!(
                libc::sigaction(signal, &raw const action, std::ptr::null_mut()),
                0
            );
        }
    }

    /// Raises the signal, and prints how often the program's handler was called before and after.
    fn raise(signal: c_int) {
        let before = HANDLED.load(Ordering::SeqCst);
        // SAFETY: `raise` may be called at any time. The signal has a handler, so it does not end the process.
        unsafe { libc::raise(signal) };
        println!(
            "handled {before} and {} times",
            HANDLED.load(Ordering::SeqCst)
        );
    }

    /// Prints who handles each of the signals that could be used for samples.
    fn print_dispositions() {
        let last = libc::SIGRTMAX();
        let signals = [
            ("SIGURG", libc::SIGURG),
            ("SIGWINCH", libc::SIGWINCH),
            ("SIGPROF", libc::SIGPROF),
            ("SIGRTMAX", last),
            ("SIGRTMAX-1", last - 1),
        ];
        let disposition = |signal: c_int| {
            // SAFETY: `sigaction` is a C struct for which all zeros is a valid value. The call writes the current
            // action to a pointer that is valid for writes.
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
