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
