//! A program that forks while others look at its tasks, for `tests/harmless/forks.rs`. Its argument says how.

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

    /// No child takes as long, unless it hangs.
    const LIMIT_SECONDS: u32 = 100;

    pub(super) fn main() {
        let how = std::env::args().nth(1).unwrap();
        match &*how {
            "many" => many(),
            "clock" => clock(),
            "left behind" => left_behind(),
            "watchdog" => watchdog(),
            "blocked" => blocked(),
            _ => panic!("{how:?} is not known"),
        }
    }

    /// Runs this in a child, and waits for that. Returns how it has ended.
    fn fork(run: impl FnOnce()) -> libc::c_int {
        // SAFETY: the child uses what is tested, and otherwise what the C library allows in a child.
        match unsafe { libc::fork() } {
            0 => {
                // SAFETY: it takes a number. It ends a child that hangs.
                unsafe { libc::alarm(LIMIT_SECONDS) };
                let result = catch_unwind(AssertUnwindSafe(run));
                // SAFETY: nothing of the child is needed any more.
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

    /// Children of a process in which threads do all that can be done with tasks.
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
        // On this thread, asked all the time.
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
        // SAFETY: the other threads go on until there is no process.
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

    /// A task that is made in the child is not old, and does not block its thread.
    fn clock() {
        let mut first = pin!(suspended(1));
        assert!(poll(first.as_mut()).is_pending());
        // The parent keeps the time.
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
            // As far as steps of the clock tell, and as this thread gets a processor.
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

    /// The tasks of threads that are not there.
    fn left_behind() {
        let (begin, begun) = std::sync::mpsc::channel();
        let begin_running = begin.clone();
        let (task, running) = tasktrace::traced(async move {
            begin_running.send(()).unwrap();
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
            begin.send(()).unwrap();
            task
        });
        for _ in 0..2 {
            begun.recv().unwrap();
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
            // Here it goes on.
            assert!(poll(task.as_mut()).is_pending());
            assert_eq!(waits.state(), TaskState::Suspended);
            assert_eq!(tasktrace::tasks().count(), 2);
        });
        assert_eq!(tasktrace::tasks().count(), 3);
        println!("{status}");
    }

    static IS_BLOCKED: AtomicBool = AtomicBool::new(false);
    static GOES_ON: AtomicBool = AtomicBool::new(false);

    /// A fork that a handler of the program blocks.
    fn blocked() {
        extern "C" fn block() {
            IS_BLOCKED.store(true, Ordering::SeqCst);
            while !GOES_ON.load(Ordering::SeqCst) {
                thread::yield_now();
            }
        }
        // Before ours, so it is called after ours.
        // SAFETY: the handler needs no argument, and stays.
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
        // The first lock waits for ten seconds, and no other.
        assert!(start.elapsed() < Duration::from_secs(60));
        GOES_ON.store(true, Ordering::SeqCst);
        println!("{}", forking.join().unwrap());
    }

    /// A child has the value that stops a thread of its parent.
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
