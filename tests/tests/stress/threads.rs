//! Tests threads that start and end with tasks and free task headers, while other threads read.

use std::cell::RefCell;
use std::future::{Future, pending};
use std::pin::Pin;
use std::task::{Context, Waker};
use std::thread;

use tasktrace::{TraceHandle, traced};

use crate::reading::Readers;
use crate::support::{Random, scenario};

#[traced("a {number}")]
async fn a(number: usize) {
    b(number).await;
}

#[traced("b {number}")]
async fn b(number: usize) {
    let _ = number;
    pending::<()>().await;
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

fn task(number: usize) -> (Task, TraceHandle) {
    let (task, handle) = tasktrace::traced(a(number));
    (Box::pin(task), handle)
}

fn poll(task: &mut Task) {
    let polled = task.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(polled.is_pending());
}

/// Creates and drops tasks while the thread-locals of its thread are destroyed.
struct AtExit(Vec<Task>);

impl Drop for AtExit {
    fn drop(&mut self) {
        self.0.iter_mut().for_each(poll);
        let (mut last, handle) = task(usize::MAX);
        poll(&mut last);
        drop((last, handle));
    }
}

thread_local! {
    static AT_EXIT: RefCell<Option<AtExit>> = const { RefCell::new(None) };
}

#[test]
fn threads_can_end_with_tasks_and_free_headers() {
    scenario(|| {
        let readers = Readers::start(2);
        let mut random = Random::new(7);
        let mut tasks: Vec<Task> = Vec::new();
        let mut handles: Vec<TraceHandle> = Vec::new();
        for round in 0..60 {
            let threads: Vec<_> = (0..3)
                .map(|number| {
                    // Other threads have created some of the tasks that are dropped here.
                    let mut theirs: Vec<Task> = (0..random.below(100))
                        .filter_map(|_| random.take(&mut tasks))
                        .collect();
                    let ours = random.below(100);
                    let kept = random.below(1 + ours);
                    thread::spawn(move || {
                        theirs.iter_mut().for_each(poll);
                        let first = (round * 3 + number) * 1000;
                        let (mut made, handles): (Vec<_>, Vec<_>) =
                            (first..first + ours).map(task).unzip();
                        made.iter_mut().for_each(poll);
                        drop(theirs);
                        AT_EXIT.set(Some(AtExit(made.split_off(kept))));
                        (made, handles)
                    })
                })
                .collect();
            for thread in threads {
                let (made, of) = thread.join().unwrap();
                tasks.extend(made);
                handles.extend(of);
            }
            handles.truncate(random.below(300));
        }
        drop((tasks, handles));
        readers.finish();
    });
}
