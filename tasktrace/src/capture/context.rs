//! Replaces the waker in a [`Context`] and keeps its other parts.
//!
//! Nightly compilers have `Context::ext` and `Context::local_waker`, which a captured poll passes on. The build script
//! detects them.

use std::task::{Context, Poll, Waker};

/// Calls `poll` with a context that equals `cx`, except that it has this waker.
#[cfg(not(tasktrace_context_ext))]
pub(super) fn with_waker<T>(
    _cx: &mut Context<'_>,
    waker: &Waker,
    poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
) -> Poll<T> {
    poll(&mut Context::from_waker(waker))
}

/// Calls `poll` with a context that equals `cx`, except that it has this waker.
#[cfg(tasktrace_context_ext)]
pub(super) fn with_waker<T>(
    cx: &mut Context<'_>,
    waker: &Waker,
    poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
) -> Poll<T> {
    use std::task::ContextBuilder;

    let (local, own) = (cx.local_waker(), cx.waker());
    // If a context has no local waker of its own (the usual case), `local_waker` returns the waker, also in this poll.
    let has_local = local.data() != own.data() || local.vtable() != own.vtable();
    let mut builder = ContextBuilder::from_waker(waker);
    if has_local {
        builder = builder.local_waker(local);
    }
    poll(&mut builder.ext(cx.ext()).build())
}

#[cfg(all(test, tasktrace_context_ext, not(tasktrace_loom)))]
mod tests {
    use std::future::{Future, poll_fn};
    use std::pin::pin;
    use std::task::{Context, ContextBuilder, Poll, Waker};

    #[test]
    fn a_captured_poll_passes_on_the_ext_of_the_context() {
        let (task, handle) = crate::traced(poll_fn(|cx| {
            let data = cx.ext().downcast_mut::<u32>();
            *data.expect("each poll passes it on") += 1;
            let _registered = cx.waker().clone();
            Poll::<()>::Pending
        }));
        let mut task = pin!(task);
        let mut data = 0_u32;
        let mut poll = || {
            let builder = ContextBuilder::from_waker(Waker::noop());
            task.as_mut()
                .poll(&mut builder.ext(&mut data).build())
                .is_pending()
        };
        assert!(poll());
        let mut request = pin!(handle.backtrace());
        let mut requester = Context::from_waker(Waker::noop());
        assert!(request.as_mut().poll(&mut requester).is_pending());
        assert!(poll());
        assert!(request.as_mut().poll(&mut requester).is_ready());
        assert!(poll());
        assert_eq!(data, 3);
    }
}
