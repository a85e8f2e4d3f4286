/// This error is the only one, although the function uses its arguments and awaits.
#[tasktrace::main]
async fn main(arguments: Vec<String>) -> Result<(), std::num::ParseIntError> {
    std::future::ready(()).await;
    let _: u32 = arguments[0].parse()?;
    Ok(())
}
