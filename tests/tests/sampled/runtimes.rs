//! Tests that a sample names the right thread on each executor.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tasktrace::{TaskState, TraceHandle, TracedTask};
use tasktrace_tests::sampled::{Site, alone, path, sample_until, thread_id};
use tasktrace_tests::{current_thread, multi_thread};
use tokio::task::LocalSet;

use crate::support::sleep;

type Task = TracedTask<Pin<Box<dyn Future<Output = ()> + Send>>>;

/// Yields once, on any executor.
async fn yield_now() {
    let mut has_yielded = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut has_yielded, true) {
            return std::task::Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

/// A function that is suspended before it blocks, so that the executor polls it when it blocks.
async fn outer(site: Site, thread: Arc<AtomicU64>) {
    yield_now().await;
    inner(&site, &thread).await;
}

async fn inner(site: &Site, thread: &AtomicU64) {
    thread.store(thread_id(), Ordering::SeqCst);
    sleep(site);
}

/// Asserts that a sample of the task that `run` runs names the thread `name`.
#[track_caller]
fn check<J: FnOnce()>(name: &str, run: impl FnOnce(Task) -> J) {
    let _alone = alone();
    let (site, thread) = (Site::default(), Arc::<AtomicU64>::default());
    let future = Box::pin(outer(site.clone(), Arc::clone(&thread)));
    let (task, handle): (Task, _) = tasktrace::traced(future as _);
    let join = run(task);
    check_sample(&handle, name, &thread);
    site.end();
    join();
}

#[track_caller]
fn check_sample(handle: &TraceHandle, name: &str, thread: &AtomicU64) {
    let task = sample_until(handle.id(), |leaf| leaf.name() == "std::thread::sleep");
    let trace = task.trace();
    let names: Vec<&str> = path(trace).iter().map(|frame| frame.name()).collect();
    let [.., outer, inner, _support, _leaf] = names[..] else {
        panic!("{trace}\n{trace:#}");
    };
    assert!(outer.ends_with("runtimes::outer"), "{trace}\n{trace:#}");
    assert!(inner.ends_with("runtimes::inner"), "{trace}\n{trace:#}");
    let TaskState::Running(running) = task.state() else {
        panic!("{}", task.state());
    };
    assert_eq!(running.thread_name(), Some(name));
    assert_eq!(running.thread_id(), thread.load(Ordering::SeqCst));
}

/// Runs `run` on a thread with this name, and returns a function that joins it.
fn in_thread<F: FnOnce() + Send + 'static>(name: &str, run: F) -> impl FnOnce() + use<F> {
    let thread = std::thread::Builder::new().name(name.into());
    let thread = thread.spawn(run).unwrap();
    || thread.join().unwrap()
}

#[test]
fn a_sample_names_the_thread_of_a_multi_thread_runtime() {
    check("tokio-rt-worker", |task| {
        let runtime = multi_thread();
        let task = runtime.spawn(task);
        move || runtime.block_on(task).unwrap()
    });
}

#[test]
fn a_sample_names_the_thread_of_a_current_thread_runtime() {
    check("current-thread", |task| {
        in_thread("current-thread", || {
            current_thread().block_on(async { tokio::spawn(task).await.unwrap() });
        })
    });
}

#[test]
fn a_sample_names_the_thread_of_a_local_set() {
    check("local", |task| {
        in_thread("local", || {
            let tasks = LocalSet::new();
            let task = tasks.spawn_local(task);
            current_thread().block_on(tasks.run_until(task)).unwrap();
        })
    });
}

#[test]
fn a_sample_names_the_thread_of_another_executor() {
    check("async-executor", |task| {
        in_thread("async-executor", || {
            let executor = async_executor::Executor::new();
            let task = executor.spawn(task);
            smol::block_on(executor.run(task));
        })
    });
}

#[test]
fn a_sample_names_the_thread_of_a_global_executor() {
    check("smol-1", |task| {
        let task = smol::spawn(task);
        || smol::block_on(task)
    });
}

#[test]
fn a_sample_names_the_thread_of_a_blocking_task() {
    check("tokio-rt-worker", |task| {
        let runtime = multi_thread();
        let handle = runtime.handle().clone();
        let task = runtime.spawn_blocking(move || handle.block_on(task));
        move || runtime.block_on(task).unwrap()
    });
}
