//! Tests tasks that are used while their thread ends.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use tasktrace::{Trace, TraceHandle, current};

use crate::support::{Leaf, start_request, task};

async fn at_exit() {
    assert!(current().is_some());
    let here = Trace::here().expect("a stack is there as long as the thread is");
    assert!(here.contains("at_exit"), "{here:#}");
    Leaf::new().0.await;
}

/// A value that uses all of the API when it is dropped.
struct UsesEverythingOnDrop(Arc<Mutex<usize>>);

impl Drop for UsesEverythingOnDrop {
    fn drop(&mut self) {
        assert!(current().is_none());
        assert!(Trace::here().is_none());
        let (mut task, handle) = task(at_exit());
        assert!(task.poll().is_pending());
        let mut request = start_request(&handle);
        assert!(task.poll().is_pending());
        let Poll::Ready(Some(trace)) = request.poll() else {
            panic!("the request has no trace");
        };
        assert!(trace.contains("at_exit"), "{trace:#}");
        drop(task);
        assert!(handle.is_finished());
        *self.0.lock().unwrap() += 1;
    }
}

thread_local! {
    static FIRST: RefCell<Option<UsesEverythingOnDrop>> = const { RefCell::new(None) };
    static LAST: RefCell<Option<UsesEverythingOnDrop>> = const { RefCell::new(None) };
}

#[test]
fn destructors_of_thread_locals_can_use_everything() {
    for polls_before in [false, true] {
        let dropped = Arc::default();
        let (first, last) = (
            UsesEverythingOnDrop(Arc::clone(&dropped)),
            UsesEverythingOnDrop(Arc::clone(&dropped)),
        );
        let thread = std::thread::spawn(move || {
            // One thread-local is registered before this thread first uses tracing, the other after.
            FIRST.set(Some(first));
            if polls_before {
                let (mut task, handle) = task(at_exit());
                let _asker = start_request(&handle);
                assert!(task.poll().is_pending());
            }
            LAST.set(Some(last));
        });
        thread.join().unwrap();
        assert_eq!(*dropped.lock().unwrap(), 2);
    }
}

/// Set in the process that runs a single test.
#[cfg(target_os = "linux")]
const CHILD: &str = "TASKTRACE_TESTS_THREADS";

/// Polls a task after the standard library has destroyed its data of the thread, where `std::thread::current` panics.
#[cfg(target_os = "linux")]
#[test]
fn a_task_can_be_polled_after_the_data_of_the_thread_was_destroyed() {
    use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

    static KEY: AtomicU32 = AtomicU32::new(0);
    static ROUNDS: AtomicUsize = AtomicUsize::new(0);

    extern "C" fn poll_in_the_last_round(_: *mut libc::c_void) {
        // The C library calls a destructor again if it has set a value. The standard library has destroyed its data in
        // the first round.
        let round = ROUNDS.fetch_add(1, Ordering::Relaxed);
        if round < 2 {
            // SAFETY: `KEY` is the key that the test has created. The value is not null, and only this function gets
            // it.
            unsafe {
                libc::pthread_setspecific(KEY.load(Ordering::Relaxed), (&raw const ROUNDS).cast())
            };
            return;
        }
        let (mut task, handle) = task(at_exit());
        assert!(task.poll().is_pending());
        let dump = tasktrace::dump_blocking(std::time::Duration::ZERO);
        assert!(dump.tasks().any(|task| task.name().ends_with("at_exit")));
        drop(task);
        assert!(handle.is_finished());
        ROUNDS.store(100, Ordering::Relaxed);
    }

    if std::env::var_os(CHILD).is_none() {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        let test = "threads::a_task_can_be_polled_after_the_data_of_the_thread_was_destroyed";
        let output = child
            .args(["--exact", test, "--nocapture"])
            .env(CHILD, "1")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}");
        assert!(!text.contains("panicked"), "{text}");
        return;
    }
    let thread = std::thread::Builder::new().name("ends".to_owned());
    let thread = thread.spawn(|| {
        let mut key = 0;
        // SAFETY: `key` is valid for a write, and the destructor has the type that the C library calls.
        let created =
            unsafe { libc::pthread_key_create(&raw mut key, Some(poll_in_the_last_round)) };
        assert_eq!(created, 0);
        KEY.store(key, Ordering::Relaxed);
        // SAFETY: the assertion has shown that `key` was created, and it is never deleted. The destructor does not use
        // the value.
        unsafe { libc::pthread_setspecific(key, (&raw const ROUNDS).cast()) };
    });
    thread.unwrap().join().unwrap();
    assert_eq!(ROUNDS.load(Ordering::Relaxed), 100);
}

type Kept = Pin<Box<dyn Future<Output = ()>>>;

thread_local! {
    static TASK: RefCell<Option<Kept>> = const { RefCell::new(None) };
}

/// The task is dropped with its thread while a request waits for its answer.
#[test]
fn a_task_kept_in_a_thread_local_ends_with_its_thread() {
    let (sender, receiver) = std::sync::mpsc::channel::<TraceHandle>();
    let (release, wait_for_release) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        let (task, handle) = tasktrace::traced(at_exit());
        let mut task: Kept = Box::pin(task);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(task.as_mut().poll(&mut cx).is_pending());
        TASK.set(Some(task));
        sender.send(handle).unwrap();
        wait_for_release.recv().unwrap();
    });
    let handle = receiver.recv().unwrap();
    let mut request = start_request(&handle);
    release.send(()).unwrap();
    thread.join().unwrap();
    assert!(matches!(request.poll(), Poll::Ready(None)));
}
