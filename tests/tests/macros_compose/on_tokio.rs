//! Tests `#[tasktrace::main]` and `#[tasktrace::test]` on tokio.

use super::*;

fn flavor() -> (RuntimeFlavor, usize) {
    let runtime = Handle::current();
    (runtime.runtime_flavor(), runtime.metrics().num_workers())
}

#[tasktrace::main(tasktrace = probe)]
async fn default_main() -> (RuntimeFlavor, usize) {
    flavor()
}

#[tasktrace::main(flavor = "multi_thread", worker_threads = 3, tasktrace = probe)]
async fn three_workers() -> (RuntimeFlavor, usize) {
    flavor()
}

#[tasktrace::main(flavor = "current_thread", start_paused = true)]
async fn paused(duration: Duration) -> Duration {
    let start = tokio::time::Instant::now();
    tokio::time::sleep(duration).await;
    start.elapsed()
}

mod re {
    pub(super) use tokio as export;
}

#[tasktrace::main(crate = "re::export", flavor = "current_thread")]
async fn renamed_in_a_string() -> (RuntimeFlavor, usize) {
    flavor()
}

#[tasktrace::main(flavor = "current_thread", crate = re::export)]
async fn renamed() -> (RuntimeFlavor, usize) {
    flavor()
}

#[test]
fn main_accepts_the_arguments_of_tokio() {
    let (multi_thread, workers) = default_main();
    assert_eq!(multi_thread, RuntimeFlavor::MultiThread);
    assert_eq!((multi_thread, workers), tokio_default());
    assert_eq!(three_workers(), (RuntimeFlavor::MultiThread, 3));
    assert_eq!(
        probe::names(),
        [task("default_main"), task("three_workers")]
    );

    // Only a paused clock lets a whole day end.
    let day = Duration::from_secs(24 * 60 * 60);
    assert!(paused(day) >= day);
    assert_eq!(renamed_in_a_string(), (RuntimeFlavor::CurrentThread, 1));
    assert_eq!(renamed(), (RuntimeFlavor::CurrentThread, 1));
}

#[tokio::main]
async fn tokio_default() -> (RuntimeFlavor, usize) {
    flavor()
}

#[tasktrace::test(tasktrace = probe)]
async fn a_test_runs_on_one_thread_by_default() {
    assert_eq!(flavor(), (RuntimeFlavor::CurrentThread, 1));
    assert_eq!(
        probe::names(),
        [task("a_test_runs_on_one_thread_by_default")]
    );
}

#[tasktrace::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_can_have_two_workers() -> Result<(), std::num::ParseIntError> {
    assert_eq!(flavor(), (RuntimeFlavor::MultiThread, 2));
    let _: u32 = "1".parse()?;
    Ok(())
}

/// Also has attributes of the test harness.
#[tasktrace::test(start_paused = true)]
#[should_panic(expected = "after a day")]
#[cfg(test)]
async fn a_paused_clock_lets_a_day_pass_at_once() {
    tokio::time::sleep(Duration::from_secs(24 * 60 * 60)).await;
    panic!("after a day");
}

#[cfg(not(test))]
#[tasktrace::test]
async fn a_test_that_is_configured_out_is_not_compiled() {
    missing()
}
