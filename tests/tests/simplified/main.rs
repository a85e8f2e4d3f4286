//! Tests the frames between a task and its leaves: each function of the program is one frame, with the line of its
//! `.await`, and there are no other frames.

// The tests check how such functions are shown.
#![allow(clippy::extra_unused_type_parameters, clippy::manual_async_fn)]

mod combinators;
mod functions;
mod methods;
mod streams;

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};

use tasktrace_tests::{AwaitPoint, HOUR, name_of, outline, trace_of, traces_of};
use tokio::sync::Notify;
use tokio::time::sleep;

/// Asserts that the outline of a trace of `body` is `expected`, whose lines are relative to the line at which `body`
/// waits.
#[track_caller]
fn check<F: Future + 'static>(body: impl FnOnce(AwaitPoint) -> F, expected: &[&str]) {
    let module: String = name_of(&body).split_inclusive("::").take(2).collect();
    let (trace, line) = trace_of(body);
    assert_eq!(
        relative(&outline(&trace), &module, line),
        expected.join("\n"),
        "\n{trace}\n{trace:#}"
    );
}

/// Replaces the lines in an outline by their distance from `line`, and removes the path of the test's module.
fn relative(outline: &str, module: &str, line: u32) -> String {
    let mut out = Vec::new();
    for frame in outline.lines() {
        let frame = match frame.rsplit_once(':') {
            Some((name, at)) if at.bytes().all(|c| c.is_ascii_digit()) => {
                let at: i64 = at.parse().unwrap();
                format!("{name}:{:+}", at - i64::from(line))
            }
            _ => frame.to_owned(),
        };
        out.push(frame.replace(module, ""));
    }
    out.join("\n")
}
