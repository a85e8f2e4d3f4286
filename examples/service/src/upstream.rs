//! Simulates a server of another company, inside this process.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tasktrace::traced;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

/// A client for prices.
#[derive(Clone, Copy)]
pub(crate) struct Upstream(SocketAddr);

impl Upstream {
    #[traced("price of {article}")]
    pub(crate) async fn price(&self, article: u32) -> io::Result<u64> {
        let mut stream = TcpStream::connect(self.0).await?;
        stream.write_u32(article).await?;
        stream.read_u64().await
    }
}

/// Starts the server.
pub(crate) async fn start() -> io::Result<Upstream> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tasktrace::spawn(serve(listener));
    Ok(Upstream(address))
}

#[traced]
async fn serve(listener: TcpListener) -> io::Result<()> {
    let served = AtomicU64::new(0);
    loop {
        let (stream, _) = listener.accept().await?;
        let number = served.fetch_add(1, Ordering::Relaxed);
        tasktrace::spawn(answer(stream, number));
    }
}

/// Answers soon most of the time, and late now and then.
#[traced("request {number}")]
async fn answer(mut stream: TcpStream, number: u64) -> io::Result<()> {
    let article = stream.read_u32().await?;
    let millis = match number % 50 {
        49 => 4_000,
        n if n % 10 == 9 => 600,
        _ => 30,
    };
    sleep(Duration::from_millis(millis)).await;
    stream.write_u64(u64::from(article) * 100 + 99).await
}
