//! Tests `#[tasktrace::main]` and `#[tasktrace::test]` on other executors.

use super::*;

#[tasktrace::main(block_on = futures::executor::block_on, tasktrace = probe)]
async fn by_path() -> bool {
    Handle::try_current().is_err()
}

#[tasktrace::main(block_on = "futures::executor::block_on")]
async fn by_path_in_a_string() -> bool {
    Handle::try_current().is_err()
}

fn on_a_thread<T: Send>(future: impl Future<Output = T> + Send) -> T {
    let run = || futures::executor::block_on(future);
    std::thread::scope(|scope| scope.spawn(run).join().expect("it does not panic"))
}

#[tasktrace::main(block_on = on_a_thread)]
async fn borrowing(text: &str) -> String {
    text.to_owned()
}

#[test]
fn main_runs_on_the_executor_of_block_on() {
    assert!(by_path());
    assert_eq!(probe::names(), [task("by_path")]);
    assert!(by_path_in_a_string());
    assert_eq!(borrowing("abc"), "abc");
}

#[tasktrace::test(block_on = futures::executor::block_on, tasktrace = probe)]
async fn a_test_runs_without_tokio() -> Result<(), std::num::ParseIntError> {
    assert!(Handle::try_current().is_err());
    assert_eq!(probe::names(), [task("a_test_runs_without_tokio")]);
    let _: u32 = "1".parse()?;
    Ok(())
}

#[tasktrace::test(block_on = futures::executor::block_on)]
#[should_panic(expected = "in the test")]
async fn a_test_on_another_executor_may_be_expected_to_panic() {
    panic!("in the test");
}
