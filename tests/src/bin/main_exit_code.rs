//! A `main` that exits with a code, for `tests/macros_main.rs`.

use std::process::ExitCode;

#[tasktrace::main(block_on = futures::executor::block_on)]
async fn main() -> ExitCode {
    std::future::ready(ExitCode::from(7)).await
}
