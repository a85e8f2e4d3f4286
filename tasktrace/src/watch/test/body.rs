//! The body of a test.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::running::{Current, Test};
use crate::host::Host;
use crate::origin::{FrameMeta, Origin};
use crate::sync::caught;
use crate::task::{About, TracedTask};
use crate::watch::panic;

pin_project! {
    /// The future that the body of a `test` function becomes: a task, which can be made to fail.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct TestBody<F>
    where
        F: Future,
    {
        #[pin]
        task: TracedTask<F>,
        membership: Membership,
        fail: fn(String) -> !,
        failure: fn(&F::Output) -> Option<String>,
    }
}

/// Says of a test that this is its body, and that it has ended.
#[derive(Debug)]
struct Membership {
    test: Current,
    is_announced: bool,
}

/// The body of a test. `fail` panics with a message, at the place of the test. `failure` returns a text if the output is
/// a failure.
pub fn body<F: Future>(
    meta: &'static FrameMeta,
    test: Current,
    fail: fn(String) -> !,
    future: F,
    failure: fn(&F::Output) -> Option<String>,
) -> TestBody<F> {
    TestBody {
        task: TracedTask::new(About::of(Origin::Function(meta)), future),
        membership: Membership {
            test,
            is_announced: false,
        },
        fail,
        failure,
    }
}

impl<F: Future> Future for TestBody<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Some(test) = &this.membership.test.0 {
            if !this.membership.is_announced {
                this.membership.is_announced = true;
                let handle = this.task.handle();
                let runtime = Host::current().map(|host| host.runtime());
                drop(test.change(|state| {
                    state.runtime = runtime;
                    state.fail = Some(*this.fail);
                    state.body.replace(handle)
                }));
            }
            if let Some(report) = test.take_report() {
                // It says where the test is, and more.
                panic::without_stack(|| (this.fail)(report));
            }
        }
        let poll = this.task.poll(cx);
        if let (Some(test), Poll::Ready(output)) = (&this.membership.test.0, &poll)
            && super::is_captured()
            // It formats a value of the test's.
            && let Some(Some(text)) = caught(|| (this.failure)(output))
        {
            test.note_failure(text);
        }
        poll
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        if let (Some(test), true) = (&self.test.0, self.is_announced) {
            end(test);
        }
    }
}

fn end(test: &Arc<Test>) {
    drop(test.change(|state| {
        state.body_has_ended = true;
        state.body.take()
    }));
}
