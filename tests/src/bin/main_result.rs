//! A `main` that fails if an argument says so, for `tests/macros_main.rs`.

#[tasktrace::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let argument = std::env::args().nth(1).ok_or("no argument")?;
    tokio::task::yield_now().await;
    let _: u32 = argument.parse()?;
    Ok(())
}
