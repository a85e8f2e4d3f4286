//! Runs the same task on each executor, asks it from another thread, and compares the results with the table of
//! `docs/platforms.md`. With `TASKTRACE_BLESS=1` in the environment, it writes the table.

use std::fs;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use futures::channel::oneshot;
use futures::task::{LocalSpawnExt as _, SpawnExt as _};
use tasktrace::{TaskState, TraceError, TraceHandle, TracedTask, traced};

/// A time longer than any step of the test takes.
const PATIENCE: Duration = Duration::from_secs(60);

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

#[tasktrace::traced]
async fn work(input: oneshot::Receiver<u32>, done: mpsc::Sender<u32>) {
    let number = wait(input).await;
    done.send(number).expect("the test waits for the number");
}

#[tasktrace::traced]
async fn wait(input: oneshot::Receiver<u32>) -> u32 {
    input.await.expect("the test sends a number")
}

struct Executor {
    name: &'static str,
    /// The package, whose version the table shows.
    package: &'static str,
    /// Runs the task, and returns when it has ended, or never.
    run: fn(TracedTask<Work>),
}

const fn executor(
    name: &'static str,
    package: &'static str,
    run: fn(TracedTask<Work>),
) -> Executor {
    Executor { name, package, run }
}

const EXECUTORS: &[Executor] = &[
    executor("tokio, `new_current_thread`", "tokio", |task| {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let runtime = runtime.expect("a runtime can be built");
        runtime
            .block_on(async { tokio::spawn(task).await })
            .expect("the task does not panic");
    }),
    executor("tokio, `new_multi_thread`", "tokio", |task| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .build();
        let runtime = runtime.expect("a runtime can be built");
        runtime
            .block_on(async { tokio::spawn(task).await })
            .expect("the task does not panic");
    }),
    executor("tokio, `LocalRuntime`", "tokio", |task| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build_local(tokio::runtime::LocalOptions::default());
        let runtime = runtime.expect("a runtime can be built");
        runtime
            .block_on(async { tokio::task::spawn_local(task).await })
            .expect("the task does not panic");
    }),
    executor("tokio, `LocalSet`", "tokio", |task| {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let runtime = runtime.expect("a runtime can be built");
        tokio::task::LocalSet::new()
            .block_on(&runtime, async { tokio::task::spawn_local(task).await })
            .expect("the task does not panic");
    }),
    executor("actix-rt", "actix-rt", |task| {
        actix_rt::System::new()
            .block_on(async { actix_rt::spawn(task).await })
            .expect("the task does not panic");
    }),
    executor("smol", "smol", |task| smol::block_on(smol::spawn(task))),
    executor("async-executor", "async-executor", |task| {
        let executor = async_executor::LocalExecutor::new();
        pollster::block_on(executor.run(executor.spawn(task)));
    }),
    executor("async-std", "async-std", |task| {
        async_std::task::block_on(async_std::task::spawn(task));
    }),
    executor("futures, `LocalPool`", "futures-executor", |task| {
        let mut pool = futures::executor::LocalPool::new();
        let joined = pool.spawner().spawn_local_with_handle(task);
        pool.run_until(joined.expect("the pool accepts the task"));
    }),
    executor("futures, `ThreadPool`", "futures-executor", |task| {
        let pool = futures::executor::ThreadPool::builder()
            .pool_size(2)
            .create()
            .expect("the system starts two threads");
        let joined = pool.spawn_with_handle(task);
        futures::executor::block_on(joined.expect("the pool accepts the task"));
    }),
    executor("pollster", "pollster", |task| pollster::block_on(task)),
    executor("glommio", "glommio", |task| {
        glommio::LocalExecutor::default().run(async { glommio::spawn_local(task).await });
    }),
    executor("monoio", "monoio", |task| {
        let mut runtime = monoio::RuntimeBuilder::<monoio::IoUringDriver>::new()
            .build()
            .expect("the system has io_uring");
        runtime.block_on(async { monoio::spawn(task).await });
    }),
    executor("compio", "compio", |task| {
        let runtime = compio::runtime::Runtime::new().expect("the system has io_uring");
        runtime
            .block_on(async { compio::runtime::spawn(task).await })
            .expect("the task does not panic");
    }),
    executor(
        "embassy-executor, `platform-std`",
        "embassy-executor",
        |task| {
            let executor: &'static mut embassy_executor::Executor =
                Box::leak(Box::new(embassy_executor::Executor::new()));
            executor.run(|spawner| spawner.spawn(embassy(task).expect("it is the first task")));
        },
    ),
];

