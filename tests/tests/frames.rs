//! Tests `#[traced]` functions in a tree: each call is one frame, in the order of the calls, also when the functions
//! are inlined into each other.

use std::future::poll_fn;
use std::task::Poll;

use tasktrace::{Frame, LineIs, Trace, traced};

/// Returns the names of the frames along the first branch.
fn names(trace: &Trace) -> Vec<&str> {
    let mut names = Vec::new();
    let mut next = trace.frames().first();
    while let Some(frame) = next {
        names.push(frame.name().rsplit("::").next().unwrap());
        next = frame.children().first();
    }
    names
}

fn find<'a>(trace: &'a Trace, name: &str) -> &'a Frame {
    let mut pending: Vec<&Frame> = trace.frames().iter().collect();
    while let Some(frame) = pending.pop() {
        if frame.name().rsplit("::").next() == Some(name) {
            return frame;
        }
        pending.extend(frame.children());
    }
    panic!("no {name} in\n{trace}");
}

/// Requests a trace of the future, and polls it once.
fn trace_of<F: Future>(future: F) -> Trace {
    let (task, handle) = tasktrace::traced(future);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        tokio::select! {
            biased;
            trace = handle.backtrace() => trace.unwrap(),
            _ = task => unreachable!("the task waits for ever"),
        }
    })
}

async fn wait() {
    poll_fn(|cx| {
        drop(cx.waker().clone());
        Poll::<()>::Pending
    })
    .await;
}

#[traced]
async fn outer() {
    middle().await;
}

#[traced(name = "the middle")]
async fn middle() {
    not_traced().await;
}

async fn not_traced() {
    inner().await;
}

#[traced]
async fn inner() {
    wait().await;
}

#[test]
fn frames_are_in_the_order_of_the_calls() {
    let trace = trace_of(outer());
    assert_eq!(
        names(&trace),
        ["outer", "middle", "not_traced", "inner", "wait"],
        "{trace}"
    );
    assert_eq!(find(&trace, "middle").label(), Some("the middle"));
    assert!(trace.contains("the middle"));
}

#[traced]
async fn again(depth: u32) {
    if depth > 0 {
        Box::pin(again(depth - 1)).await;
    } else {
        wait().await;
    }
}

#[test]
fn each_call_of_a_recursion_is_a_frame() {
    let trace = trace_of(again(2));
    assert_eq!(
        names(&trace),
        ["again", "again", "again", "wait"],
        "{trace}"
    );
}

#[test]
fn a_task_in_a_task_has_its_frames_once() {
    let trace = trace_of(async { tasktrace::traced(outer()).0.await });
    let names = names(&trace);
    assert!(
        names.ends_with(&["outer", "middle", "not_traced", "inner", "wait"]),
        "{trace}"
    );
    assert_eq!(names.iter().filter(|name| **name == "outer").count(), 1);
}

const LINE_OF_SILENT: u32 = line!() + 2;
#[traced]
async fn silent() {
    std::future::pending::<()>().await;
}

async fn calls_silent() {
    tokio::join!(silent(), wait());
}

#[test]
fn a_frame_without_a_waker_is_marked() {
    let trace = trace_of(calls_silent());
    let frame = find(&trace, "silent");
    let place = (frame.line(), frame.line_is(), frame.wait());
    let expected = (
        Some(LINE_OF_SILENT),
        LineIs::Definition,
        Some(tasktrace::Wait::NoWaker),
    );
    assert_eq!(place, expected, "{trace}");
    let text = trace.to_string();
    let line = text
        .lines()
        .find(|line| line.contains("::silent (fn at "))
        .unwrap();
    assert!(
        line.contains("no waker registered in this poll: nothing can wake it, unless it kept"),
        "{text}"
    );
    assert_eq!(text.matches("no waker").count(), 1, "{text}");
}

#[test]
fn a_task_without_a_waker_is_marked() {
    let trace = trace_of(std::future::pending::<()>());
    assert!(trace.to_string().contains("no waker registered"), "{trace}");
    assert!(
        format!("{trace:#}").contains("no waker registered"),
        "{trace:#}"
    );
}
