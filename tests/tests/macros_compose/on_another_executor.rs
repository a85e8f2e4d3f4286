//! The same on another executor.

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
fn main() {
    assert!(by_path());
    assert_eq!(probe::names(), [task("by_path")]);
    assert!(by_path_in_a_string());
    assert_eq!(borrowing("abc"), "abc");
}

#[tasktrace::test(block_on = futures::executor::block_on, tasktrace = probe)]
async fn test() -> Result<(), std::num::ParseIntError> {
    assert!(Handle::try_current().is_err());
    assert_eq!(probe::names(), [task("test")]);
    let _: u32 = "1".parse()?;
    Ok(())
}

#[tasktrace::test(block_on = futures::executor::block_on)]
#[should_panic(expected = "in the test")]
async fn attributes() {
    panic!("in the test");
}
