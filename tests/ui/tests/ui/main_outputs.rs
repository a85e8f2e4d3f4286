//! Tests that the types in the body are checked as in any other function.

#[tasktrace::main]
async fn last_expression() -> u32 {
    std::future::ready(()).await;
    "text"
}

#[tasktrace::main]
async fn missing_value() -> u32 {
    std::future::ready(()).await;
}

#[tasktrace::main]
async fn question_mark() -> Result<(), Error> {
    Err(1)?;
    Ok(())
}

struct Error;

#[tasktrace::main(block_on = run)]
async fn on_another_executor() -> u32 {
    "text"
}

fn run<F: Future>(_: F) -> F::Output {
    unimplemented!()
}

#[tasktrace::main(block_on = NOT_A_FUNCTION)]
async fn on_no_executor() -> u32 {
    1
}

const NOT_A_FUNCTION: u32 = 1;

#[tasktrace::test]
async fn test() -> Result<(), String> {
    1
}

#[tasktrace::main]
async fn main() -> u32 {
    1
}
