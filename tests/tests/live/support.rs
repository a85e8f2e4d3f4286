//! Helpers that poll tasks by hand, and outline their trees.

use std::future::Future;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tasktrace::{Frame, Trace, TraceHandle, TracedTask, Wait};
pub(crate) use tasktrace_tests::by_hand::poll;

/// A task that is polled only by its methods, with a waker that does nothing.
pub(crate) struct DrivenTask<F: Future> {
    future: Pin<Box<TracedTask<F>>>,
    pub(crate) handle: TraceHandle,
}

impl<F: Future> DrivenTask<F> {
    pub(crate) fn new(future: F) -> Self {
        let (future, handle) = tasktrace::traced(future);
        Self {
            future: Box::pin(future),
            handle,
        }
    }

    pub(crate) fn poll(&mut self) -> Poll<F::Output> {
        poll(self.future.as_mut())
    }

    #[track_caller]
    pub(crate) fn suspend(&mut self) {
        assert!(self.poll().is_pending());
    }

    /// Returns the live frames, as [`outline`] shows them.
    pub(crate) fn snapshot(&self) -> String {
        outline(&self.handle.snapshot())
    }

    /// Requests a trace, polls the task for it, and returns it.
    pub(crate) fn capture(&mut self) -> Trace {
        let handle = self.handle.clone();
        let mut request = Box::pin(async move { handle.backtrace().await });
        assert!(poll(request.as_mut()).is_pending());
        self.suspend();
        match poll(request.as_mut()) {
            Poll::Ready(Some(trace)) => trace,
            _ => panic!("the request was not answered"),
        }
    }
}

/// A leaf that never resolves, and registers its waker at each poll.
pub(crate) async fn wait_for_ever() {
    std::future::poll_fn(|cx| {
        let _registered = cx.waker().clone();
        Poll::<()>::Pending
    })
    .await;
}

/// Returns the last segments of the names, or the labels, as `task(a(b)c)`. A frame that is held has a `!`.
pub(crate) fn outline(trace: &Trace) -> String {
    let mut text = String::new();
    write(trace.frames(), &mut text);
    text
}

fn write(frames: &[Frame], text: &mut String) {
    // The trees are shallow, so recursion is safe.
    let mut parts: Vec<String> = Vec::new();
    for frame in frames {
        let mut part = frame.label().map_or_else(
            || {
                frame
                    .name()
                    .rsplit("::")
                    .next()
                    .unwrap_or_default()
                    .to_owned()
            },
            str::to_owned,
        );
        if frame.wait() == Some(Wait::NotPolled) {
            part.push('!');
        }
        if frame.count() > 1 {
            part.push_str(&format!("×{}", frame.count()));
        }
        if !frame.children().is_empty() {
            part.push('(');
            write(frame.children(), &mut part);
            part.push(')');
        }
        parts.push(part);
    }
    text.push_str(&parts.join(" "));
}

/// Returns all frames of a trace.
pub(crate) fn frames(trace: &Trace) -> Vec<&Frame> {
    let mut pending: Vec<&Frame> = trace.frames().iter().collect();
    let mut all = Vec::new();
    while let Some(frame) = pending.pop() {
        pending.extend(frame.children());
        all.push(frame);
    }
    all
}

/// Waits until the coarse clock, with which polls are stamped, has moved on by 50 milliseconds. A thread keeps that
/// clock, which a busy machine may run late.
pub(crate) fn let_time_pass() {
    let (_future, earlier) = tasktrace::traced(async {});
    loop {
        let age = earlier.age();
        let (_future, later) = tasktrace::traced(async {});
        if age >= later.age() + Duration::from_millis(50) {
            return;
        }
        std::thread::yield_now();
    }
}
