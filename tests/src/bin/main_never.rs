//! A `main` that does not return, for `tests/macros_main.rs`.

#[tasktrace::main(flavor = "current_thread")]
async fn main() -> ! {
    tokio::task::yield_now().await;
    std::process::exit(3)
}
