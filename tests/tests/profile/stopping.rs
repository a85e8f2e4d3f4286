//! Tests the future of a profile: its end, its cancellation, and panics in it.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Waker};
use std::time::Duration;

/// The executor only blocks its thread.
#[test]
fn a_profile_can_be_awaited_on_any_executor() {
    let _alone = tasktrace_tests::sampled::alone();
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
fn a_profile_ends_when_its_future_is_dropped() {
    let _alone = tasktrace_tests::sampled::alone();
    let (sender, receiver) = mpsc::channel();
    let profile = tasktrace::profile()
        .lasting(Duration::from_secs(3600))
        .on_sample(move |progress| {
            // The receiver may be gone.
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
fn a_panic_of_the_callback_is_passed_on() {
    let _alone = tasktrace_tests::sampled::alone();
    let profile = tasktrace::profile()
        .lasting(Duration::from_millis(100))
        .on_sample(|_| panic!("of the callback"));
    let result = catch_unwind(AssertUnwindSafe(|| pollster::block_on(profile.run())));
    let panic = result.expect_err("it panics");
    assert_eq!(panic.downcast_ref(), Some(&"of the callback"));
}

#[test]
fn a_profile_of_no_time_takes_one_sample() {
    let _alone = tasktrace_tests::sampled::alone();
    let profile = tasktrace::profile()
        .every(Duration::from_secs(10))
        .lasting(Duration::ZERO)
        .run_blocking();
    assert_eq!(profile.samples() + profile.skipped(), 1);
}
