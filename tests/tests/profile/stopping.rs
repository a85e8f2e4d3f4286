//! Profiles that are awaited, and those that nobody awaits any more.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Waker};
use std::time::Duration;

/// On an executor that knows nothing but to block the thread.
#[test]
fn it_can_be_awaited() {
    let seen = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&seen);
    let profile = tasktrace::profile()
        .lasting(Duration::from_millis(200))
        .on_sample(move |progress| {
            assert!(progress.elapsed() <= progress.lasting());
            counter.store(progress.samples(), Ordering::Relaxed);
        });
    let profile = pollster::block_on(profile.run());
    assert_eq!(seen.load(Ordering::Relaxed), profile.samples());
    assert!(profile.samples() > 0);
    assert_eq!(
        profile.samples() + profile.skipped(),
        20,
        "each is taken or skipped"
    );
}

#[test]
fn it_ends_when_nobody_awaits_it() {
    let (sender, receiver) = mpsc::channel();
    let profile = tasktrace::profile()
        .lasting(Duration::from_secs(3600))
        .on_sample(move |progress| {
            // Nobody has to listen.
            let _ = sender.send(progress.samples());
        });
    {
        let mut run = pin!(profile.run());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(run.as_mut().poll(&mut cx).is_pending());
        assert_eq!(receiver.recv(), Ok(1));
    }
    // The thread drops the sender when it ends.
    while receiver.recv().is_ok() {}
}

#[test]
fn a_panic_is_passed_on() {
    let profile = tasktrace::profile()
        .lasting(Duration::from_millis(100))
        .on_sample(|_| panic!("of the callback"));
    let result = catch_unwind(AssertUnwindSafe(|| pollster::block_on(profile.run())));
    let panic = result.expect_err("it panics");
    assert_eq!(panic.downcast_ref(), Some(&"of the callback"));
}

#[test]
fn a_time_that_is_no_time() {
    let profile = tasktrace::profile()
        .every(Duration::from_secs(10))
        .lasting(Duration::ZERO)
        .run_blocking();
    assert_eq!(profile.samples() + profile.skipped(), 1);
}
