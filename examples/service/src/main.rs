//! Runs a shop with problems, and tasktrace's page that shows them.
//!
//! ```console
//! $ cargo run -p tasktrace-example-service --bin service
//! the shop is at http://127.0.0.1:3000
//! where its tasks are is at http://127.0.0.1:3000/debug/tasks/
//! $ cargo run -p tasktrace-example-service --bin load
//! $ tasktrace top
//! ```
//!
//! * [`pool`]: the database has four connections, and reports keep them for too long.
//! * [`upstream`]: prices come from a server that is slow now and then, and sometimes never answers.
//! * [`stock`]: orders keep the stock locked while they wait for a price, which makes a convoy.
//! * [`worker`]: thumbnails are computed in a poll, which blocks a worker of the runtime.

mod pool;
mod shop;
mod stock;
mod upstream;
mod worker;

use tokio::net::TcpListener;

/// Runs `service [ADDRESS]`.
#[tasktrace::main(attach)]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1);
    let address = address.as_deref().unwrap_or("127.0.0.1:3000");
    let upstream = upstream::start().await?;
    let router = shop::router(upstream).nest_service("/debug/tasks", tasktrace::http::service());
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    println!("the shop is at http://{address}");
    println!("where its tasks are is at http://{address}/debug/tasks/");
    axum::serve(listener, router).await
}
