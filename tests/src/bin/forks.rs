//! A program that forks while other threads dump its tasks, for `tests/harmless/forks.rs`. Its argument is the
//! scenario.

#[cfg(unix)]
fn main() {
    unix::main();
}

#[cfg(not(unix))]
fn main() {}

#[cfg(unix)]
mod unix {

    use std::hint::black_box;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::pin::pin;
    use std::ptr;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use std::thread;
    use std::time::{Duration, Instant};

    use tasktrace::{TaskState, TraceHandle, traced};
    use tasktrace_tests::by_hand::poll;

    /// The time after which a child counts as hung.
    const LIMIT_SECONDS: u32 = 100;

    pub(super) fn main() {
        let mode = std::env::args().nth(1).unwrap();
        match &*mode {
            "threads" => threads(),
            "many" => many(),
            "clock" => clock(),
            "left behind" => left_behind(),
            "watchdog" => watchdog(),
            "blocked" => blocked(),
            _ => panic!("{mode:?} is not known"),
        }
    }

    /// Runs `run` in a child process, waits for the process, and returns its status.
    fn fork(run: impl FnOnce()) -> libc::c_int {
        // SAFETY: the child calls only the code under test, and functions that the C library allows in a child of a
        // process with threads.
        match unsafe { libc::fork() } {
            0 => {
                // SAFETY: `alarm` takes a number. It ends a child that hangs.
                unsafe { libc::alarm(LIMIT_SECONDS) };
                let result = catch_unwind(AssertUnwindSafe(run));
                // SAFETY: `_exit` takes a number. It runs no destructors, and the child needs none.
                unsafe { libc::_exit(i32::from(result.is_err())) };
            }
            child => {
                assert!(child > 0, "{}", std::io::Error::last_os_error());
                let mut status = 0;
                // SAFETY: `waitpid` writes only the status, to a pointer that is valid for writes.
                assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
                status
            }
        }
    }

    #[traced("{number}")]
    async fn labelled(number: usize) {
        futures::future::join(inner(number), inner(number + 1)).await;
    }

    #[traced("{number} and more")]
    async fn inner(number: usize) {
        for _ in 0..number % 3 {
            tokio::task::yield_now().await;
        }
    }

    #[traced("{number} for ever")]
    async fn suspended(number: usize) {
        black_box(number);
        std::future::pending().await
    }

    static DUMPS: AtomicUsize = AtomicUsize::new(0);

    /// Forks many children while other threads dump, snapshot and poll tasks.
    fn many() {
        let forks =
            std::env::var("TASKTRACE_TEST_FORKS").map_or(1000, |text| text.parse().unwrap());
        for _ in 0..2 {
            thread::spawn(|| {
                loop {
                    let dump = tasktrace::dump_blocking(Duration::from_millis(20));
                    black_box(dump.to_string());
                    DUMPS.fetch_add(1, Ordering::Relaxed);
                    black_box(tasktrace::snapshot().by_awaiter().to_string());
                }
            });
        }
        thread::spawn(|| {
            for number in 0.. {
                futures::executor::block_on(labelled(number));
            }
        });
        thread::spawn(|| {
            loop {
                on_a_new_thread();
            }
        });
        // This task is polled on the main thread, and captured all the time.
        let mut own = pin!(suspended(1));
        assert!(poll(own.as_mut()).is_pending());
        while DUMPS.load(Ordering::Relaxed) < 4 {
            thread::yield_now();
        }
        for number in 0..forks {
            let status = fork(|| child(number));
            assert_eq!(status, 0, "the child {number} of {forks}");
            assert!(poll(own.as_mut()).is_pending());
        }
        println!("none of {forks} hung");
        // SAFETY: `_exit` takes a number. It ends the other threads, which never return.
        unsafe { libc::_exit(0) };
    }

    /// Runs a task on a thread that starts and ends without the locks of the standard library, which stay locked in a
    /// child of `fork` if another thread held them.
    fn on_a_new_thread() {
        extern "C" fn run(_: *mut libc::c_void) -> *mut libc::c_void {
            futures::executor::block_on(labelled(1));
            ptr::null_mut()
        }
        let mut thread = std::mem::MaybeUninit::uninit();
        // SAFETY: the place for the number of the thread is valid, `run` may be called on any thread and ignores its
        // argument, and the thread is joined once, if it was made.
        unsafe {
            let made = libc::pthread_create(thread.as_mut_ptr(), ptr::null(), run, ptr::null_mut());
            assert_eq!(made, 0);
            assert_eq!(libc::pthread_join(thread.assume_init(), ptr::null_mut()), 0);
        }
    }

    fn child(number: usize) {
        let mut task = pin!(suspended(number));
        assert!(poll(task.as_mut()).is_pending());
        let dump = tasktrace::snapshot();
        assert!(dump.tasks().count() >= 2, "{dump}");
        if number.is_multiple_of(2) {
            black_box(tasktrace::dump_blocking(Duration::from_millis(2)).to_string());
        }
        if number.is_multiple_of(4) {
            let other = thread::spawn(move || {
                futures::executor::block_on(labelled(number));
                tasktrace::snapshot().to_string()
            });
            black_box(other.join().unwrap());
        }
    }

