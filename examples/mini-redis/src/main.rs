//! Prints where a server and two of its clients wait: `cargo run -p tasktrace-example-mini-redis --example mini-redis`.

use tasktrace_example_mini_redis::{Traces, traces};

#[tasktrace::main]
async fn main() -> mini_redis::Result<()> {
    let Traces {
        server,
        subscriber,
        idle,
    } = traces().await?;
    println!("The server, waiting for connections:\n{server}\n");
    println!("A client blocked in SUBSCRIBE:\n{subscriber}\n");
    println!("A connection idle in `read_frame`:\n{idle}");
    Ok(())
}
