//! Tests that the code around a test's body adds no errors about the body.
//!
//! Functions with `#[test]` are not compiled here, so tokio's `main` stands for its `test`.
#![deny(unused, unreachable_code)]

mod tokio_main {
    pub use tokio::{main as test, runtime};
}

#[tasktrace::test(crate = tokio_main, timeout = "5s")]
async fn last_expression() -> Result<(), String> {
    std::future::ready(()).await;
    1
}

#[tasktrace::test(crate = tokio_main)]
async fn missing_value() -> Result<(), String> {
    std::future::ready(()).await;
}

#[tasktrace::test(crate = tokio_main, dump_on_signal)]
async fn question_mark() -> Result<(), Error> {
    Err(1)?;
    Ok(())
}

struct Error;

#[tasktrace::test(crate = tokio_main, timeout = "none")]
async fn no_result() {
    Err::<(), u32>(1)?;
}

#[tasktrace::test(crate = tokio_main)]
async fn early() -> Result<(), String> {
    if true {
        return Err(1);
    }
    Ok(())
}

#[tasktrace::test(crate = tokio_main, timeout = "5s")]
async fn unknown_name() {
    missing();
}

#[tasktrace::test(crate = tokio_main, timeout = "5s")]
async fn unused_variable() {
    let unused = 1;
}

#[tasktrace::test(crate = tokio_main, timeout = "5s")]
async fn dead_code() -> Result<(), String> {
    return Ok(());
    Ok(())
}

#[tasktrace::test(crate = tokio_main, tasktrace = missing, timeout = "5s")]
async fn no_crate() {}

#[tasktrace::test(crate = missing, timeout = "5s")]
async fn no_tokio() {}

#[tasktrace::test(crate = tokio_main, flavor = "current", timeout = "5s")]
async fn wrong_argument() {}

fn main() {
    let _ = (last_expression(), missing_value(), question_mark(), early(), dead_code());
    no_result();
    unknown_name();
    unused_variable();
    no_crate();
    no_tokio();
    wrong_argument();
}
