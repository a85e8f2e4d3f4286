use super::*;

#[traced(crate = probe)]
#[tokio::main]
async fn above() -> Result<u32, std::num::ParseIntError> {
    tokio::task::yield_now().await;
    let number = "1".parse()?;
    Ok(number)
}

#[tokio::main]
#[traced(crate = probe)]
async fn below() -> Result<u32, std::num::ParseIntError> {
    tokio::task::yield_now().await;
    let number = "2".parse()?;
    Ok(number)
}

#[tokio::main(flavor = "current_thread")]
#[traced(crate = probe)]
async fn below_current_thread(argument: &str) -> usize {
    tokio::task::yield_now().await;
    argument.len()
}

#[test]
fn traced_and_tokio_main_compose_in_either_order() {
    assert_eq!(above(), Ok(1));
    assert_eq!(below(), Ok(2));
    assert_eq!(below_current_thread("abc"), 3);
    assert_eq!(
        probe::names(),
        [
            frame("above"),
            frame("below"),
            frame("below_current_thread")
        ]
    );
}

#[traced(crate = probe)]
#[tokio::test]
async fn traced_above_tokio_test_is_a_frame() {
    tokio::task::yield_now().await;
    assert_eq!(
        probe::names(),
        [frame("traced_above_tokio_test_is_a_frame")]
    );
}

#[tokio::test]
#[traced(crate = probe)]
async fn traced_below_tokio_test_is_a_frame() {
    tokio::task::yield_now().await;
    assert_eq!(
        probe::names(),
        [frame("traced_below_tokio_test_is_a_frame")]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
#[traced(crate = probe)]
async fn traced_below_a_multi_threaded_tokio_test_is_a_frame() -> Result<(), std::num::ParseIntError>
{
    tokio::task::yield_now().await;
    let _: u32 = "1".parse()?;
    assert_eq!(
        probe::names(),
        [frame("traced_below_a_multi_threaded_tokio_test_is_a_frame")]
    );
    Ok(())
}
