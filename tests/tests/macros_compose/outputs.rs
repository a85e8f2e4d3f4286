//! Tests that a function returns the value of its body.

use super::*;

type Error = Box<dyn std::error::Error>;

#[tasktrace::main(flavor = "current_thread")]
async fn result(text: &str) -> Result<u8, Error> {
    let number: u8 = text.parse()?;
    if number > 100 {
        return Err("too large".into());
    }
    Ok(number)
}

#[tasktrace::main]
async fn exit_code(code: u8) -> ExitCode {
    ExitCode::from(code)
}

#[tasktrace::main]
async fn opaque() -> impl std::process::Termination + std::fmt::Debug {
    ExitCode::from(7)
}

#[tasktrace::main(block_on = futures::executor::block_on)]
async fn opaque_on_another_executor() -> impl std::process::Termination + std::fmt::Debug {
    ExitCode::from(7)
}

#[test]
fn main_returns_the_value_of_its_body() {
    assert_eq!(result("1").ok(), Some(1));
    assert_eq!(result("101").unwrap_err().to_string(), "too large");
    assert!(result("x").unwrap_err().is::<std::num::ParseIntError>());
    assert_eq!(exit_code(7), ExitCode::from(7));
    let seven = format!("{:?}", ExitCode::from(7));
    assert_eq!(format!("{:?}", opaque()), seven);
    assert_eq!(format!("{:?}", opaque_on_another_executor()), seven);
}

#[tasktrace::main(flavor = "current_thread")]
async fn never() -> ! {
    panic!("the only way out")
}

#[test]
#[should_panic(expected = "the only way out")]
fn main_may_never_return() {
    never()
}
