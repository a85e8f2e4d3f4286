/// This error is the only one, although the function awaits.
#[tasktrace::main]
fn main() -> Result<(), std::num::ParseIntError> {
    std::future::ready(()).await;
    let _: u32 = "1".parse()?;
    Ok(())
}