    /// Prints whether the child of a process with threads can start a thread. In an emulator of processes it may not.
    fn threads() {
        // This thread outlives the fork.
        thread::spawn(|| {
            loop {
                thread::park();
            }
        });
        let status = fork(|| {
            // SAFETY: `alarm` takes a number. It ends a child that hangs, sooner than `fork` would.
            unsafe { libc::alarm(20) };
            thread::spawn(|| ()).join().unwrap();
        });
        println!("{status}");
    }

    /// Checks that a task created in the child is not old, and does not block its thread.
    fn clock() {
        let mut first = pin!(suspended(1));
        assert!(poll(first.as_mut()).is_pending());
        // The parent's thread keeps the clock.
        let age = |handle: &TraceHandle| handle.age();
        let (task, handle) = tasktrace::traced(async {});
        let start = Instant::now();
        while age(&handle) < Duration::from_millis(50) {
            assert!(start.elapsed() < Duration::from_secs(60));
            thread::sleep(Duration::from_millis(5));
        }
        drop(task);
        let status = fork(|| {
            thread::sleep(Duration::from_secs(2));
            let made = Instant::now();
            let (task, handle) = tasktrace::traced(inner(2));
            let age = handle.age();
            // The clock is exact to its steps, and to the time until this thread gets a processor.
            assert!(
                age <= made.elapsed() + Duration::from_millis(500),
                "{age:?}"
            );
            let mut task = pin!(task);
            assert!(poll(task.as_mut()).is_pending());
            thread::sleep(Duration::from_secs(2));
            assert!(poll(task.as_mut()).is_pending());
            let last = handle.last_polled().unwrap();
            assert!(last < Duration::from_millis(1500), "{last:?}");
        });
        println!("{status}");
    }

    /// Checks that the child does not show tasks of threads that it does not have.
    fn left_behind() {
        let (start, started) = std::sync::mpsc::channel();
        let start_running = start.clone();
        let (task, running) = tasktrace::traced(async move {
            start_running.send(()).unwrap();
            loop {
                thread::park();
            }
        });
        thread::spawn(move || futures::executor::block_on(task));
        let (task, waits) = tasktrace::traced(async {
            std::future::pending::<()>().await;
        });
        let mut task = Box::pin(task);
        let other = thread::spawn(move || {
            assert!(poll(task.as_mut()).is_pending());
            start.send(()).unwrap();
            task
        });
        for _ in 0..2 {
            started.recv().unwrap();
        }
        let mut task = other.join().unwrap();
        let mut own = pin!(suspended(1));
        assert!(poll(own.as_mut()).is_pending());
        assert_eq!(tasktrace::tasks().count(), 3);
        let status = fork(|| {
            assert_eq!(tasktrace::tasks().count(), 1);
            assert_eq!(running.state(), TaskState::Finished);
            let second = Duration::from_secs(1);
            assert!(waits.backtrace_timeout(second).is_err());
            let dump = tasktrace::dump_blocking(Duration::from_millis(10));
            assert_eq!(dump.len(), 1, "{dump}");
            // In the child the task can be polled again.
            assert!(poll(task.as_mut()).is_pending());
            assert_eq!(waits.state(), TaskState::Suspended);
            assert_eq!(tasktrace::tasks().count(), 2);
        });
        assert_eq!(tasktrace::tasks().count(), 3);
        println!("{status}");
    }

    static IS_BLOCKED: AtomicBool = AtomicBool::new(false);
    static IS_RELEASED: AtomicBool = AtomicBool::new(false);

    /// Checks that a fork handler that blocks delays other threads only once.
    fn blocked() {
        extern "C" fn block() {
            IS_BLOCKED.store(true, Ordering::SeqCst);
            while !IS_RELEASED.load(Ordering::SeqCst) {
                thread::yield_now();
            }
        }
        // Handlers are called in reverse order, so this one runs after that of the library.
        //
        // SAFETY: `block` takes no argument, and is a function, so it exists for ever.
        assert_eq!(unsafe { libc::pthread_atfork(Some(block), None, None) }, 0);
        let mut task = pin!(suspended(1));
        assert!(poll(task.as_mut()).is_pending());
        let forking = thread::spawn(|| fork(|| ()));
        while !IS_BLOCKED.load(Ordering::SeqCst) {
            thread::yield_now();
        }
        let start = Instant::now();
        for _ in 0..20 {
            assert!(poll(task.as_mut()).is_pending());
            assert_eq!(tasktrace::snapshot().len(), 1);
        }
        // The first lock waits for ten seconds. No later lock waits.
        assert!(start.elapsed() < Duration::from_secs(60));
        IS_RELEASED.store(true, Ordering::SeqCst);
        println!("{}", forking.join().unwrap());
    }

    /// Drops the watchdog of the parent in the child.
    fn watchdog() {
        let watchdog = tasktrace::watchdog().start();
        let mut watchdog = Some(watchdog);
        let status = fork(|| {
            let start = Instant::now();
            drop(watchdog.take());
            assert!(start.elapsed() < Duration::from_secs(30));
            drop(tasktrace::watchdog().start());
        });
        println!("{status}");
    }
}
