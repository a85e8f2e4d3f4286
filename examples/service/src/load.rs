//! Simulates customers until it is stopped: `load [ADDRESS [CUSTOMERS]]`.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{interval, sleep};

/// The numbers of requests that were answered and that failed.
#[derive(Default)]
struct Count {
    answered: AtomicU64,
    failed: AtomicU64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:3000".into());
    let customers = arguments.next().map_or(Ok(60), |number| number.parse());
    let Ok(customers) = customers else {
        eprintln!("usage: load [ADDRESS [CUSTOMERS]]");
        std::process::exit(2);
    };
    println!("{customers} customers; where the tasks are: http://{address}/debug/tasks/");
    let count = Arc::new(Count::default());
    for number in 0..customers {
        tokio::spawn(shop(address.clone(), number, Arc::clone(&count)));
    }
    let mut seconds = interval(Duration::from_secs(5));
    loop {
        seconds.tick().await;
        let answered = count.answered.load(Ordering::Relaxed);
        let failed = count.failed.load(Ordering::Relaxed);
        println!("{answered} requests answered, {failed} failed");
    }
}

/// Simulates one customer: most order, some want reports, and a few look at pictures.
async fn shop(address: String, number: u64, count: Arc<Count>) {
    let path = match number % 20 {
        0 => format!("/thumbnail/{number}"),
        1..=2 => format!("/report/{number}"),
        _ => format!("/order/{number}"),
    };
    loop {
        let counted = match get(&address, &path).await {
            Ok(()) => &count.answered,
            Err(_) => &count.failed,
        };
        counted.fetch_add(1, Ordering::Relaxed);
        sleep(Duration::from_millis(200 + number * 7)).await;
    }
}

async fn get(address: &str, path: &str) -> io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    match answer.starts_with(b"HTTP/1.1 200") {
        true => Ok(()),
        false => Err(io::Error::other("it was not answered")),
    }
}
