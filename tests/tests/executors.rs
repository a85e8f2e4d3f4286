//! Tests the same scenario on every executor: a task that waits at two places is traced by other tasks and by a thread,
//! and finishes its work.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use futures::channel::oneshot;
use futures::executor::{LocalPool, ThreadPool};
use futures::task::{LocalSpawnExt as _, SpawnExt as _};
use tasktrace::{NoAnswer, Trace, TraceError, TraceHandle, TracedTask};
use tasktrace_tests::by_hand::LONG;

type Work = Pin<Box<dyn Future<Output = u32> + Send>>;

async fn work(left: oneshot::Receiver<u32>, right: oneshot::Receiver<u32>) -> u32 {
    let (left, right) = futures::join!(branch(left), calls_branch(right));
    assert!(tasktrace::current().is_some());
    left + right
}

async fn calls_branch(input: oneshot::Receiver<u32>) -> u32 {
    branch(input).await
}

async fn branch(input: oneshot::Receiver<u32>) -> u32 {
    input.await.expect("the scenario sends a number")
}

#[track_caller]
fn check(trace: &Trace) {
    let [root] = trace.frames() else {
        panic!("{trace:#}");
    };
    assert!(root.name().ends_with("executors::work"), "{trace:#}");
    let mut branches: Vec<_> = root.children().iter().collect();
    branches.sort_by_key(|branch| branch.name().len());
    let [direct, indirect] = branches[..] else {
        panic!("{trace:#}");
    };
    assert!(direct.name().ends_with("executors::branch"), "{trace}");
    assert!(indirect.name().ends_with("::calls_branch"), "{trace}");
    assert!(
        indirect.children()[0].name().ends_with("::branch"),
        "{trace}"
    );
    assert_eq!(trace.leaves().len(), 2, "{trace}");
}

/// Requests a trace on a thread that is not the executor's, without blocking the executor.
async fn request_on_thread(handle: &TraceHandle) -> Result<Trace, TraceError> {
    let (sender, receiver) = oneshot::channel();
    let handle = handle.clone();
    std::thread::spawn(move || sender.send(handle.backtrace_timeout(LONG)));
    receiver.await.expect("the thread sends its answer")
}

async fn scenario<J: Future<Output = u32>>(spawn: impl FnOnce(TracedTask<Work>) -> J) {
    let (open_left, left) = oneshot::channel();
    let (open_right, right) = oneshot::channel();
    let work: Work = Box::pin(work(left, right));
    let (task, handle) = tasktrace::traced(work);
    let joined = spawn(task);
    for _ in 0..3 {
        check(&handle.backtrace().await.expect("the task waits"));
        check(&request_on_thread(&handle).await.expect("the task waits"));
    }
    let (one, other) = futures::join!(handle.backtrace(), handle.backtrace());
    check(&one.expect("the task waits"));
    check(&other.expect("the task waits"));

    open_left.send(40).expect("the task waits");
    open_right.send(2).expect("the task waits");
    assert_eq!(joined.await, 42);
    assert!(handle.backtrace().await.is_none());
    assert_eq!(
        request_on_thread(&handle).await.unwrap_err(),
        TraceError::Finished
    );
}

fn spawn_on_tokio(task: TracedTask<Work>) -> impl Future<Output = u32> {
    let joined = tokio::spawn(task);
    async { joined.await.expect("the task does not panic") }
}

fn tokio_current_thread() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.build().unwrap()
}

fn tokio_multi_thread() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).build().unwrap()
}

#[test]
fn a_task_on_a_current_thread_runtime_answers() {
    tokio_current_thread().block_on(scenario(spawn_on_tokio));
}

#[test]
fn a_task_on_a_multi_thread_runtime_answers() {
    let runtime = tokio_multi_thread();
    runtime.block_on(scenario(spawn_on_tokio));
    // A task of the same runtime makes the request.
    let request = runtime.spawn(async {
        let (open, input) = oneshot::channel();
        let (task, handle) = tasktrace::traced(branch(input));
        let task = tokio::spawn(task);
        assert!(handle.backtrace().await.unwrap().contains("branch"));
        open.send(1).unwrap();
        task.await.unwrap()
    });
    assert_eq!(runtime.block_on(request).unwrap(), 1);
}

#[test]
fn a_task_on_a_local_set_answers() {
    let local = tokio::task::LocalSet::new();
    local.block_on(
        &tokio_current_thread(),
        scenario(|task| {
            let joined = tokio::task::spawn_local(task);
            async { joined.await.expect("the task does not panic") }
        }),
    );
}

#[test]
fn a_task_on_smol_answers() {
    smol::block_on(scenario(smol::spawn));
}

#[test]
fn a_task_on_a_futures_local_pool_answers() {
    let mut pool = LocalPool::new();
    let spawner = pool.spawner();
    pool.run_until(scenario(|task| {
        spawner
            .spawn_local_with_handle(task)
            .expect("the pool accepts the task")
    }));
}

