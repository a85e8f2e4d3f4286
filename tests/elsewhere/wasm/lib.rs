//! A program for WebAssembly that asks its tasks: see `run.cjs`.

use std::cell::RefCell;
use std::time::Duration;

use futures::channel::oneshot;
use futures::executor::LocalPool;
use futures::task::LocalSpawnExt as _;
use tasktrace::{TaskState, TraceError, traced};

thread_local! {
    static OUTPUT: RefCell<String> = const { RefCell::new(String::new()) };
}

fn print(text: &str) {
    OUTPUT.with_borrow_mut(|output| {
        output.push_str(text);
        output.push('\n');
    });
}

#[tasktrace::traced]
async fn outer(input: oneshot::Receiver<u32>) -> u32 {
    inner(input).await + 1
}

#[tasktrace::traced("the number")]
async fn inner(input: oneshot::Receiver<u32>) -> u32 {
    input.await.expect("the program sends a number")
}

/// Runs the program. A failed assertion ends it, after [`output`] has its message.
#[unsafe(no_mangle)]
pub extern "C" fn run() {
    std::panic::set_hook(Box::new(|panic| print(&panic.to_string())));
    let mut pool = LocalPool::new();
    let (open, input) = oneshot::channel();
    let (task, handle) = traced(outer(input));
    let spawner = pool.spawner();
    let joined = spawner
        .spawn_local_with_handle(task)
        .expect("the pool accepts the task");
    assert_eq!(
        handle
            .backtrace_timeout(Duration::from_secs(1))
            .unwrap_err(),
        TraceError::NeverPolled
    );

    // A task asks another one.
    let asked = handle.clone();
    let trace = pool.run_until(async move { asked.backtrace().await });
    let trace = trace.expect("the task waits");
    print(&trace.to_string());
    assert!(
        trace.contains("outer") && trace.contains("inner"),
        "{trace}"
    );
    assert!(
        trace
            .to_string()
            .contains("the stack could not be followed"),
        "{trace}"
    );

    let snapshot = tasktrace::snapshot();
    print(&snapshot.to_string());
    let found = snapshot.get(handle.id()).expect("the task is listed");
    assert!(matches!(found.state(), TaskState::Suspended));
    assert!(found.trace().contains("the number"));

    // These cannot wait here: they show the live frames, and the reason.
    let dump = pool.run_until(tasktrace::dump());
    print(&dump.to_string());
    assert!(
        dump.get(handle.id())
            .expect("the task is listed")
            .trace()
            .contains("inner")
    );
    let error = handle
        .backtrace_timeout(Duration::from_secs(1))
        .unwrap_err();
    print(&error.to_string());
    assert!(matches!(error, TraceError::NoAnswer { .. }));

    open.send(41).expect("the task waits");
    assert_eq!(pool.run_until(joined), 42);
    assert_eq!(tasktrace::snapshot().tasks().len(), 0);
    print("all assertions held");
}

/// Returns the address of what was printed.
#[unsafe(no_mangle)]
pub extern "C" fn output() -> *const u8 {
    OUTPUT.with_borrow(|output| output.as_ptr())
}

/// Returns the number of bytes that were printed.
#[unsafe(no_mangle)]
pub extern "C" fn output_length() -> usize {
    OUTPUT.with_borrow(String::len)
}