#[embassy_executor::task]
async fn embassy(task: TracedTask<Work>) {
    task.await;
}

/// The packages of executors that need io_uring, which the system may lack or refuse.
const NEED_IO_URING: [&str; 3] = ["compio", "glommio", "monoio"];

fn has_io_uring() -> bool {
    let runtime = monoio::RuntimeBuilder::<monoio::IoUringDriver>::new().build();
    runtime.is_ok()
}

/// Runs the task on an executor. Returns its row of the table.
fn row(executor: &Executor, lock: &str) -> String {
    let Executor { name, package, run } = *executor;
    let (open, input) = oneshot::channel();
    let (done, is_done) = mpsc::channel();
    let body: Work = Box::pin(work(input, done));
    let (task, handle) = traced(body);
    // embassy's executor does not end, so the thread is not joined.
    thread::spawn(move || run(task));

    let deadline = Instant::now() + PATIENCE;
    while !matches!(handle.state(), TaskState::Suspended) {
        assert!(Instant::now() < deadline, "{name} does not poll the task");
        thread::sleep(Duration::from_millis(1));
    }
    let capture = match handle.backtrace_timeout(PATIENCE) {
        Ok(trace) => {
            assert!(trace.contains("wait"), "{name}: {trace}");
            assert_eq!(trace.leaves().len(), 1, "{name}: {trace}");
            assert!(trace.to_string().contains("oneshot"), "{name}: {trace}");
            "yes"
        }
        Err(TraceError::OwnWakers) => "no: it accepts only its own wakers",
        Err(error) => panic!("{name}: {error}"),
    };
    check_dump(name, &handle, capture == "yes");

    open.send(42).expect("the task waits");
    let number = is_done.recv_timeout(PATIENCE);
    assert_eq!(number, Ok(42), "{name}: the task goes on");
    format!(
        "| {name} | {} | {capture} | yes |\n",
        version(package, lock)
    )
}

/// Checks that a dump has the live frames of the task, and says so if it was not captured.
fn check_dump(name: &str, handle: &TraceHandle, is_captured: bool) {
    let dump = tasktrace::dump_blocking(Duration::from_secs(2));
    let task = dump.get(handle.id()).expect("the task is listed");
    assert!(task.trace().contains("wait"), "{name}: {dump}");
    let says_not_captured = dump
        .to_string()
        .contains("not captured: its executor accepts");
    assert_eq!(says_not_captured, !is_captured, "{name}: {dump}");
}

/// Returns the version of a package, from the lock file.
fn version<'a>(package: &str, lock: &'a str) -> &'a str {
    let start = format!("name = \"{package}\"\nversion = \"");
    let (_, rest) = lock.split_once(&start).expect("the lock file has it");
    rest.split('"').next().unwrap_or_default()
}

#[test]
fn a_task_is_shown_on_each_executor() {
    const BEGIN: &str = "<!-- executors -->\n";
    const END: &str = "<!-- /executors -->";

    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let read = |path: &Path| fs::read_to_string(path).expect("the file can be read");
    let lock = read(&root.join("tests/crates/Cargo.lock"));

    let page = root.join("tasktrace/docs/platforms.md");
    let text = read(&page);
    let (before, rest) = text.split_once(BEGIN).expect("the page has the table");
    let (old, after) = rest
        .split_once(END)
        .expect("the page has the end of the table");

    let has_io_uring = has_io_uring();
    let mut table =
        String::from("\n| executor | version | capture | live frames |\n|---|---|---|---|\n");
    for executor in EXECUTORS {
        if has_io_uring || !NEED_IO_URING.contains(&executor.package) {
            table.push_str(&row(executor, &lock));
            continue;
        }
        println!("not run: {} needs io_uring", executor.name);
        let start = format!("| {} |", executor.name);
        table.extend(
            old.split_inclusive('\n')
                .filter(|line| line.starts_with(&start)),
        );
    }
    table.push('\n');

    if std::env::var_os("TASKTRACE_BLESS").is_some() {
        fs::write(&page, format!("{before}{BEGIN}{table}{END}{after}")).expect("it can be written");
    } else {
        assert_eq!(old, table, "TASKTRACE_BLESS=1 writes the table");
    }
}