#[test]
fn a_task_on_a_futures_thread_pool_answers() {
    let pool = ThreadPool::builder().pool_size(2).create().unwrap();
    futures::executor::block_on(scenario(|task| {
        pool.spawn_with_handle(task)
            .expect("the pool accepts the task")
    }));
}

#[test]
fn a_task_on_async_executor_answers() {
    let executor = async_executor::Executor::new();
    pollster::block_on(executor.run(scenario(|task| executor.spawn(task))));

    let local = async_executor::LocalExecutor::new();
    pollster::block_on(local.run(scenario(|task| local.spawn(task))));
}

/// The task is polled without an executor, as a branch of a `join!`.
#[test]
fn a_task_polled_by_its_requester_answers() {
    let (open, input) = oneshot::channel();
    let (task, handle) = tasktrace::traced(branch(input));
    let request = async {
        let trace = handle.backtrace().await.expect("the task waits");
        open.send(7).expect("the task waits");
        trace
    };
    let (seven, trace) = pollster::block_on(futures::future::join(task, request));
    assert_eq!(seven, 7);
    assert!(trace.contains("branch"), "{trace:#}");
}

/// Runs `nested` in the middle of a poll, and then waits for a number.
async fn runs_nested(nested: impl FnOnce(), input: oneshot::Receiver<u32>) -> u32 {
    let outer = tasktrace::current().expect("this code runs in a task").id();
    nested();
    assert_eq!(
        tasktrace::current().expect("this code runs in a task").id(),
        outer
    );
    branch(input).await
}

/// Asserts that a capture does not mix the task with the executor that runs in its poll.
fn check_nested(nested: fn(), spawn: impl FnOnce(TracedTask<Work>)) {
    let (open, input) = oneshot::channel();
    let work: Work = Box::pin(runs_nested(nested, input));
    let (task, handle) = tasktrace::traced(work);
    // The request is made before the first poll, so the poll that runs `nested` is captured.
    let request = std::thread::spawn({
        let handle = handle.clone();
        move || handle.backtrace_timeout(LONG)
    });
    spawn(task);
    let trace = request
        .join()
        .unwrap()
        .expect("the task waits after the nested executor has ended");
    assert_eq!(
        trace.leaves().len(),
        1,
        "the trace has leaves of the nested executor: {trace}"
    );
    assert!(
        trace.frames()[0].name().ends_with("executors::runs_nested"),
        "{trace:#}"
    );
    open.send(1).expect("the task waits");
}

#[test]
fn an_executor_in_a_poll_is_not_part_of_the_capture() {
    let nested: [fn(); 4] = [
        || smol::block_on(scenario(smol::spawn)),
        || {
            let executor = async_executor::Executor::new();
            pollster::block_on(executor.run(scenario(|task| executor.spawn(task))));
        },
        || {
            let pool = ThreadPool::builder().pool_size(1).create().unwrap();
            pollster::block_on(scenario(|task| pool.spawn_with_handle(task).unwrap()));
        },
        || {
            // The requested task is polled inside of the poll of the other, by the same thread.
            let (open, input) = oneshot::channel();
            let (task, handle) = tasktrace::traced(branch(input));
            let request = async {
                let trace = request_on_thread(&handle).await.expect("the task waits");
                assert!(!trace.contains("runs_nested"), "{trace}");
                open.send(1).expect("the task waits");
            };
            pollster::block_on(async { futures::join!(task, request) });
        },
    ];
    let runtime = tokio_multi_thread();
    for nested in nested {
        check_nested(nested, |task| drop(runtime.spawn(task)));
    }
}

#[test]
fn a_tokio_runtime_in_a_poll_of_smol_is_not_part_of_the_capture() {
    let nested: [fn(); 2] = [
        || tokio_current_thread().block_on(scenario(spawn_on_tokio)),
        || tokio_multi_thread().block_on(scenario(spawn_on_tokio)),
    ];
    for nested in nested {
        check_nested(nested, |task| smol::spawn(task).detach());
    }
}

#[test]
fn a_poll_that_blocks_does_not_answer() {
    let (open, input) = oneshot::channel::<u32>();
    let (sender, receiver) = std::sync::mpsc::channel();
    let (task, handle) = tasktrace::traced(async move {
        sender.send(()).unwrap();
        // Blocking in a poll is a frequent mistake.
        pollster::block_on(input).unwrap()
    });
    let runtime = tokio_multi_thread();
    let task = runtime.spawn(task);
    receiver.recv().unwrap();
    let error = handle
        .backtrace_timeout(Duration::from_millis(10))
        .unwrap_err();
    let TraceError::NoAnswer { reason, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(reason, NoAnswer::Running);
    open.send(3).unwrap();
    assert_eq!(runtime.block_on(task).unwrap(), 3);
}
