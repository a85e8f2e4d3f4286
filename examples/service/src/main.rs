//! A shop with trouble, and the page of tasktrace on which it is seen.
//!
//! ```console
//! $ cargo run -p tasktrace-example-service --bin service
//! the shop is at http://127.0.0.1:3000
//! where its tasks are is at http://127.0.0.1:3000/debug/tasks/
//! $ cargo run -p tasktrace-example-service --bin load
//! $ tasktrace top
//! ```
//!
//! * [`pool`]: there are four connections to the database, and reports hold on to them.
//! * [`upstream`]: prices come from a server that is slow now and then, and sometimes does not answer.
//! * [`stock`]: orders lock the stock, and keep it locked while they ask for a price: a convoy.
//! * [`worker`]: thumbnails are made in the middle of a poll, so a worker of the runtime is blocked.

mod pool;
mod shop;
mod stock;
mod upstream;
mod worker;

use tokio::net::TcpListener;

/// `service [ADDRESS]`.
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
