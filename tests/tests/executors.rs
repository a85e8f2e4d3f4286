//! One scenario on every executor: a task that waits at two places is asked by its neighbours and
//! by a thread, and does its work.

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

async fn calls_branch(gate: oneshot::Receiver<u32>) -> u32 {
    branch(gate).await
}

async fn branch(gate: oneshot::Receiver<u32>) -> u32 {
    gate.await.expect("the scenario opens it")
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

/// Asks from a thread that has nothing to do with the executor, without blocking the executor.
async fn ask_from_thread(handle: &TraceHandle) -> Result<Trace, TraceError> {
    let (tell, told) = oneshot::channel();
    let handle = handle.clone();
    std::thread::spawn(move || tell.send(handle.backtrace_timeout(LONG)));
    told.await.expect("the thread answers")
}

async fn scenario<J: Future<Output = u32>>(spawn: impl FnOnce(TracedTask<Work>) -> J) {
    let (open_left, left) = oneshot::channel();
    let (open_right, right) = oneshot::channel();
    let work: Work = Box::pin(work(left, right));
    let (task, handle) = tasktrace::traced(work);
    let joined = spawn(task);
    for _ in 0..3 {
        check(&handle.backtrace().await.expect("it waits"));
        check(&ask_from_thread(&handle).await.expect("it waits"));
    }
    let (one, other) = futures::join!(handle.backtrace(), handle.backtrace());
    check(&one.expect("it waits"));
    check(&other.expect("it waits"));

    open_left.send(40).expect("it waits");
    open_right.send(2).expect("it waits");
    assert_eq!(joined.await, 42);
    assert!(handle.backtrace().await.is_none());
    assert_eq!(
        ask_from_thread(&handle).await.unwrap_err(),
        TraceError::Finished
    );
}

fn spawn_on_tokio(task: TracedTask<Work>) -> impl Future<Output = u32> {
    let joined = tokio::spawn(task);
    async { joined.await.expect("it does not panic") }
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
fn tokio_on_one_thread() {
    tokio_current_thread().block_on(scenario(spawn_on_tokio));
}

#[test]
fn tokio_on_several_threads() {
    let runtime = tokio_multi_thread();
    runtime.block_on(scenario(spawn_on_tokio));
    // Asked by a task of the same threads.
    let asker = runtime.spawn(async {
        let (open, gate) = oneshot::channel();
        let (task, handle) = tasktrace::traced(branch(gate));
        let task = tokio::spawn(task);
        assert!(handle.backtrace().await.unwrap().contains("branch"));
        open.send(1).unwrap();
        task.await.unwrap()
    });
    assert_eq!(runtime.block_on(asker).unwrap(), 1);
}

#[test]
fn tokio_local_set() {
    let local = tokio::task::LocalSet::new();
    local.block_on(
        &tokio_current_thread(),
        scenario(|task| {
            let joined = tokio::task::spawn_local(task);
            async { joined.await.expect("it does not panic") }
        }),
    );
}

#[test]
fn smol() {
    smol::block_on(scenario(smol::spawn));
}

#[test]
fn futures_local_pool() {
    let mut pool = LocalPool::new();
    let spawner = pool.spawner();
    pool.run_until(scenario(|task| {
        spawner
            .spawn_local_with_handle(task)
            .expect("the pool is there")
    }));
}

#[test]
fn futures_thread_pool() {
    let pool = ThreadPool::builder().pool_size(2).create().unwrap();
    futures::executor::block_on(scenario(|task| {
        pool.spawn_with_handle(task).expect("the pool is there")
    }));
}

#[test]
fn async_executor() {
    let executor = async_executor::Executor::new();
    pollster::block_on(executor.run(scenario(|task| executor.spawn(task))));

    let local = async_executor::LocalExecutor::new();
    pollster::block_on(local.run(scenario(|task| local.spawn(task))));
}

/// Without any executor, as the branch of a `join!`.
#[test]
fn beside_the_asker() {
    let (open, gate) = oneshot::channel();
    let (task, handle) = tasktrace::traced(branch(gate));
    let asker = async {
        let trace = handle.backtrace().await.expect("it waits");
        open.send(7).expect("it waits");
        trace
    };
    let (seven, trace) = pollster::block_on(futures::future::join(task, asker));
    assert_eq!(seven, 7);
    assert!(trace.contains("branch"), "{trace:#}");
}

/// Runs `nested` in the middle of a poll of a task, then waits like any other.
async fn nests(nested: impl FnOnce(), gate: oneshot::Receiver<u32>) -> u32 {
    let outer = tasktrace::current().expect("in a task").id();
    nested();
    assert_eq!(tasktrace::current().expect("in the task again").id(), outer);
    branch(gate).await
}

/// What is nested must be left alone by the task around it, and the other way round.
fn check_nested(nested: fn(), spawn: impl FnOnce(TracedTask<Work>)) {
    let (open, gate) = oneshot::channel();
    let work: Work = Box::pin(nests(nested, gate));
    let (task, handle) = tasktrace::traced(work);
    // The request is there before the task, so the poll that nests is the one that is captured.
    let asker = std::thread::spawn({
        let handle = handle.clone();
        move || handle.backtrace_timeout(LONG)
    });
    spawn(task);
    let trace = asker.join().unwrap().expect("it waits, in the end");
    assert_eq!(
        trace.leaves().len(),
        1,
        "nothing of what was nested: {trace}"
    );
    assert!(
        trace.frames()[0].name().ends_with("executors::nests"),
        "{trace:#}"
    );
    open.send(1).expect("it waits");
}

#[test]
fn executors_in_a_poll() {
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
            // The task that is asked is polled in the poll of the other, by the same thread.
            let (open, gate) = oneshot::channel();
            let (task, handle) = tasktrace::traced(branch(gate));
            let asker = async {
                let trace = ask_from_thread(&handle).await.expect("it waits");
                assert!(!trace.contains("nests"), "{trace}");
                open.send(1).expect("it waits");
            };
            pollster::block_on(async { futures::join!(task, asker) });
        },
    ];
    let runtime = tokio_multi_thread();
    for nested in nested {
        check_nested(nested, |task| drop(runtime.spawn(task)));
    }
}

#[test]
fn tokio_in_a_poll_of_smol() {
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
    let (open, gate) = oneshot::channel::<u32>();
    let (tell, told) = std::sync::mpsc::channel();
    let (task, handle) = tasktrace::traced(async move {
        tell.send(()).unwrap();
        // A mistake that is often made.
        pollster::block_on(gate).unwrap()
    });
    let runtime = tokio_multi_thread();
    let task = runtime.spawn(task);
    told.recv().unwrap();
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
