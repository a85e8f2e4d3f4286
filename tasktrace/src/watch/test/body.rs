//! Polls the body of a test as a task, and makes it fail if it hangs.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::running::{CurrentTest, Test};
use crate::origin::{FrameMeta, Origin};
use crate::runtime::RuntimeHandle;
use crate::sync::catch_panic;
use crate::task::{Metadata, TracedTask};
use crate::watch::panic;

pin_project! {
    /// The body of a `test` function as a task, which panics with a report if the test hangs.
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

/// Registers the body's task with its test, and removes it when the body is dropped.
#[derive(Debug)]
struct Membership {
    test: CurrentTest,
    is_announced: bool,
}

/// Wraps the body of a test. `fail` panics with a message at the location of the test. `failure` returns a text if the
/// output of the body is a failure.
pub fn body<F: Future>(
    meta: &'static FrameMeta,
    test: CurrentTest,
    fail: fn(String) -> !,
    future: F,
    failure: fn(&F::Output) -> Option<String>,
) -> TestBody<F> {
    TestBody {
        task: TracedTask::new(Metadata::of(Origin::Function(meta)), future),
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
                let runtime = RuntimeHandle::current().map(|runtime| runtime.id());
                drop(test.change(|state| {
                    state.runtime = runtime;
                    state.fail = Some(*this.fail);
                    state.body.replace(handle)
                }));
            }
            if let Some(report) = test.take_report() {
                // The report has the location of the test, so the message needs no stack.
                panic::without_stack(|| (this.fail)(report));
            }
        }
        let poll = this.task.poll(cx);
        if let (Some(test), Poll::Ready(output)) = (&this.membership.test.0, &poll)
            && super::is_captured()
            // The closure formats a value of the test, which may panic.
            && let Some(Some(text)) = catch_panic(|| (this.failure)(output))
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
