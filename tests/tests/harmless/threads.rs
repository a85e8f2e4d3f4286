//! Threads that end.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use tasktrace::{Trace, TraceHandle, current};

use crate::support::{Leaf, ask, task};

async fn at_exit() {
    assert!(current().is_some());
    let here = Trace::here().expect("a stack is there as long as the thread is");
    assert!(here.contains("at_exit"), "{here:#}");
    Leaf::new().0.await;
}

/// Does everything that can be done, when it is dropped.
struct OnExit(Arc<Mutex<usize>>);

impl Drop for OnExit {
    fn drop(&mut self) {
        assert!(current().is_none());
        assert!(Trace::here().is_none());
        let (mut task, handle) = task(at_exit());
        assert!(task.poll().is_pending());
        let mut asker = ask(&handle);
        assert!(task.poll().is_pending());
        let Poll::Ready(Some(trace)) = asker.poll() else {
            panic!("it was captured");
        };
        assert!(trace.contains("at_exit"), "{trace:#}");
        drop(task);
        assert!(handle.is_finished());
        *self.0.lock().unwrap() += 1;
    }
}

thread_local! {
    static FIRST: RefCell<Option<OnExit>> = const { RefCell::new(None) };
    static LAST: RefCell<Option<OnExit>> = const { RefCell::new(None) };
}

#[test]
fn destructors_of_thread_locals_use_everything() {
    for polls_before in [false, true] {
        let dropped = Arc::default();
        let (first, last) = (OnExit(Arc::clone(&dropped)), OnExit(Arc::clone(&dropped)));
        let thread = std::thread::spawn(move || {
            // One is registered before this thread has used what is traced, the other after.
            FIRST.set(Some(first));
            if polls_before {
                let (mut task, handle) = task(at_exit());
                let _asker = ask(&handle);
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

/// The task goes with its thread, while somebody waits for its answer.
#[test]
fn a_task_kept_by_a_thread_ends_with_it() {
    let (tell, told) = std::sync::mpsc::channel::<TraceHandle>();
    let (let_go, may_go) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        let (task, handle) = tasktrace::traced(at_exit());
        let mut task: Kept = Box::pin(task);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(task.as_mut().poll(&mut cx).is_pending());
        TASK.set(Some(task));
        tell.send(handle).unwrap();
        may_go.recv().unwrap();
    });
    let handle = told.recv().unwrap();
    let mut asker = ask(&handle);
    let_go.send(()).unwrap();
    thread.join().unwrap();
    assert!(matches!(asker.poll(), Poll::Ready(None)));
}
